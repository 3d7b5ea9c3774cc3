"""Imports go one way; what is bound to go stays in as few modules as possible."""

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
    "configs",
    "benchmarks",
    "serving",
    "tests",
}
COMMANDS = {"input_pipeline/preview.py"}  # mains of their own
EVERYWHERE = ("*.py", *(f"{folder}/**/*.py" for folder in sorted(OURS)))


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
    return names


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


def test_the_method_imports_nothing_else_of_ours():
    for path in modules("dense_labels/**/*.py"):
        assert not below(imports(path), *OURS - {"dense_labels"}), path


@pytest.mark.parametrize("package", ["models", "input_pipeline"])
def test_data_and_networks_know_only_the_frame_the_matching_and_the_configuration(package):
    allowed = [f"dense_labels.{name}" for name in ("method.geometry", "method.matching", "config")]
    commands = {ROOT / command for command in COMMANDS}
    for path in set(modules(f"{package}/**/*.py")) - commands:
        ours = below(imports(path), *OURS - {package})
        assert ours == below(ours, *allowed), path


def test_the_mains_know_nothing_of_each_other():
    for path in modules("*_main.py"):
        assert not below(imports(path), "train_main", "eval_main", "tests", "benchmarks")


def test_tensorflow_graphics_is_imported_where_spheres_and_rotations_are():
    assert importers("tensorflow_graphics", modules(*EVERYWHERE)) == [
        "dense_labels/method/label_sphere.py",
        "input_pipeline/simulation/sphere_camera.py",
        "input_pipeline/simulation/sphere_motion.py",
        "tests/commands.py",
    ]


def test_tensorflow_addons_never_lies_on_an_exported_graph():
    assert importers("tensorflow_addons", modules("dense_labels/**/*.py", "models/**/*.py")) == []


def test_flags_are_read_by_the_mains_alone():
    below_the_mains = modules("dense_labels/**/*.py", "models/**/*.py", "input_pipeline/**/*.py")
    assert set(importers("absl.flags", below_the_mains)) == {"dense_labels/command_line.py"} | COMMANDS
    assert importers("absl.flags", modules("*_main.py")) == ["eval_main.py", "train_main.py"]


def test_keras_is_used_through_its_public_interface():
    for private in ("keras", "tensorflow.python", "tensorflow.keras"):
        assert importers(private, modules(*EVERYWHERE)) == []
