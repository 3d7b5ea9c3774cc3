"""Landmarks in TPS files, as tpsDig writes them.

Convention: x counts from the left and y from the BOTTOM of the picture, so y is taken from the picture's height, which
is read from the picture. tpsDig's help and Rohlf's description of the format (tpsRelw, 2010) do not say whether whole
numbers are centres or corners of pixels; they are taken for continuous pixels here, as our own files are written, which
can be off by half a pixel. A landmark that tpsDig could not place has two negative coordinates, as geomorph's `negNA`
documents; some programs write NA.

Coordinates are in pixels also where there is a SCALE=, which says how large a pixel is: other programs multiply with
it. What was multiplied, or aligned, is in no pixels, and refused.
"""

import os
import re
from typing import NamedTuple

import numpy as np

from dense_labels import progress
from dense_labels.config import DataConfig
from dense_labels.registry import READERS
from input_pipeline.readers import annotated, landmark_files
from input_pipeline.readers.annotated import Found, Object
from input_pipeline.readers.pictures import Pictures
from input_pipeline.storage import decoding

_KEY = re.compile(r"\s*([A-Za-z][A-Za-z0-9]*)\s*=(.*)")
_OTHER = {"CURVES": "curves", "OUTLINES": "outlines", "CHAINS": "outlines", "RADII": "radii", "CIRCLES": "circles"}
_SMALL = 1.5  # coordinates of a shape of size 1 are smaller; those of pixels are not all
_CENTRED = 0.01  # of its extent: how far from 0 the mean of an aligned shape may lie
_WINDOWS = "cp1252"  # the encoding of Western Windows, on which tpsDig runs
_FINE = 0.5  # of a unit: a pixel is less than that where coordinates in the unit can be told from pixels


class _Specimen(NamedTuple):
    where: str
    points: list[tuple[float, float] | None]  # as they are written; None: NA
    keys: dict[str, str]


@READERS.register(
    "tps",
    "pictures with landmarks in a TPS file of tpsDig",
    keys=annotated.KEYS,
    check=landmark_files.check,
    annotations=".tps",
)
def read(data: DataConfig) -> dict[str, Pictures]:
    """Reads the files of a configuration; see `read_file`."""
    return annotated.read_splits(data, read_file)


def read_file(
    dir: str | os.PathLike, annotations: str | os.PathLike, *, boxed: bool = False, category: str = ""
) -> Pictures:
    """Reads LM= and IMAGE= of each specimen; says which curves and outlines are passed over.

    A specimen with LM=0 was not digitised yet, as tpsUtil writes it: it is left out, and a note counts those.

    Args:
      dir: folder that IMAGE= starts from.
      annotations: path of the TPS file.
      boxed: whether boxes about the landmarks are asked for.
      category: is for formats that have kinds of object; this one has none.

    Returns:
      `Pictures` in the order of the file; landmarks have no names.

    Raises:
      ValueError: naming the file and its line that is wrong; what is in no pixels, has three dimensions or no picture.
    """
    specimens = _digitised(_specimens(annotations), annotations)
    for each in specimens:
        if "IMAGE" not in each.keys:
            raise ValueError(f"{each.where}: has no IMAGE=, so it is of no picture; an aligned shape cannot be read")
    counts = {len(each.points) for each in specimens}
    if len(counts) > 1:
        raise ValueError(f"{annotations}: all specimens must have the same number of landmarks; found {sorted(counts)}")
    names = [each.keys["IMAGE"] for each in specimens]
    paths = landmark_files.find_pictures(dir, names, [each.where for each in specimens])
    sizes = decoding.read_sizes(paths)
    _check_pixels(specimens, [sizes[path] for path in paths])
    objects = []
    for each, path in zip(specimens, paths):
        height = sizes[path][0]
        points = {str(k): (x, height - y) for k, (x, y) in enumerate(map(_placed, each.points)) if x is not None}
        objects.append(Object(each.where, path, points))
    found = Found(objects, {"": [str(k) for k in range(counts.pop())]}, named=False)
    return annotated.pictures(annotations, found, boxed=boxed, category=category)


