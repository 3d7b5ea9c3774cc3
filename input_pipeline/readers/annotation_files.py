"""Any file or folder of annotations: which reader it is for, and what that reads."""

import os

from dense_labels import registry
from dense_labels.config import DataConfig
from dense_labels.registry import READERS
from input_pipeline.readers.pictures import Pictures


def kind_of(path: str | os.PathLike) -> str:
    """Tells the format of a file or folder of annotations: by its ending, and by its content where several have that.

    Args:
      path: of the file or folder.

    Returns:
      The name of a reader in the registry READERS.

    Raises:
      ValueError: if there is no such file, or no reader takes it; naming what is read.
    """
    path = os.path.expanduser(os.fspath(path))
    ending = "folder" if os.path.isdir(path) else os.path.splitext(path)[1].lower()
    entries = [entry for entry in READERS.values() if ending in _endings(entry)]
    if not entries:
        endings = {each: None for entry in READERS.values() for each in _endings(entry) if each != "folder"}
        raise ValueError(f"{path}: a file {', '.join(sorted(endings))} or a folder of annotations is expected")
    if not os.path.exists(path):
        raise ValueError(f"{path}: there is no such file; give a file or folder of annotations")
    told = [entry for entry in entries if entry.facts.get("holds") and entry.facts["holds"](path)]
    others = [entry for entry in entries if not entry.facts.get("holds")]
    if not told and not others:
        words = "; ".join(f"{entry.name}: {entry.words}" for entry in entries)
        what = "folders" if ending == "folder" else f"files {ending}"
        raise ValueError(f"{path}: holds none of what is read from {what}: {words}")
    if len(told) > 1:
        names = " and of ".join(entry.name for entry in told)
        raise ValueError(f"{path}: holds annotations of {names}; give a folder, or the file, of one of them")
    return (told or others)[0].name


def _endings(entry: registry.Entry) -> tuple[str, ...]:
    endings = entry.facts.get("annotations") or ()
    return (endings,) if isinstance(endings, str) else tuple(endings)


def read(dir: str | os.PathLike, annotations: str | os.PathLike, *, category: str = "") -> Pictures:
    """Reads a file or folder of annotations of any format, as `--annotations` does.

    What is read is not held against the pictures yet; see `consistency.checked`.

    Args:
      dir: folder that names of pictures start from.
      annotations: path of the file or folder.
      category: kind of the objects, where it has several.

    Returns:
      `Pictures`, one for each annotated object; with `boxes` where a picture has several.

    Raises:
      ValueError: as `kind_of` and the reader.
    """
    path = os.path.expanduser(os.fspath(annotations))
    data = DataConfig(name=kind_of(path), dir=os.fspath(dir), annotations=path, category=category)
    return READERS[data.name].value(data)["train"]  # "annotated" lacks the lines of a table without landmarks
