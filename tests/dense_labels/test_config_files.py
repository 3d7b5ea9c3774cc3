"""Configurations are found by name and by file; what their files register can be chosen."""

import json
import os
import sys

import pytest

from dense_labels import config as config_lib
from dense_labels import config_files, user_code
from dense_labels.config import Config
from dense_labels.registry import LOSSES, Entry
from tests.commands import ROOT

LOSS = """
from dense_labels.registry import LOSSES

@LOSSES.register("my_loss", "a loss of a user's", keys=("loss.gamma",))
def create(config, stride):
    raise ValueError("no loss today")
"""
CONFIG = """
import my_loss

from dense_labels.config import Config

def get_config():
    config = Config()
    config.loss.name = "my_loss"
    return config
"""


@pytest.fixture
def restored():
    """Registries, modules and their path as they were, whatever a test imports."""
    losses, modules, path = dict(LOSSES._entries), set(sys.modules), list(sys.path)
    folders, added = set(user_code._FOLDERS), set(user_code._ADDED)
    yield
    for name in set(LOSSES) - set(losses):
        del LOSSES._entries[name]
    for name in set(sys.modules) - modules:
        if getattr(sys.modules[name], "__file__", None) and name.partition(".")[0] not in user_code.OURS:
            del sys.modules[name]
    sys.path[:] = path
    user_code._FOLDERS.clear()
    user_code._FOLDERS.update(folders)
    user_code._ADDED.intersection_update(added)


@pytest.fixture
def outside(tmp_path, restored):
    """A configuration file of a user's that imports a loss beside it."""
    (tmp_path / "my_loss.py").write_text(LOSS)
    (tmp_path / "my_config.py").write_text(CONFIG)
    return tmp_path / "my_config.py"


def test_every_configuration_is_found_by_its_name_and_by_its_file():
    names = config_files.names()
    assert set(names) == {path.stem for path in ROOT.glob("configs/*.py")} - {"__init__"} and "folder" in names
    for name in names:
        config = config_files.find(name)
        assert config == config_files.find(ROOT / "configs" / f"{name}.py")
        config = config_lib.with_overrides(config, {"data.dir": "PICTURES", "data.annotations": "TRAIN.json"})
        config_lib.check(config)


def test_a_file_is_found_before_a_name(tmp_path, monkeypatch, restored):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()  # no file
    assert config_files.find("folder").data.name == "folder"
    (tmp_path / "mine.py").write_text(CONFIG.replace("import my_loss", "").replace("my_loss", "margin"))
    assert config_files.find("mine.py").loss.name == "margin"


def test_every_reading_gives_a_configuration_of_its_own():
    config_files.find("roboarm").train.seed = 7
    assert config_files.find("roboarm").train.seed == 0


