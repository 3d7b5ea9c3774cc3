"""The wheel holds what is needed: a training by the name of a configuration runs from an empty folder."""

import configparser
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import yaml
from PIL import Image

from tests import commands
from tests.commands import ROOT

MAINS = ("train_main.py", "eval_main.py", "predict_main.py")
PACKAGES = ("configs", "dense_labels", "input_pipeline", "models", "serving")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, unpacked, as pip builds it from a copy of the sources; so nothing is left among these."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", *MAINS):
        shutil.copy(ROOT / name, source)
    build = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    ran = subprocess.run([sys.executable, "-c", build, str(folder)], cwd=source, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_holds_every_module_and_what_they_read(wheel):
    inside = {str(path.relative_to(wheel)) for path in wheel.rglob("*") if path.is_file()}
    for name in PACKAGES:
        assert {str(path.relative_to(ROOT)) for path in (ROOT / name).rglob("*.py")} <= inside
        assert f"{name}/py.typed" in inside
    templates = {str(path.relative_to(ROOT)) for path in ROOT.glob("dense_labels/reporting/templates/*")}
    assert templates and templates <= inside
    assert {*MAINS} <= inside
    others = {path.partition("/")[0] for path in inside} - {*PACKAGES, *MAINS}
    assert all(name.endswith(".dist-info") for name in others)
    assert any(path.endswith("LICENSE") for path in inside)


def test_the_console_scripts_are_those_of_the_mains(wheel):
    entries = configparser.ConfigParser()
    entries.read(next(wheel.glob("*.dist-info")) / "entry_points.txt")
    assert dict(entries["console_scripts"]) == {
        "dense-labels-train": "train_main:console",
        "dense-labels-eval": "eval_main:console",
        "dense-labels-predict": "predict_main:console",
    }


def test_a_training_runs_from_an_empty_folder_with_a_configuration_by_name(wheel, tmp_path):
    pictures, empty = tmp_path / "pictures", tmp_path / "empty"
    pictures.mkdir()
    empty.mkdir()
    random = np.random.default_rng(0)
    for index in range(12):
        coarse = Image.fromarray(random.integers(0, 256, [4, 4, 3], np.uint8))
        coarse.resize((32, 32)).save(pictures / f"{index}.png")
    script = wheel / "dense-labels-train.py"  # what pip writes for a console script
    script.write_text("import sys\nfrom train_main import console\nsys.exit(console())\n")
    settings = {"data.dir": pictures, "data.cache_dir": tmp_path / "cache", "model.name": "simple"}
    settings |= {"train.steps_per_epoch": 2, "train.num_epochs": 1, "train.warmup_steps": 0, "train.batch_size": 4}
    arguments = [f"--config.{key}={value}" for key, value in settings.items()]
    ran = commands.run(script, "--config=folder", "--workdir=run", *arguments, cwd=empty, PYTHONPATH="")
    assert ran.returncode == 0, ran.stderr
    assert [path.name for path in empty.iterdir()] == ["run"]
    assert (empty / "run" / "config.json").exists() and list((empty / "run" / "checkpoints").glob("ckpt-2.*"))

    (script := wheel / "where.py").write_text(
        "import dense_labels, configs; print(dense_labels.__file__, configs.__file__)"
    )
    ran = commands.run(script, cwd=empty, PYTHONPATH="")
    assert all(path.startswith(str(wheel)) for path in ran.stdout.split())  # not the sources, where they are installed


def test_the_citation_names_this_version_and_both_papers():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert (cited["version"], cited["license"]) == (setup["metadata"]["version"], setup["metadata"]["license"])
    papers = {
        paper["conference"]["name"]: [author["family-names"] for author in paper["authors"]]
        for paper in cited["references"]
    }
    assert papers["NIPS 2017"] == ["Thewlis", "Bilen", "Vedaldi"]
    assert papers["CVPR 2018"] == ["Novotny", "Albanie", "Larlus", "Vedaldi"]
