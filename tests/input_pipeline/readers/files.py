"""Small pictures for the tests of readers."""

import os

from PIL import Image


def draw(folder, *names, size=(64, 48)):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(folder / name)


def paths(folder, *names):
    return tuple(os.path.join(folder, name) for name in names)
