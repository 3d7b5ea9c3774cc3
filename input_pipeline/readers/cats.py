"""The cat head data set of Zhang, Sun and Tang, ECCV 2008: photographs of cats, nine landmarks on each head."""

import filecmp
import glob
import pathlib

import numpy as np

from dense_labels import progress
from dense_labels.config import DataConfig
from dense_labels.registry import READERS
from input_pipeline.readers import landmark_files, normalisers
from input_pipeline.readers.pictures import STILL_KEYS, Pictures
from input_pipeline.storage import listing

# The points of both ears are numbered from left to right: a mirror takes the first of one to the last of the other.
_FLIP_PAIRS = ((0, 1), (3, 8), (4, 7), (5, 6))
LANDMARK_NAMES = (
    "left_eye",
    "right_eye",
    "mouth",
    "left_ear_1",
    "left_ear_2",
    "left_ear_3",
    "right_ear_1",
    "right_ear_2",
    "right_ear_3",
)
TEST_FOLDER = "CAT_06"


@READERS.register("cats", "the cat head data set: cats with nine landmarks", keys=STILL_KEYS, boxed=True)
def read(data: DataConfig) -> dict[str, Pictures]:
    """Reads all pictures NAME.jpg that have landmarks in NAME.jpg.cat, in the folder `data.dir` and below it.

    "test" is the folder CAT_06 or, where there is no such folder, every tenth picture in order of folder and name;
    "train" and "annotated" are both all others. The published data set has no fixed split. Some copies of it hold every
    folder twice: of files with the same folder, name and content one is taken, and a note says how many are not.

    Convention: landmarks count pixels from 0 at their centre, so half a pixel is added. The box is a square about the
    landmarks, with a margin, see `landmark_files.square_around`; it may reach beyond the picture.

    Args:
      data: `dir` holds the folders CAT_00 to CAT_06, or any others.

    Returns:
      Dictionary split -> `Pictures`; errors are divided by the distance of the eyes.

    Raises:
      ValueError: if there are too few pictures with landmarks, or landmarks are damaged.
      OSError: if a folder cannot be read.
    """
    annotations = _find(pathlib.Path(data.dir).expanduser())
    points = np.array([_read_points(path) for path in annotations], np.float32)
    pictures = _pictures([str(path.with_suffix("")) for path in annotations], points + np.float32(0.5))
    held_out = np.array([path.parent.name == TEST_FOLDER for path in annotations])
    if held_out.all() or not held_out.any():
        held_out = np.arange(len(annotations)) % 10 == 9
    train, test = (pictures.take(np.flatnonzero(rows)) for rows in (~held_out, held_out))
    return {"train": train, "annotated": train, "test": test}


def _find(dir):
    """The annotations that have a picture, each once, in order of folder and name."""
    written = map(pathlib.Path, listing.matching(f"{glob.escape(str(dir))}/**/*.cat"))
    paths = sorted(written, key=lambda path: (len(path.parts), path))
    with_picture = [path for path in paths if path.with_suffix("").is_file()]
    if alone := len(paths) - len(with_picture):
        progress.note(f"cats: {alone} of {len(paths)} files of landmarks have no picture and are left out")
    found = _without_copies(with_picture)
    if copies := len(with_picture) - len(found):
        progress.note(f"cats: {copies} of {len(with_picture)} pictures are copies of others and are left out")
    if len(found) < 10:
        raise ValueError(
            f"{dir} holds {len(found)} pictures with landmarks, too few to train and test on; it must hold the "
            "folders CAT_00 to CAT_06, with NAME.jpg and NAME.jpg.cat in them"
        )
    return found


def _without_copies(paths):
    """Of annotations with the same folder and name, those whose landmarks or pictures differ."""
    alike = {}
    for path in paths:
        others = alike.setdefault((path.parent.name, path.name), [])
        if not any(_are_copies(path, other) for other in others):
            others.append(path)
    return sorted(path for group in alike.values() for path in group)


def _are_copies(first, second):
    pairs = ((first, second), (first.with_suffix(""), second.with_suffix("")))
    return all(filecmp.cmp(one, other, shallow=False) for one, other in pairs)


def _read_points(path):
    """Landmarks [9, 2]: the file holds the number 9, then x and y of each."""
    words = landmark_files.read_text(path).split()
    count = len(LANDMARK_NAMES)
    if len(words) != 1 + 2 * count or words[0] != str(count):
        raise ValueError(f"{path}: expected the number {count} and {2 * count} coordinates; found {' '.join(words)}")
    try:
        points = np.array(words[1:], np.float32).reshape(count, 2)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not np.isfinite(points).all():
        raise ValueError(f"{path}: coordinates must be finite; found {' '.join(words)}")
    return points


def _pictures(paths, landmarks):
    tight = np.concatenate([landmarks.min(axis=1), landmarks.max(axis=1)], axis=1)
    return Pictures(
        paths=tuple(paths),
        boxes=landmark_files.square_around(tight),
        landmarks=landmarks,
        annotated=np.ones(landmarks.shape[:2], np.float32),
        normalisers=normalisers.eye_distances(landmarks, "cats"),
        normaliser="eye distance",
        landmark_names=LANDMARK_NAMES,
        flip_pairs=_FLIP_PAIRS,
    )
