"""CelebA with MAFL's lists: faces, turned and scaled so that the eyes lie level, with five landmarks each."""

import os
import pathlib
import tempfile

import numpy as np
import tensorflow_datasets as tfds

from input_pipeline.readers.pictures import Pictures
from input_pipeline.simulation import building

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
_COORDINATES = ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")
_TFDS_SPLITS = {"train": "train", "annotated": "validation", "test": "test"}


def read(folder):
    """Reads CelebA as it is published, with the lists of MAFL.

    "train" is CelebA's training partition less MAFL's test pictures, "annotated" MAFL's 19,000 training pictures and
    "test" its 1,000 test pictures.

    Convention: the lists count pixels from 0 at their centre, so half a pixel is added.

    Args:
      folder: holds img_align_celeba/*.jpg, list_landmarks_align_celeba.txt and list_eval_partition.txt, these lying in
        it or in Img/, Anno/ and Eval/; and training.txt and testing.txt of MAFL, in MAFL/ or in it.

    Returns:
      Dictionary split -> `Pictures`; errors are divided by the distance of the eyes.

    Raises:
      ValueError: naming what is missing or damaged.
    """
    found = _find(pathlib.Path(folder).expanduser())
    partition = _read_partition(found["list_eval_partition.txt"])
    annotated, test = (_read_names(found[name]) for name in ("training.txt", "testing.txt"))
    both = set(annotated) & set(test)
    if both:
        raise ValueError(
            f"{min(both)} is in {found['training.txt']} and in {found['testing.txt']}; get MAFL's lists anew"
        )
    kept_for_test = set(test)
    train = [name for name, part in partition.items() if part == "0" and name not in kept_for_test]
    landmarks = _read_landmarks(found["list_landmarks_align_celeba.txt"])
    splits = {"train": train, "annotated": annotated, "test": test}
    _check_listed(splits, landmarks, found)
    images = found["img_align_celeba"]
    return {
        split: _pictures([str(images / name) for name in names], np.array([landmarks[name] for name in names]))
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
    rows = [line.split() for line in path.read_text().splitlines()[skip:] if line.strip()]
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
    count = path.read_text().split(maxsplit=1)[0]
    if count != str(len(rows)):
        raise ValueError(f"{path} is cut short: it holds {len(rows)} rows and says {count}; get it anew")
    try:
        points = np.array([row[1:] for row in rows], np.float32).reshape(-1, 5, 2)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; get it anew") from error
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


def _pictures(paths, points):
    """Pictures with landmarks [N, 5, 2] that count pixels from 0 at their centre."""
    landmarks = np.float32(points) + 0.5
    return Pictures(
        paths=tuple(paths),
        boxes=np.tile(np.float32(BOX), (len(paths), 1)),
        landmarks=landmarks,
        annotated=np.ones(landmarks.shape[:2], np.float32),
        normalisers=np.linalg.norm(landmarks[:, 0] - landmarks[:, 1], axis=-1),
        normaliser="eye distance",
        landmark_names=LANDMARK_NAMES,
    )


def read_tfds(data_dir):
    """Reads CelebA as tensorflow-datasets has prepared it, under its name celeb_a; nothing is downloaded.

    It keeps no file names, so MAFL's lists cannot be applied: "train", "annotated" and "test" are CelebA's own
    training, validation and test partition, and figures do not compare with those on MAFL. The first call writes the
    encoded pictures, unchanged, beside the prepared data set.

    Args:
      data_dir: folder that holds the data sets of tensorflow-datasets.

    Returns:
      Dictionary split -> `Pictures`, as from `read`.

    Raises:
      ValueError: if the data set has not been prepared.
      OSError: if the pictures cannot be written.
    """
    folder = pathlib.Path(data_dir).expanduser() / "celeb_a"
    versions = sorted(path.parent for path in folder.glob("*/dataset_info.json"))
    if not versions:
        raise ValueError(
            f"{folder} holds no prepared data set; prepare it with "
            f"tfds.builder('celeb_a', data_dir='{data_dir}').download_and_prepare(), or read CelebA as published"
        )
    with building.quiet_tfds():
        builder = tfds.builder_from_directory(versions[-1])
    target = folder / f"pictures_{versions[-1].name}"
    return {split: _export(builder, stored, target / stored) for split, stored in _TFDS_SPLITS.items()}


def _export(builder, split, folder):
    """Writes the pictures of a split as files, whole or not at all, unless they are there."""
    if not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".incomplete.") as work:
            whole = pathlib.Path(work, "whole")
            whole.mkdir()
            _write_pictures(builder, split, whole)
            whole.rename(folder)
    points = np.load(folder / "landmarks.npy")
    return _pictures([str(folder / f"{i:06d}.jpg") for i in range(len(points))], points)


def _write_pictures(builder, split, folder):
    dataset = builder.as_dataset(split=split, decoders={"image": tfds.decode.SkipDecoding()}, shuffle_files=False)
    points = []
    for i, example in enumerate(dataset.as_numpy_iterator()):
        (folder / f"{i:06d}.jpg").write_bytes(example["image"])
        points.append([[example["landmarks"][f"{name}_{axis}"] for axis in "xy"] for name in _COORDINATES])
    np.save(folder / "landmarks.npy", np.array(points, np.float32))
