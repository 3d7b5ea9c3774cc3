"""Facts about the house that anyone can check: how long modules and functions are, and what is typed."""

import ast
import collections
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[1]
TYPED = ("dense_labels", "input_pipeline", "models", "serving")
LONGEST_MODULE, LONGEST_FUNCTION = 300, 30  # lines
LONG_FOR_A_REASON = {
    "dense_labels/method/one_pass.py:_sweep_rows": "one loop; its step closes over the rows and is no use elsewhere",
    "dense_labels/training/loop.py:train": "the order of its steps is the point: strategy, restore, callbacks, fit",
}


def modules(*folders):
    paths = [path for folder in folders for path in ROOT.glob(f"{folder}/**/*.py")]
    return sorted([*paths, *ROOT.glob("*_main.py")])


def functions(path):
    """The functions of a module with their qualified names; those in functions are left out."""

    def visit(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield f"{prefix}{child.name}", child
            elif isinstance(child, ast.ClassDef):
                yield from visit(child, f"{prefix}{child.name}.")

    return visit(ast.parse(path.read_text()), "")


def body_lines(node):
    """How many lines a function has below its docstring."""
    body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
    return body[-1].end_lineno - body[0].lineno + 1


def test_no_module_is_long():
    every = modules(*TYPED, "benchmarks", "configs")
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in every}
    assert {path: lines for path, lines in long.items() if lines > LONGEST_MODULE} == {}


def test_no_function_is_long():
    long = {
        f"{path.relative_to(ROOT)}:{name}": body_lines(node)
        for path in modules(*TYPED)
        for name, node in functions(path)
        if body_lines(node) > LONGEST_FUNCTION
    }
    assert set(long) == set(LONG_FOR_A_REASON)


def test_every_public_function_is_typed():
    """Keras' own methods, which it calls itself, say the types in their docstrings."""
    keras = {"call", "build", "get_config", "compute_metrics", "update_step"}
    callbacks = {"on_train_begin", "on_train_end", "on_train_batch_end", "on_epoch_end", "on_epoch_begin"}
    untyped = []
    for path in modules(*TYPED):
        for name, node in functions(path):
            last = name.rpartition(".")[2]
            if any(part.startswith("_") for part in name.split(".")) or last in keras | callbacks:
                continue
            if node.returns is None:
                untyped.append(f"{path.relative_to(ROOT)}:{name}")
    assert untyped == []


def test_every_folder_says_what_it_is():
    for path in modules(*TYPED):
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_folders_are_small():
    """A folder that nobody can overlook: at most eighteen modules in each."""
    count = collections.Counter(str(path.parent.relative_to(ROOT)) for path in modules(*TYPED))
    assert {folder: number for folder, number in count.items() if number > 18} == {}
