"""What a user reads of an error: the line that tells, whoever raised it."""

import os
import subprocess
import sys

import pytest

from dense_labels import command_line

GRAPH = """Graph execution error:

Detected at node 'SaveV2' defined at (most recent call last):
  File "train.py", line 7, in <module>

runs/ckpt-6_temp/part-0; File too large
\t [[{{node SaveV2}}]] [Op:__inference_train_function_2218]"""


@pytest.mark.parametrize(
    "message, line",
    [
        (GRAPH, "runs/ckpt-6_temp/part-0; File too large"),
        (
            "{{function_node __wrapped__Next_device_/cpu:0}} corrupted record at 7 [Op:IteratorGetNext] name: ",
            "corrupted record at 7",
        ),
        (
            "OOM when allocating tensor with shape[9]\n\t [[{{node MatMul}}]]\nHint: If you want to\n [Op:Add]",
            "OOM when allocating tensor with shape[9]",
        ),
        (
            "Graph execution error:\n\nDetected at node map/Assert defined at (most recent call last):\n"
            "<stack traces unavailable>\nassertion failed: [no picture]\n\t [[{{node map/Assert}}]] [Op:__inference_9]",
            "assertion failed: [no picture]",
        ),
        (
            "Task 1 has failed. Check its log.\nThe error could be from a previous operation.",
            "Task 1 has failed. Check its log.",
        ),
    ],
)
def test_the_line_that_tells_is_picked(message, line):
    assert command_line.of_tensorflow(message).strip() == line


def test_traceback_shows_where_an_error_came_from(tmp_path):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    command = [sys.executable, os.path.join(root, "eval_main.py"), f"--workdir={tmp_path}/none"]
    plain = subprocess.run(command, capture_output=True, text=True)
    traced = subprocess.run([*command, "--traceback"], capture_output=True, text=True)
    assert "Traceback" not in plain.stderr and "Traceback" in traced.stderr
    assert "does not exist" in plain.stderr and "does not exist" in traced.stderr
