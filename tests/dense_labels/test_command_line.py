"""What a user reads of an error: one line of what they can mend, the stack trace of what they cannot."""

import ast
import io
import json
import os
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from dense_labels import batches, command_line, config, config_files, config_keys, progress
from dense_labels.registry import LOSSES
from tests import commands
from tests.commands import ROOT

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


def test_letters_that_the_output_lacks_are_spelt_out(monkeypatch):
    output = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", output)
    progress.note("Käfer/\u753b.png")
    output.flush()
    assert output.buffer.getvalue() == b"note: K\xe4fer/\\u753b.png\n"


def test_what_would_steer_a_terminal_is_spelt_out(capsys):
    with pytest.raises(SystemExit):
        command_line._fail(ValueError("a\x1b[2J.png: a mistake,\nin two lines"))
    progress.note("a table\nwith \x1b[31mred.png and caf\udce9, café, 日本")
    shown = capsys.readouterr()
    assert shown.err == "error: a\\x1b[2J.png: a mistake, in two lines\n"
    assert shown.out == "note: a table\nwith \\x1b[31mred.png and caf\\udce9, café, 日本\n"


# --- whose mistake it is ---


def _error_of(function, *arguments):
    with pytest.raises(Exception) as raised:
        function(*arguments)
    return raised.value


def _in_a_graph(function):
    """Runs a function of one number inside a tf.data pipeline."""
    return list(tf.data.Dataset.range(1).map(lambda i: tf.numpy_function(function, [i], tf.int64)))


def _in_a_callback(function):
    """Runs a function inside a training, whose stack trace Keras filters."""
    model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
    model.compile(loss="mse", run_eagerly=True)
    callback = tf.keras.callbacks.LambdaCallback(on_train_begin=lambda logs: function())
    model.fit(tf.zeros([2, 1]), tf.zeros([2, 1]), verbose=0, callbacks=[callback])


def _assert_in_a_graph():
    @tf.function
    def check(x):
        tf.debugging.assert_positive(x, "no picture")
        return x

    return check(tf.constant(-1.0))


@pytest.mark.parametrize(
    "function",
    [
        lambda: config.from_dict([]),
        lambda: LOSSES["l2"],
        lambda: os.listdir("/nowhere/at/all"),
        lambda: tf.io.read_file("/nowhere/at/all"),
        lambda: tf.io.read_file(str(ROOT)),
        lambda: _in_a_graph(lambda i: config.from_dict([])),
        lambda: _in_a_graph(lambda i: os.listdir("/nowhere/at/all")),
        lambda: _in_a_callback(lambda: config.check(3)),
        _assert_in_a_graph,
    ],
)
def test_what_is_raised_on_purpose_is_the_users(function):
    assert command_line.is_expected(_error_of(function))


@pytest.mark.parametrize(
    "function",
    [
        lambda: int("four"),
        lambda: batches.stack([]),  # of the interpreter, in a line of ours
        lambda: np.zeros(6).reshape(4, 2),  # which has no frame of numpy's
        lambda: np.random.default_rng().choice(3, size=-1),
        lambda: tf.reshape(tf.zeros(6), [4, 2]),
        lambda: _in_a_graph(lambda i: np.zeros(6).reshape(4, 2)),
        lambda: _in_a_callback(lambda: np.zeros(6).reshape(4, 2)),
        lambda: {}["key"],
    ],
)
def test_everything_else_is_a_mistake_of_the_program(function):
    assert not command_line.is_expected(_error_of(function))


