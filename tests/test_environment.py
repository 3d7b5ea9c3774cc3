"""The script that makes the virtual environment: which Python it takes, and what it says where there is none."""

import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "tools" / "make_environment"


def would_do(folder, *arguments, **environment):
    """What make says that it would do in a folder."""
    command = ["make", "--dry-run", "--file", str(ROOT / "Makefile"), *arguments]
    environment = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


def test_make_leaves_other_runs_and_other_environments_alone(tmp_path):
    assert (
        would_do(tmp_path, "clean", VENV="/mine", NEWEST="/mine")
        == "rm -rf .venv .venv-newest .venv-extras runs/demo\n"
    )


@pytest.mark.parametrize("asked, made_anew", [([], False), (["PYTHON=3.13"], False), (["PYTHON=3.12"], True)])
def test_make_does_not_take_an_environment_of_another_python(tmp_path, asked, made_anew):
    for name in ("setup.cfg", "pyproject.toml", ".venv/installed"):  # the last is the newest
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("3.13\n")
    assert ("tools/make_environment .venv 3.12" in would_do(tmp_path, "lint", *asked)) == made_anew


@pytest.mark.parametrize("file", ["other/bin/python", ".hidden"])
def test_a_folder_of_other_files_is_not_taken_for_an_environment(tmp_path, file):
    (tmp_path / "made" / file).parent.mkdir(parents=True)
    (tmp_path / "made" / file).write_text("mine")
    done = subprocess.run([shutil.which("sh"), SCRIPT, tmp_path / "made"], capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == f"error: {tmp_path / 'made'} holds files that are no environment; give another folder\n"
    assert (tmp_path / "made" / file).read_text() == "mine"


@pytest.fixture
def tools(tmp_path):
    """A folder of programs that has no Python, and a function that adds one that stands for a version, or a shim."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("sh", "sed", "tr", "touch", "mkdir"):
        (folder / name).symlink_to(shutil.which(name))

    def add(path, works=True):
        """It says what it is asked to do, as Python, and makes the folder that `venv` would."""
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = ["#!/bin/sh", 'case $1 in --version) echo "Python of $0";; -c) exit 0;; esac', 'echo "$0 $*"']
        lines.append('[ "$2" != venv ] || { mkdir -p "$4/bin"; echo "#!/bin/sh" > "$4/bin/python"; }')
        path.write_text("\n".join(lines) if works else "#!/bin/sh\nexit 127\n")
        path.chmod(0o755)

    return folder, add


def make(folder, tmp_path, *arguments):
    """Runs the script with these programs alone; pip is never reached, for the environment's Python is none."""
    environment = {"PATH": f"{folder}{os.pathsep}{tmp_path / 'pyenv/shims'}", "HOME": str(tmp_path)}
    command = [shutil.which("sh"), SCRIPT, str(tmp_path / "made"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("arguments, wanted", [([], "3.10 to 3.13"), (["3.13"], "3.13")])
def test_where_there_is_no_python_one_line_says_what_to_install(tools, tmp_path, arguments, wanted):
    done = make(tools[0], tmp_path, *arguments)
    assert done.returncode == 1 and done.stdout == "" and not (tmp_path / "made").exists()
    assert done.stderr.startswith(f"error: no Python {wanted} with venv is here; install one")
    assert done.stderr.count("\n") == 1 and "uv" in done.stderr


@pytest.mark.parametrize(
    "there, arguments, taken",
    [
        (["3.12", "3.10", "3.13"], [], "3.10"),
        (["3.12", "3.13"], [], "3.13"),
        (["3.10", "3.11", "3.13"], [], "3.11"),
        (["3.11", "3.13"], ["3.13"], "3.13"),
    ],
)
def test_the_best_python_is_taken_or_the_one_that_is_asked_for(tools, tmp_path, there, arguments, taken):
    folder, add = tools
    for version in there:
        add(folder / f"python{version}")
    done = make(folder, tmp_path, *arguments)
    assert f"using {folder / f'python{taken}'}" in done.stdout, done.stderr


def test_a_python_that_pyenv_has_not_switched_on_is_found_where_it_lies(tools, tmp_path):
    folder, add = tools
    add(tmp_path / "pyenv/shims/python3.13", works=False)
    add(tmp_path / "pyenv/versions/3.13.0/bin/python")
    done = make(folder, tmp_path, "3.13")
    assert f"using {tmp_path / 'pyenv/versions/3.13.0/bin/python'}" in done.stdout, done.stderr


def test_a_version_that_is_not_there_is_not_replaced_by_another(tools, tmp_path):
    folder, add = tools
    add(folder / "python3.11")
    add(folder / "python3")
    assert "error: no Python 3.13 with venv" in make(folder, tmp_path, "3.13").stderr


def test_uv_brings_one_where_there_is_none(tools, tmp_path):
    folder, _ = tools
    (folder / "uv").write_text('#!/bin/sh\necho uv "$*"\n')
    (folder / "uv").chmod(0o755)
    done = make(folder, tmp_path)
    assert "uv brings 3.11" in done.stdout and f"--python 3.11 {tmp_path / 'made'}" in done.stdout, done.stderr
