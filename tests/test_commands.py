"""Tests of what runs commands for the other tests: that it does what Python does."""

import signal
import subprocess

import pytest

from tests import commands

SCRIPT = """
import os, sys, time
print("of", __name__, sys.argv[1:], os.getcwd(), os.environ["WORD"], sys.path[0] == os.path.dirname(__file__))
print("said", file=sys.stderr)
if "--hang" in sys.argv:
    time.sleep(60)
sys.exit("it failed" if "--fail" in sys.argv else None)
"""


@pytest.mark.parametrize("arguments, code", [([], 0), (["--fail"], 1)])
def test_a_fork_runs_a_script_as_python_does(tmp_path, arguments, code):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    found = commands.run(script, *arguments, cwd=tmp_path, WORD="seven")
    options = {"cwd": tmp_path, "env": commands.environment(WORD="seven"), "capture_output": True, "text": True}
    expected = subprocess.run(commands.command(script, *arguments), **options)
    assert found.returncode == expected.returncode == code
    assert (found.stdout, found.stderr) == (expected.stdout, expected.stderr)
    assert "of __main__" in found.stdout and "said" in found.stderr


def test_a_script_that_takes_too_long_is_killed_and_the_next_one_runs(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    assert commands.run(script, "--hang", timeout=1, WORD="").returncode == -signal.SIGKILL
    assert commands.run(script, WORD="").returncode == 0
