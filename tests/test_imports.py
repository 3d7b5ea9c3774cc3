"""Imports go one way, from the mains down to the method; what is bound to go stays in as few modules as possible."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
OURS = {
    "dense_labels",
    "input_pipeline",
    "models",
    "train_main",
    "eval_main",
    "predict_main",
    "configs",
    "benchmarks",
    "serving",
    "tests",
}
COMMANDS = {f"input_pipeline/{name}.py" for name in ("preview", "service", "write_shards")}  # mains of their own
EVERYWHERE = ("*.py", *(f"{folder}/**/*.py" for folder in sorted(OURS)))

METHOD = {"dense_labels.method", "dense_labels.compat"}
BOTTOM = {
    f"dense_labels.{name}"
    for name in (
        "batches",
        "config",
        "config_checks",
        "config_files",
        "config_keys",
        "files",
        "progress",
        "registry",
        "user_code",
    )
}
PARTS = {name: {f"dense_labels.{name}"} for name in ("evaluation", "pictures", "reporting", "exporting", "training")}
RUN = {f"dense_labels.{name}" for name in ("kept_heads", "run", "run_config", "run_evaluation", "run_pictures")}
RUN |= {"dense_labels.run_training"}
ALLOWED = {  # which of our modules the modules of a folder may import, each folder itself too
    "dense_labels/method": {"dense_labels.compat"},
    "models": BOTTOM | METHOD,
    "input_pipeline": BOTTOM | METHOD | {"dense_labels.exporting.decoding_graph"},  # a file means the same in shards
    "dense_labels/evaluation": BOTTOM | METHOD,
    "dense_labels/pictures": BOTTOM | METHOD | PARTS["evaluation"],
    "dense_labels/reporting": BOTTOM | METHOD | PARTS["evaluation"] | PARTS["pictures"],
    "dense_labels/exporting": BOTTOM | METHOD | PARTS["evaluation"],
    "dense_labels/prediction": BOTTOM
    | PARTS["pictures"]
    | PARTS["exporting"]
    | {"dense_labels.prediction", "input_pipeline"},
    "dense_labels/detection": BOTTOM
    | METHOD
    | PARTS["evaluation"]
    | {"dense_labels.detection", "input_pipeline", "models"},
    "dense_labels/annotation": BOTTOM
    | METHOD
    | PARTS["reporting"]
    | {"dense_labels.annotation", "dense_labels.prediction", "dense_labels.kept_heads", "dense_labels.run_config"}
    | {"dense_labels.evaluation.sides", "input_pipeline"},
    "dense_labels/training": BOTTOM | METHOD | PARTS["evaluation"] | PARTS["pictures"] | PARTS["reporting"],
}


def modules(*patterns):
    found = sorted(path for pattern in patterns for path in ROOT.glob(pattern))
    assert found, f"nothing matches {patterns}"
    return found


def imports(path):
    """Dotted names of everything a file imports, wherever in it: `from a import b` gives "a.b"."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written from the root"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names - {"__future__.annotations"}


def below(names, *packages):
    """Those of the names that are one of these packages or lie in one."""
    return {name for name in names if any(f"{name}.".startswith(f"{package}.") for package in packages)}


def importers(package, paths):
    return [str(path.relative_to(ROOT)) for path in paths if below(imports(path), package)]


def test_the_reader_of_imports_sees_them_all(tmp_path):
    path = tmp_path / "module.py"
    path.write_text("import a.b as c, d\nfrom e.f import g, h as i\ndef k():\n    from j import l\n    import m\n")
    assert imports(path) == {"a.b", "d", "e.f.g", "e.f.h", "j.l", "m"}
    assert below({"a.b", "ab", "a"}, "a") == {"a.b", "a"}


@pytest.mark.parametrize("folder", ALLOWED)
def test_a_folder_imports_itself_and_what_lies_below_it(folder):
    commands = {ROOT / command for command in COMMANDS}
    for path in set(modules(f"{folder}/**/*.py")) - commands:
        ours = below(imports(path), *OURS)
        assert ours == below(ours, folder.replace("/", "."), *ALLOWED[folder]), path


