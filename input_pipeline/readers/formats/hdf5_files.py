"""HDF5 files, as somebody else may have made them: read without running what one says, and no other file with it.

PyTables takes attributes and arrays that look like pickled Python objects for such, and a pickled object can run a
program. HDF5 itself can take the data of a file from any other file of the machine.
"""

import contextlib
import io
import os
import pickle
import types
from collections.abc import Iterator
from typing import Any

_UNPICKLING = ("tables.atom", "tables.attributeset")  # modules of PyTables


@contextlib.contextmanager
def opened(path: str | os.PathLike) -> Iterator[Any]:
    """Opens a file to read it.

    Yields:
      The h5py.File.

    Raises:
      ValueError: if it takes data from other files.
      OSError: if it cannot be read; h5py raises almost anything else at damaged files.
    """
    import h5py

    def look(name):
        link = file.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            return f"it takes {name} from another file, {link.filename}"
        found = file.get(name) if isinstance(link, h5py.HardLink) else None
        if isinstance(found, h5py.Dataset) and (found.external or found.is_virtual):
            return f"it takes {name} from other files"
        return None

    with h5py.File(path, "r") as file:
        if said := file.visit_links(look):
            raise ValueError(said)
        yield file


def check(path: str | os.PathLike) -> None:
    """Checks a file that another library opens; raises as `opened`."""
    with opened(path):
        pass


@contextlib.contextmanager
def without_objects() -> Iterator[None]:
    """Has PyTables read plain pickled values alone: lists, tuples, text and numbers.

    Raises:
      ValueError: once it is left, if anything else was met, which was not made.
    """
    import importlib

    met: list[str] = []

    class Plain(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            met.append(f"{module}.{name}")
            raise pickle.UnpicklingError

    restricted: Any = types.ModuleType("pickle")
    restricted.__dict__.update(vars(pickle))
    restricted.loads = lambda content, **options: Plain(io.BytesIO(content), **options).load()
    modules = [importlib.import_module(name) for name in _UNPICKLING]
    before = [module.pickle for module in modules]  # an AttributeError of a PyTables that does it in another way
    try:
        for module in modules:
            module.pickle = restricted  # type: ignore[attr-defined]
        yield
    finally:
        for module, known in zip(modules, before):
            module.pickle = known  # type: ignore[attr-defined]
        if met:
            raise ValueError(f"it holds Python objects, which could run a program: {', '.join(dict.fromkeys(met))}")
