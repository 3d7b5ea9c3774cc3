"""What is merged in tests: pictures, and files of their landmarks in any format."""

import dataclasses

import numpy as np
from PIL import Image

from dense_labels.prediction.predictions import Predictions
from input_pipeline.storage import uncorrected

NAMES = ("left_eye", "tip", "tail")
OLD = {
    "a.png": [[1.25, 2], [3, 4], [5, 6.5]],
    "in/b.png": [[7, 8], [9, 10.5], [11, 12]],
    "c.png": [[4, 5], [6, 7], [8, 9.25]],
}
NEW = {"d.png": [[2, 3], [4, 5], [6, 7.5]], "in/b.png": [[20, 21.25], [22, 23], [24, 25]]}
ALL = {**OLD, **NEW}
NUMBERED = ("tps", "pts")


def draw_pictures(tmp_path):
    """The folder of four pictures; that of b.png lies on its side in the file, and upright for who sees it."""
    pictures = tmp_path / "pictures"
    for name in ALL:
        (pictures / name).parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = 6 if name == "in/b.png" else 1
        Image.new("RGB", (40, 64) if name == "in/b.png" else (64, 40)).save(pictures / name, exif=exif)
    return pictures


def saved(folder, out, name, points, order=NAMES, by_hand=True, **changed):
    """Writes landmarks in a format, in an order of its own, as by a person or as predicted; returns the file."""
    columns = [NAMES.index(each) for each in order]
    values = np.float32(list(points.values()))[:, columns]
    named, size = name not in NUMBERED, np.full([len(points), 2], (40, 64))
    score = np.ones(values.shape[:2], np.float32)
    given = Predictions(str(folder), tuple(points), size, tuple(order), values, score, named=named)
    file = dataclasses.replace(given, **changed).save(out, name)[0]
    return of_a_person(file) if by_hand else file


def of_a_person(file):
    """A file that is not known to be of predictions any more."""
    (file.parent / uncorrected.WRITTEN).unlink()
    return file


def table(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path