def test_the_bottom_imports_nothing_above_it():
    for name in BOTTOM:
        path = ROOT / f"{name.replace('.', '/')}.py"
        ours = below(imports(path), *OURS)
        allowed = set(BOTTOM)
        if name in ("dense_labels.config", "dense_labels.config_checks", "dense_labels.config_keys"):
            allowed.add("models.networks")  # read without TensorFlow
        assert ours == below(ours, *allowed), path


def test_networks_and_data_meet_in_the_runs_alone():
    """Only what the mains call imports `models` and `input_pipeline`; predicting, annotating, detecting read some."""
    parts = ("prediction", "annotation", "detection")
    reading = {path for part in parts for path in modules(f"dense_labels/{part}/**/*.py")}
    inside = [path for path in modules("dense_labels/*/**/*.py") if path not in reading]
    assert importers("input_pipeline", inside) == []
    drawn = [path for path in reading if "detection" not in path.parts]
    assert importers("models", [*inside, *drawn]) == []
    above = {pathlib.Path(path).stem for path in importers("input_pipeline", modules("dense_labels/*.py"))}
    assert {f"dense_labels.{name}" for name in above} <= RUN


def test_the_mains_are_flags_and_one_call():
    for path in modules("*_main.py"):
        assert not below(imports(path), *OURS - {"dense_labels"}), path
        assert len(path.read_text().splitlines()) <= 60, path


def test_tensorflow_graphics_is_imported_where_spheres_and_rotations_are():
    calls = [path for path in modules("*.py", "[dim]*/**/*.py") if "compat.graphics(" in path.read_text()]
    assert [str(path.relative_to(ROOT)) for path in calls] == [
        "dense_labels/method/label_sphere.py",
        "input_pipeline/simulation/sphere_camera.py",
        "input_pipeline/simulation/sphere_motion.py",
    ]
    assert importers("tensorflow_graphics", modules(*EVERYWHERE)) == []


def test_tensorflow_addons_never_lies_on_an_exported_graph():
    """`compat` gives its resampler to the warps alone, which are of the training."""
    ours = modules("dense_labels/**/*.py", "models/**/*.py", "input_pipeline/**/*.py")
    assert importers("tensorflow_addons", ours) == ["dense_labels/compat.py"]
    calls = [path for path in ours if "compat.resampler(" in path.read_text()]
    assert [str(path.relative_to(ROOT)) for path in calls] == ["input_pipeline/views/warps.py"]


def test_flags_are_read_by_the_mains_alone():
    below_the_mains = modules("dense_labels/**/*.py", "models/**/*.py", "input_pipeline/**/*.py")
    assert set(importers("absl.flags", below_the_mains)) == {"dense_labels/command_line.py"} | COMMANDS
    assert importers("absl.flags", modules("*_main.py")) == ["eval_main.py", "predict_main.py", "train_main.py"]


def test_nothing_below_the_mains_prints_but_through_one_place():
    printing = []
    for path in modules("dense_labels/**/*.py", "models/**/*.py", "input_pipeline/**/*.py"):
        calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
        if any(isinstance(call.func, ast.Name) and call.func.id == "print" for call in calls):
            printing.append(str(path.relative_to(ROOT)))
    assert set(printing) <= {"dense_labels/progress.py", "dense_labels/command_line.py"} | COMMANDS


def test_keras_is_used_through_its_public_interface():
    for private in ("keras", "tensorflow.python", "tensorflow.keras"):
        assert importers(private, modules(*EVERYWHERE)) == []


def _defined(tree):
    """The names that a module has at its top, also in the branches of conditions."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def test_what_is_imported_of_our_own_is_there():
    """Imports inside functions too, which fail only when the function is called."""
    trees = {path: ast.parse(path.read_text()) for pattern in EVERYWHERE for path in ROOT.glob(pattern)}
    names = {path: set(_defined(tree)) for path, tree in trees.items()}
    missing = []
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or node.level or (node.module or "").partition(".")[0] not in OURS:
                continue
            place = ROOT / node.module.replace(".", "/")
            module = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
            has = lambda name: (place / name).is_dir() or (place / f"{name}.py").is_file()  # noqa: E731, B023
            known = names.get(module, set())
            missing += [
                f"{path.relative_to(ROOT)}: {node.module}.{alias.name}"
                for alias in node.names
                if alias.name not in known and not has(alias.name) and "__getattr__" not in known
            ]
    assert not missing