MAIN = """
import numpy as np
from absl import flags
from dense_labels import batches, command_line, config

_HOW = flags.DEFINE_string("how", "", "What goes wrong.")


def main():
    if _HOW.value == "program":
        np.zeros(6).reshape(4, 2)
    if _HOW.value == "stopped":
        raise KeyboardInterrupt
    config.check(3)


command_line.run(main)
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("main") / "script.py"
    path.write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{MAIN}")
    return path


@pytest.mark.parametrize(
    "arguments, code, last",
    [
        ([], 1, r"error: a configuration must be a dense_labels\.config\.Config; found int"),
        (["--how=program"], 1, r"ValueError: cannot reshape array of size 6 into shape \(4,2\)"),
        (["--how", "config.csv"], 1, r"error: a configuration must be .*"),  # which is no key
        (["--how=stopped"], 130, "stopped"),
        (["--traceback"], 1, r"ValueError: a configuration must be .*"),
        (["--hwo=x"], 1, r"error: Unknown command line flag 'hwo'\. Did you mean: how .*"),
        (["here.txt"], 1, r"error: unexpected argument 'here\.txt'; every option is written --name=value"),
        (["here.txt", "--hwo=x"], 1, r"error: Unknown command line flag 'hwo'\. Did you mean: how .*"),
        ([__file__, "--how=x"], 1, r"error: unexpected argument '.*'; every .*=value; a pattern stands in quotes"),
    ],
)
def test_the_users_mistake_is_one_line_and_the_programs_a_stack_trace(script, arguments, code, last):
    ran = commands.run(script, *arguments)
    assert ran.returncode == code
    lines = ran.stderr.splitlines()
    assert re.fullmatch(last, lines[-1])
    assert (lines[0] == "Traceback (most recent call last):") == (arguments in (["--how=program"], ["--traceback"]))
    assert len(lines) == 1 or lines[0].startswith("Traceback")


def test_flags_of_another_program_are_passed_on(tmp_path):
    """Wherever they stand; ours may follow them."""
    path = tmp_path / "script.py"
    main = MAIN.replace("def main():", "def main(others):\n    raise ValueError(f'{_HOW.value} {others}')")
    main = main.replace("command_line.run(main)", "command_line.run(main, passes_on=True)")
    path.write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{main}")
    ran = commands.run(path, "--workers=2", "--how=well", "--streaming", "--name", "x")
    assert ran.stderr == "error: well ['--workers=2', '--streaming', '--name', 'x']\n"


# --- what is answered before TensorFlow is imported ---


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--confg=roboarm"], ["'confg'", "Did you mean: config"]),
        (["--config=roboarm", "--config.train.batchsize=3"], ["did you mean --config.train.batch_size?"]),
        (["--config=roboarm", "--workdir="], ["--workdir= has no value", "shell variable"]),
        (["--config=roboarm", "--config.loss.name=l2"], ["config.loss.name='l2': there is no such choice", "'dist'"]),
    ],
)
def test_a_mistake_is_answered_without_tensorflow(arguments, words):
    code = (
        "import atexit, sys; atexit.register(lambda: print('tensorflow' in sys.modules))\n"
        "import train_main; train_main.console()"
    )
    command = [sys.executable, "-c", code, "--workdir=w", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=commands.environment())
    assert (ran.returncode, ran.stdout) == (1, "False\n")
    assert ran.stderr.startswith("error: ") and ran.stderr.count("\n") == 1
    assert all(word in ran.stderr for word in words), ran.stderr


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--config=roboram"], ["--config=roboram", "no such file", "configs/roboarm.py", "folder, ", "roboarm"]),
        (["--config=roboarm", "--noconfig.views.flop"], ["did you mean --config.views.flip?"]),
        (["--config=roboarm", "--config.train.batch_size=x"], ["batch_size=x"]),
        (["--config=roboarm", "--config.loss.tau2=3"], ["tau2 has no effect", "'introspection'", "this run has 'log'"]),
        (["--config=roboarm", "--config.loss.direct=0"], ["direct has no effect", "config.loss.exchange"]),
        (["--config=roboarm", "--config.model.confidence=0"], ["confidence has no effect", "'introspection'"]),
        (["--config=folder"], ["config.data.dir is empty", "--config.data.dir=PICTURES"]),
    ],
    ids=lambda value: " ".join(value)[:60],
)
def test_a_mistake_in_the_configuration_is_one_line(arguments, words, tmp_path):
    ran = commands.run("train_main.py", *arguments, f"--workdir={tmp_path}/w")
    assert ran.returncode == 1 and ran.stderr.startswith("error: ") and ran.stderr.count("\n") == 1
    assert all(word in ran.stderr for word in words), ran.stderr
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("after", ["", "\n    Call arguments received by layer:\n      • inputs={'a': 'Tensor(1)'}\n"])
def test_of_a_mistake_in_a_graph_the_cause_is_said(capsys, after):
    message = (
        'in user code:\n\n    File "a.py", line 1, in f  *\n        g()\n\n    ValueError: labels: [1] found\n' + after
    )
    with pytest.raises(SystemExit):
        command_line._fail(ValueError(message))
    assert capsys.readouterr().err == "error: labels: [1] found\n"


def test_help_shows_every_key_of_the_configuration():
    text = " ".join(commands.run("train_main.py", "--help").stdout.split())
    assert all(f"--config.{name}=" in text for name in config.key_names())
    assert "--workdir: Folder of the run" in text and "--[no]traceback" in text
    assert "as they are unless it sets them:" in text and "--config.data.name=roboarm:" in text


@pytest.mark.parametrize("named", [["--config=folder"], ["--config", "folder"]])
def test_help_shows_the_values_of_the_configuration_that_is_named(named):
    text = " ".join(commands.run("train_main.py", *named, "--help").stdout.split())
    assert "as they are in folder:" in text and "--config.data.name=folder:" in text
    assert f"--config.train.steps_per_epoch={config_files.find('folder').train.steps_per_epoch}:" in text


# --- what is documented ---


def _read(text, default):
    """A value as it stands on a command line, of the type of its default."""
    if isinstance(default, (bool, tuple)):
        return ast.literal_eval(text.capitalize() if isinstance(default, bool) else text)
    return type(default)(text)


def _refused(name, settings):
    """Checks a configuration with other values for some keys, as texts, as the command line does."""
    read = config_files.find(ROOT / name if name.endswith(".py") else name)
    values = {key: _read(text, config_keys.value(read, key)) for key, text in settings.items()}
    read = config.with_overrides(read, values)
    config.check(read)
    config.check_used(read, settings)


def _documented():
    """Configuration -> keys and texts, of every command that the documentation shows, but for files of a reader's."""
    paths = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("configs/*.py"), *ROOT.glob("*_main.py")]
    text = "\n".join(path.read_text("utf-8") for path in paths).replace("\\\n", " ")
    for name, line in re.findall(r"--config=([\w/.]+)([^\n`]*)", text):
        settings = re.findall(r"--config\.([a-z]\w*\.\w+)=(\"[^\"]*\"|[^\s\])]+)", line)
        if not name.startswith("my_"):
            yield name, {key: value.strip('"') for key, value in settings}