def _specimens(file):
    """The specimens of a file; a line that is no KEY=VALUE belongs to the key above it."""
    lines = landmark_files.read_text(file, otherwise=_WINDOWS).splitlines()
    specimens, wanted, skipped = [], 0, set()
    for index, line in enumerate(lines):
        where, key = f"{file}, line {index + 1}", _KEY.fullmatch(line)
        if wanted and (key or not line.strip()):
            raise ValueError(f"{where}: {wanted} more landmarks are expected, x and y in a line each")
        if wanted:
            specimens[-1].points.append(_point(line, where))
            wanted -= 1
        elif key and key[1].upper() in ("LM", "LM3"):
            wanted = _count(key, where)
            specimens.append(_Specimen(where, [], {}))
        elif key and specimens:
            skipped |= {_OTHER[key[1].upper()]} & set(_OTHER.values()) if key[1].upper() in _OTHER else set()
            specimens[-1].keys.setdefault(key[1].upper(), key[2].strip())
        elif line.strip() and not (specimens and set(specimens[-1].keys) & {*_OTHER, "COMMENT", "VARIABLES"}):
            raise ValueError(progress.printable(f"{where}: LM= is expected first; found {line[:40]!r}"))
    if not specimens or wanted:
        raise ValueError(f"{file}: LM= and that many landmarks are expected for each picture; the file ends before")
    if skipped:
        progress.note(f"{file}: {' and '.join(sorted(skipped))} are passed over; only the landmarks of LM= are read")
    return specimens


def _digitised(specimens, file):
    """The specimens that have landmarks; says how many have none."""
    found = [each for each in specimens if each.points]
    if not found:
        raise ValueError(
            f"{file}: LM=0 stands at each of its {len(specimens)} pictures; place landmarks in some of them"
        )
    if left := len(specimens) - len(found):
        progress.note(f"{file}: {left} of {len(specimens)} pictures have LM=0: not annotated, and left out")
    return found


def _count(key, where):
    if key[1].upper() == "LM3":
        raise ValueError(f"{where}: LM3= are landmarks in three dimensions, which are not in the plane of a picture")
    count = key[2].strip()  # of more kinds of space than int() takes
    if not re.fullmatch(r"[0-9]{1,5}", count):
        raise ValueError(progress.printable(f"{where}: LM= must be the number of landmarks; found {key[2][:40]!r}"))
    return int(count)


def _point(line, where):
    """x and y, or None of a landmark that was not placed."""
    words = line.split()
    if len(words) != 2:
        raise ValueError(progress.printable(f"{where}: x and y of a landmark are expected; found {line[:40]!r}"))
    if [word.upper() for word in words] == ["NA", "NA"]:
        return None
    x, y = (annotated.number(word, where) for word in words)
    return x, y


def _placed(point):
    """x and y; None and None of a landmark that was not placed."""
    return (None, None) if point is None or max(point) < 0 else point


def _check_pixels(specimens, sizes):
    """Refuses coordinates that are in no pixels: aligned shapes, those multiplied with SCALE, zeros for no place."""
    zeros = [each.where for each in specimens for point in each.points if point == (0, 0)]
    if len(zeros) > 1:
        raise ValueError(
            f"{zeros[0]}: has a landmark at 0 0, and so have {len(zeros)} in all: programs write this where there is "
            "none; write two negative numbers or NA there"
        )
    for each in specimens:
        written = np.array([point for point in each.points if point is not None]).reshape([-1, 2])
        placed = written[(written >= 0).any(axis=1)]
        small = len(placed) > 1 and (np.abs(placed) <= _SMALL).all()
        centred = len(placed) and (np.abs(written.mean(axis=0)) <= _CENTRED * np.ptp(written, axis=0)).all()
        if small or centred:
            raise ValueError(f"{each.where}: is an aligned shape or in shares of a side, not in pixels of its picture")
    scales = [_scale(each) for each in specimens]
    units = [
        0 < scale < _FINE and all((_placed(point)[0] or 0) <= scale * size[1] for point in each.points)
        for each, scale, size in zip(specimens, scales, sizes)
    ]
    if all(units):
        raise ValueError(
            f"{specimens[0].where}: no landmark is further from the left than the picture is wide in the unit of its "
            f"SCALE={specimens[0].keys['SCALE']}; these look like millimetres, and pixels are expected"
        )


def _scale(specimen):
    text = specimen.keys.get("SCALE")
    return annotated.number(text, f"{specimen.where}: SCALE=") if text else 0
