"""README and docs: their Python examples run as they stand there, and what they name and link to exists."""

import importlib.util
import pathlib
import re

import numpy as np
import pytest
from PIL import Image

import dense_labels
from dense_labels import config as config_lib
from dense_labels import config_files

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
TINY = {  # keys that make a training last seconds
    "model.name": "simple",
    "data.size": (32, 36),
    "train.steps_per_epoch": 2,
    "train.num_epochs": 1,
    "train.warmup_steps": 1,
    "train.precision": "float32",
    "eval.heads": ("nearest",),
}

BEAMS = ("direct_num_workers", "direct_running_mode")  # flags of Apache Beam itself

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def text(page):
    return (ROOT / page).read_text(encoding="utf-8")


def examples(page, heading):
    """The blocks of Python code below a heading."""
    section = re.split(r"^## ", text(page).partition(f"## {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"```python\n(.+?)```", section, flags=re.DOTALL)


def anchors(page):
    """What a link to a place in a page can name: its headings, as GitHub spells them."""
    headings = re.findall(r"^#+ (.+)$", text(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A folder to work in: PICTURES, annotations.csv with two landmarks of each, and photo.jpg."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "PICTURES").mkdir()
    rows = ["file,left_eye_x,left_eye_y,right_eye_x,right_eye_y"]
    for seed in range(4):  # too few to take turns, so that heads are fitted once
        random = np.random.default_rng(seed)
        coarse = Image.fromarray(random.integers(0, 256, [6, 6, 3], np.uint8))
        coarse.resize((40, 36), Image.Resampling.BICUBIC).save(f"PICTURES/{seed}.png")
        rows.append(f"{seed}.png,{12 + seed}.5,14,{25 + seed},16")
    (tmp_path / "annotations.csv").write_text("\n".join(rows))
    coarse.resize((50, 40)).save("photo.jpg")
    return tmp_path


def test_the_python_face_does_what_the_readme_shows(pictures, monkeypatch, capsys, undrawn):
    train, tiny = dense_labels.train, {**TINY, "data.cache_dir": str(pictures / "cache")}
    monkeypatch.setattr(dense_labels, "train", lambda *args, **kwargs: train(*args, **kwargs, **tiny))
    whole, labels_and_matches = examples("README.md", "The same in Python")
    names = {}
    exec(whole.replace('HEADS = ("nearest", "regress", "detector")', 'HEADS = "nearest"'), names)
    assert names["result"].best == "nearest" and names["result"].landmark_names == ("left_eye", "right_eye")
    assert "nearest" in capsys.readouterr().out

    random = np.random.default_rng(0)
    names["images"] = names["image_a"] = random.integers(0, 256, [2, 33, 40, 3], np.uint8)
    names["image_b"] = random.uniform(size=[2, 50, 44, 3])
    exec(labels_and_matches, names)
    assert names["labels"].values.shape == (2, 16, 18, 64) and names["labels"].stride == 2
    assert names["match"].points_in_b.shape == (2, 16, 18, 2)

    (served,) = examples("docs/serving.md", "The exported model")
    exec(served, names)
    assert names["points"].shape == [1, 2, 2]


def test_the_parts_are_put_together_as_the_design_page_shows(capsys):
    (code,) = examples("docs/design.md", "Use the parts")
    names = {}
    exec(code, names)
    assert names["labels_a"].shape == [2, 32, 32, 3]
    assert (names["figures"]["loss"].numpy() > 0).all() and (names["figures"]["matching_error"].numpy() > 0).all()
    assert capsys.readouterr().out.count("tf.Tensor") == 2


def test_a_loss_is_added_from_outside_as_the_design_page_shows(tmp_path):
    loss, configuration = examples("docs/design.md", "Add something of your own")
    (tmp_path / "square_loss.py").write_text(loss)
    (tmp_path / "my_faces.py").write_text(configuration)
    config = config_files.find(tmp_path / "my_faces.py")
    config.data.dir, config.data.annotations = "IMAGES", "TRAIN.json"
    config_lib.check(config)
    layer = dense_labels.registry.LOSSES[config.loss.name].value(config, 2)
    assert config.loss.name == "square" and layer.gamma == 2


def test_the_readme_can_be_read_in_one_go():
    assert len(text("README.md").splitlines()) <= 200


@each_page
def test_every_relative_link_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", text(page)):
        path, _, place = link.partition("#")
        if not path.startswith(("http:", "https:")):
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not place or place in anchors(target), link


@each_page
def test_the_commands_name_what_there_is(page):
    for module in set(re.findall(r"python -m ([\w.]+)", text(page))):
        assert importlib.util.find_spec(module), module
    for key in set(re.findall(r"--config\.([\w.]+)", text(page))):
        assert key in config_lib.key_names(), key
    for name in set(re.findall(r"--config=(\S+)(?=\s)", text(page))):
        assert name.strip("`.,:;") in config_files.names() or not re.fullmatch(r"[a-z_]+", name.strip("`.,:;")), name


def defined_flags(source, seen=()):
    """The flags that a program defines, and those of our modules that it imports at its top: their names."""
    code = source.read_text(encoding="utf-8")
    found = set(re.findall(r"""DEFINE_\w+\(\s*f?"(\w+)\"""", code)) | set(
        re.findall(r'add_argument\(\s*"--(\w+)"', code)
    )
    for package, names in re.findall(r"^from ([\w.]+) import (.+)$", code, flags=re.MULTILINE):
        for name in (f"{package}.{each.strip()}" for each in (*names.split(","), "")):
            module = ROOT / (name.strip(".").replace(".", "/") + ".py")
            if module.is_file() and module not in seen:
                found |= defined_flags(module, (*seen, source, module))
    return found


@each_page
def test_the_commands_give_flags_that_there_are(page):
    """Of our own programs, with what continues on the next line; what follows `--` goes to another program."""
    joined = text(page).replace("\\\n", " ")
    spans = [line for block in re.findall(r"```\w*\n(.*?)```", joined, flags=re.DOTALL) for line in block.splitlines()]
    spans += [
        " ".join(span.split()) for span in re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", joined, flags=re.DOTALL))
    ]
    for span in spans:
        for module, script, rest in re.findall(r"python (?:-m ([\w.]+)|(\S+\.py))(.*)", span):
            path = module.replace(".", "/")
            source = ROOT / (script or (f"{path}/__main__.py" if (ROOT / path).is_dir() else f"{path}.py"))
            if source.is_file():
                given = re.findall(r"(?<!\S)\[?--(\w+)", rest.partition(" -- ")[0].partition("#")[0])
                unknown = set(given) - defined_flags(source) - {"config", "help", *BEAMS}
                assert not unknown, (span, unknown)


@each_page
def test_the_files_and_folders_that_code_spans_name_are_there(page):
    ours = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"runs"}
    for span in re.findall(r"`([\w.]+/[\w./]*)`", text(page)):
        if span.partition("/")[0] in ours:
            assert (ROOT / span).exists(), span