def test_documented_commands_are_accepted():
    known = [(name, settings) for name, settings in _documented() if settings and "$" not in str(settings)]
    assert len(known) > 8
    for name, settings in known:
        _refused(name, settings)


@pytest.mark.parametrize("name", ["faces", "introspection", "roboarm", "sphere"])
def test_the_rows_of_benchmarks_are_accepted(name):
    data = {"data.dir": "IMAGES", "data.annotations": "TRAIN.json", "data.annotations_test": "TEST.json"}
    code = f"import json; from benchmarks import {name}; print(json.dumps(list({name}.ROWS.values())))"
    listed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    rows = json.loads(listed.stdout)
    assert rows
    for row in rows:  # in a process of its own, for benchmarks define flags of the same names
        changes = row[0] if isinstance(row, list) else row
        _refused(
            name, {**(data if name in ("faces", "introspection") else {}), **{k: str(v) for k, v in changes.items()}}
        )


def test_the_python_in_a_printed_command_can_be_pasted(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/opt/my pythons/$1/python")
    assert shlex.split(progress.python()) == ["/opt/my pythons/$1/python"]


@pytest.mark.parametrize("asked_by", ["train_main.py", "../a clone/train_main.py"])
def test_a_printed_command_runs_the_file_beside_the_one_that_runs(monkeypatch, asked_by):
    monkeypatch.setattr(sys, "argv", [asked_by])
    begin = [*shlex.split(progress.python()), asked_by.replace("train", "eval")]
    assert shlex.split(progress.command("eval", "--workdir=my runs/1")) == [*begin, "--workdir=my runs/1"]


def test_a_printed_command_is_what_is_installed(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["/usr/lib/ipykernel_launcher.py"])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "my env" / "python"))
    monkeypatch.setenv("PATH", "/usr/bin")
    assert progress.command("eval", "--report") == "dense-labels-eval --report"  # nowhere: its name
    script = tmp_path / "my env" / "dense-labels-eval"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert shlex.split(progress.command("eval", "--report")) == [str(script), "--report"]
    monkeypatch.setenv("PATH", f"/usr/bin:{script.parent}")
    assert progress.command("eval", "--report") == "dense-labels-eval --report"


def test_an_export_to_a_bucket_is_refused_before_the_evaluation():
    with pytest.raises(ValueError, match="^--export_dir=gs://bucket/served: must be a path of this machine, not a URL"):
        command_line.check_export("gs://bucket/served", False, (1, 1), (1, 1))
