"""Folders of text files, which some formats are."""

import pathlib
from collections.abc import Mapping


def write_folder(folder: pathlib.Path, contents: Mapping[str, str]) -> None:
    """Makes a folder of texts.

    Args:
      folder: its path, at which there is nothing yet.
      contents: path of a file in it, with "/" between folders -> text.

    Raises:
      ValueError: if a file would lie outside of the folder.
      OSError: if something cannot be written.
    """
    if outside := [place for place in contents if place.startswith("/") or ".." in place.split("/")]:
        raise ValueError(f"{outside[0]}: lies outside of the folder that names start from; choose another format")
    folder.mkdir()
    for place, text in contents.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text, encoding="utf-8")