@pytest.mark.parametrize(
    "text, message",
    [
        ("def get_config(:", r"mine\.py, line 1: SyntaxError: invalid syntax"),
        ("x = 3", r"mine\.py: has no get_config\(\), which a configuration file must have"),
        ("def get_config():\n  return 3", r"mine\.py: get_config\(\) must return a Config; found int"),
        ("def get_config():\n  return batch_size", r"mine\.py, line 2: NameError: name 'batch_size' is not defined"),
        ("import numpy\nnumpy.zeros(3).reshape(2)", r"mine\.py, line 2: ValueError: cannot reshape"),
        ("import my_missing_loss", r"mine\.py, line 1: ModuleNotFoundError: No module named 'my_missing_loss'"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(tmp_path, text, message, restored):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(ValueError, match=rf"^{tmp_path}/{message}"):
        config_files.find(tmp_path / "mine.py")


def test_a_mistake_in_what_a_file_imports_is_said_with_the_line_there(outside, restored):
    (outside.parent / "my_loss.py").write_text(LOSS + "\n1 / 0\n")
    with pytest.raises(ValueError, match=r"my_loss\.py, line 8: ZeroDivisionError: division by zero"):
        config_files.find(outside)


def test_a_file_must_be_python(tmp_path):
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(ValueError, match=r"mine\.txt: is not a Python file; its name must end in \.py"):
        config_files.find(tmp_path / "mine.txt")


@pytest.mark.parametrize("given", ["roboram", "configs/roboram.py"])
def test_what_is_not_found_lists_the_names(given):
    with pytest.raises(ValueError, match=rf"^{given}: there is no such file; .*configs/roboarm\.py.*folder, "):
        config_files.find(given)


def test_a_file_registers_what_it_imports_from_its_own_folder(outside):
    config = config_files.find(outside)
    config_lib.check(config)
    config_lib.check_used(config, ["loss.gamma"])
    with pytest.raises(ValueError, match="no loss today") as raised:
        LOSSES["my_loss"].value(config, 2)
    assert user_code.is_users(raised.traceback[-1].path) and not user_code.is_users(config_lib.__file__)
    assert config_files.find(outside) == config  # and once more


def test_the_dictionary_names_the_files_that_registered_something(outside):
    values = json.loads(json.dumps(config_lib.to_dict(config_files.find(outside))))
    assert values["registered_by"] == [str(outside.parent / "my_loss.py")]
    assert "registered_by" not in config_lib.to_dict(Config())  # which does not use it


def test_a_file_among_our_configurations_is_named_too():
    mine = str(ROOT / "configs" / "mine.py")
    assert user_code.registered_by([Entry("mine", "", None, file=mine), LOSSES["log"]]) == [mine]


@pytest.mark.parametrize("stem", ["my", "json", "models"])
def test_files_of_one_name_are_told_apart(tmp_path, restored, stem):
    """Also one that is called as a module is that has been imported already, or as a part of the program."""
    files = [tmp_path / folder / f"{stem}.py" for folder in "ab"]
    for file, name in zip(files, ("loss_of_a", "a_loss_of_b")):
        file.parent.mkdir()
        file.write_text(LOSS.replace("my_loss", name))
        user_code.run(file)
    assert user_code.registered_by([LOSSES["a_loss_of_b"]]) == [str(files[1])]
    user_code.run(files[1])  # which may be run again
    files[1].write_text(LOSS.replace("my_loss", "loss_of_a"))
    taken = rf"a loss 'loss_of_a' already, loss_of_a \({files[0]}\): rename yours, loss_of_a \({files[1]}\)$"
    with pytest.raises(ValueError, match=taken):
        user_code.run(files[1])


def test_each_configuration_imports_the_file_beside_it(tmp_path, restored):
    files = [tmp_path / folder / "my_config.py" for folder in "ab"]
    for file, gamma in zip(files, (0.1, 0.2)):
        file.parent.mkdir()
        (file.parent / "my_settings.py").write_text(f"GAMMA = {gamma}")
        file.write_text(
            CONFIG.replace("my_loss\n\n", "my_settings\n\n").replace('name = "my_loss"', "gamma = my_settings.GAMMA")
        )
    assert [config_files.find(file).loss.gamma for file in (*files, *files)] == [0.1, 0.2, 0.1, 0.2]


def test_another_process_runs_the_files_that_registered_something(outside, capsys):
    """A run is evaluated without its configuration file."""
    values = config_lib.to_dict(config_files.find(outside))
    del LOSSES._entries["my_loss"], sys.modules["my_loss"]
    sys.path.remove(str(outside.parent))
    config = config_lib.from_dict(values)
    config_lib.check(config)
    said = f"note: running {outside.parent}/my_loss.py, which this run or configuration names\n"
    assert "my_loss" in LOSSES and capsys.readouterr().out == said
    entry = LOSSES._entries["my_loss"]
    config_lib.from_dict(values)
    assert LOSSES._entries["my_loss"] is entry and capsys.readouterr().out == ""  # not run again
    with pytest.raises(
        ValueError, match="^registered_by names my_loss.py: the whole path of a Python file is expected"
    ):
        config_lib.from_dict({**values, "registered_by": ["my_loss.py"]})

    del LOSSES._entries["my_loss"]
    os.remove(outside.parent / "my_loss.py")
    config = config_lib.from_dict(values)
    assert f"warning: {outside.parent}/my_loss.py is not there any more" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"config\.loss\.name='my_loss': there is no such choice"):
        config_lib.check(config)


def test_a_file_in_a_package_is_a_module_of_it(tmp_path, restored):
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "values.py").write_text("SEED = 5")
    (package / "mine.py").write_text("from . import values\nfrom my_package.values import SEED\nX = values.SEED + SEED")
    module = user_code.run(package / "mine.py")
    assert (module.__name__, module.X) == ("my_package.mine", 10)
