"""CelebA with MAFL's lists: faces, turned and scaled so that the eyes lie level, with five landmarks each."""

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from dense_labels.config import DataConfig
from dense_labels.registry import READERS
from input_pipeline.readers import landmark_files, normalisers
from input_pipeline.readers.pictures import STILL_KEYS, Pictures

BOX = (0, 30, 178, 208)  # the square of a 178 x 218 picture that is used
# Left and right as the picture shows them.
LANDMARK_NAMES = ("left_eye", "right_eye", "nose", "left_mouth_corner", "right_mouth_corner")

_PLACES = {
    "img_align_celeba": (".", "Img"),
    "list_landmarks_align_celeba.txt": (".", "Anno"),
    "list_eval_partition.txt": (".", "Eval"),
    "training.txt": ("MAFL", "."),
    "testing.txt": ("MAFL", "."),
}


@READERS.register(
    "celeba", "CelebA as published, with MAFL's lists: faces with five landmarks", keys=STILL_KEYS, boxed=True
)
def read(data: DataConfig) -> dict[str, Pictures]:
    """Reads CelebA as it is published, with the lists of MAFL.

    "train" is CelebA's training partition less MAFL's test pictures, "annotated" MAFL's 19,000 training pictures and
    "test" its 1,000 test pictures.

    Convention: the lists count pixels from 0 at their centre, so half a pixel is added.

    Args:
      data: `dir` holds img_align_celeba/*.jpg, list_landmarks_align_celeba.txt and list_eval_partition.txt, in it or in
        Img/, Anno/ and Eval/; and training.txt and testing.txt of MAFL, in MAFL/ or in it.

    Returns:
      Dictionary split -> `Pictures`; errors are divided by the distance of the eyes.

    Raises:
      ValueError: naming what is missing or damaged.
    """
    found = _find(pathlib.Path(data.dir).expanduser())
    partition = _read_partition(found["list_eval_partition.txt"])
    annotated, test = (_read_names(found[name]) for name in ("training.txt", "testing.txt"))
    both = set(annotated) & set(test)
    if both:
        raise ValueError(
            f"{min(both)} is in {found['training.txt']} and in {found['testing.txt']}; get MAFL's lists anew"
        )
    kept_for_test = set(test)
    train = [name for name, part in partition.items() if part == "0" and name not in kept_for_test]
    if not train:
        raise ValueError(
            f"{found['list_eval_partition.txt']} has no picture for training: none is in part 0 and not in MAFL's "
            "testing.txt; get it anew"
        )
    landmarks = _read_landmarks(found["list_landmarks_align_celeba.txt"])
    splits = {"train": train, "annotated": annotated, "test": test}
    _check_listed(splits, landmarks, found)
    images = found["img_align_celeba"]
    return {
        split: pictures_of([str(images / name) for name in names], np.array([landmarks[name] for name in names]))
        for split, names in splits.items()
    }


def _find(folder):
    """Name -> where it lies."""
    found, missing = {}, []
    for name, places in _PLACES.items():
        candidates = [folder / place / name for place in places]
        found[name] = next((path for path in candidates if path.exists()), None)
        if found[name] is None:
            missing.append(f"{name} (neither {' nor '.join(str(path.relative_to(folder)) for path in candidates)})")
    if missing:
        raise ValueError(
            f"{folder} lacks {', '.join(missing)}; it must hold CelebA's aligned pictures, landmarks and partition, "
            "and the two lists of MAFL as MAFL/training.txt and MAFL/testing.txt"
        )
    return found


def _read_rows(path, columns, skip=0):
    """Words of each line, of which there must be as many as columns."""
    rows = [line.split() for line in landmark_files.read_text(path).splitlines()[skip:] if line.strip()]
    wrong = next((row for row in rows if len(row) != columns), None)
    if not rows or wrong:
        raise ValueError(f"{path}: expected lines of {columns} words; found {' '.join(wrong or ['none'])}; get it anew")
    return rows


def _read_partition(path):
    return dict(_read_rows(path, 2))


def _read_names(path):
    return [row[0] for row in _read_rows(path, 1)]


def _read_landmarks(path):
    """Name of a picture -> its landmarks [5, 2]."""
    rows = _read_rows(path, 11, skip=2)
    count = landmark_files.read_text(path).split(maxsplit=1)[0]
    if count != str(len(rows)):
        raise ValueError(f"{path} is cut short: it holds {len(rows)} rows and says {count}; get it anew")
    try:
        points = np.array([row[1:] for row in rows], np.float32).reshape(-1, 5, 2)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; get it anew") from error
    if not np.isfinite(points).all():
        raise ValueError(f"{path} holds numbers that are not finite; get it anew")
    return dict(zip((row[0] for row in rows), points))


def _check_listed(splits, landmarks, found):
    """Checks that every picture of the splits has landmarks and a file."""
    images = found["img_align_celeba"]
    present = set(os.listdir(images))
    names = {name for listed in splits.values() for name in listed}
    for kept, where in ((landmarks.keys(), found["list_landmarks_align_celeba.txt"]), (present, images)):
        missing = names - kept
        if missing:
            raise ValueError(f"{where} lacks {len(missing)} of {len(names)} listed pictures, {min(missing)} among them")


def pictures_of(paths: Sequence[str], points: np.ndarray) -> Pictures:
    """Makes pictures of CelebA with landmarks [N, 5, 2] that count pixels from 0 at their centre."""
    landmarks = np.float32(points) + 0.5
    return Pictures(
        paths=tuple(paths),
        boxes=np.tile(np.float32(BOX), (len(paths), 1)),
        landmarks=landmarks,
        annotated=np.ones(landmarks.shape[:2], np.float32),
        normalisers=normalisers.eye_distances(landmarks, "celeba"),
        normaliser="eye distance",
        landmark_names=LANDMARK_NAMES,
    )
