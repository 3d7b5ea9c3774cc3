"""AFLW in the five-landmark form of MTFL: faces in the wild, cropped to 150 x 150.

The 2,995 test crops are those of MTFL (Zhang et al., ECCV 2014). The 10,122 training crops are those of Thewlis et al.,
ICCV 2017, which leave the photographs of the test crops out. MTFL's own training list is of other data sets and is not
used.
"""

import pathlib

import numpy as np

from dense_labels import progress
from dense_labels.config import DataConfig
from dense_labels.registry import READERS
from input_pipeline.readers import landmark_files, normalisers
from input_pipeline.readers.pictures import STILL_KEYS, Pictures

# Left and right as the picture shows them.
LANDMARK_NAMES = ("left_eye", "right_eye", "nose", "left_mouth_corner", "right_mouth_corner")

_TRAIN_LIST, _TEST_LIST = "facedata_cropped.csv", "testing.txt"
_PLACES = {_TRAIN_LIST: ("aflw_cropped", "."), _TEST_LIST: ("MTFL", ".")}
_PUBLISHED = {"train": 10_122, "test": 2_995}
_TRAIN_COLUMNS = ("image_file", "crop_file", "set")
_TRAIN_POINTS = slice(4, 14)  # columns x1, y1, ..., x5, y5


@READERS.register("aflw", "AFLW in the crops of MTFL: faces with five landmarks", keys=STILL_KEYS)
def read(data: DataConfig) -> dict[str, Pictures]:
    """Reads AFLW's two lists, and checks that they share no photograph.

    "train" and "annotated" are both all of the training crops.

    Convention: both lists come from MATLAB and count pixels from 1 at their centre, so half a pixel is taken off. MTFL
    does not say so; published code that uses both lists takes them so.

    Args:
      data: `dir` holds aflw_cropped/facedata_cropped.csv, with the crops it names beside it, and MTFL/testing.txt, with
        AFLW/*.jpg beside it; either list may also lie in that folder itself.

    Returns:
      Dictionary split -> `Pictures`; errors are divided by the distance of the eyes.

    Raises:
      ValueError: naming what is missing or damaged, or a photograph that is in both lists.
    """
    found = _find(pathlib.Path(data.dir).expanduser())
    train, train_photographs = _read_train(found[_TRAIN_LIST])
    test, test_photographs = _read_test(found[_TEST_LIST])
    both = train_photographs & test_photographs
    if both:
        raise ValueError(f"{min(both)} is in {found[_TRAIN_LIST]} and in {found[_TEST_LIST]}; get both lists anew")
    for split, pictures in (("train", train), ("test", test)):
        if len(pictures) != _PUBLISHED[split]:
            progress.note(f"aflw: {len(pictures):,} {split} pictures; published results are on {_PUBLISHED[split]:,}")
    return {"train": train, "annotated": train, "test": test}


def _find(folder):
    """Name of a list -> where it lies."""
    found = {}
    for name, places in _PLACES.items():
        found[name] = next((folder / place / name for place in places if (folder / place / name).exists()), None)
    missing = [str(pathlib.Path(_PLACES[name][0], name)) for name, path in found.items() if path is None]
    if missing:
        raise ValueError(
            f"{folder} lacks {' and '.join(missing)}; it must hold the folders aflw_cropped (the training crops and "
            "their list) and MTFL (the test crops and theirs)"
        )
    return found


def _read_train(path):
    """Pictures of the rows whose set is 1, and the names of the photographs they were cropped from."""
    header, *rows = [cells for _, cells in landmark_files.read_csv(path)] or [[]]
    if not set(_TRAIN_COLUMNS) <= set(header) or any(len(row) < _TRAIN_POINTS.stop for row in rows):
        raise ValueError(
            f"{path}: expected rows with {', '.join(_TRAIN_COLUMNS)} and, in columns 5 to 14, five points x, y; "
            f"found the columns {', '.join(header)}"
        )
    photograph, crop, part = (header.index(name) for name in _TRAIN_COLUMNS)
    in_train = _numbers([row[part] for row in rows], path) == 1
    rows = [row for row, kept in zip(rows, in_train) if kept]
    points = _numbers([row[_TRAIN_POINTS] for row in rows], path).reshape(-1, 5, 2)
    return _pictures(path, [row[crop] for row in rows], points), {row[photograph] for row in rows}


def _read_test(path):
    """Pictures of all lines, path x1 ... x5 y1 ... y5 and four attributes, and the names of their photographs."""
    rows = [line.split() for line in landmark_files.read_text(path).splitlines() if line.strip()]
    wrong = next((row for row in rows if len(row) != 15), None)
    if wrong:
        raise ValueError(f"{path}: expected lines of a path, ten coordinates and four numbers; found {' '.join(wrong)}")
    names = [row[0].replace("\\", "/") for row in rows]
    points = _numbers([row[1:11] for row in rows], path).reshape(-1, 2, 5).swapaxes(1, 2)
    return _pictures(path, names, points), {name.rsplit("/", 1)[-1].split("-", 1)[-1] for name in names}


def _numbers(words, path):
    if not words:
        raise ValueError(f"{path} lists no pictures; get it anew")
    try:
        numbers = np.array(words, np.float32)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; get it anew") from error
    if not np.isfinite(numbers).all():
        raise ValueError(f"{path} holds numbers that are not finite; get it anew")
    return numbers


def _pictures(path, names, points):
    """Pictures that lie beside their list, with landmarks [N, 5, 2] that count pixels from 1 at their centre."""
    paths = [path.parent / name for name in names]
    missing = [str(picture) for picture in paths if not picture.is_file()]
    if missing:
        raise ValueError(f"{len(missing)} of {len(paths)} pictures that {path} lists are not there, {missing[0]} first")
    landmarks = np.ascontiguousarray(points) - np.float32(0.5)
    return Pictures(
        paths=tuple(map(str, paths)),
        landmarks=landmarks,
        annotated=np.ones(landmarks.shape[:2], np.float32),
        normalisers=normalisers.eye_distances(landmarks, "aflw"),
        normaliser="eye distance",
        landmark_names=LANDMARK_NAMES,
    )
