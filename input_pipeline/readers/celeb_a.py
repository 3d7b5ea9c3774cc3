"""CelebA as tensorflow-datasets has prepared it, under its name celeb_a."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

import numpy as np

from dense_labels.config import DataConfig
from dense_labels.registry import READERS
from input_pipeline.readers import celeba
from input_pipeline.readers.pictures import STILL_KEYS, Pictures
from input_pipeline.storage import kept

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

_SPLITS = {"train": "train", "annotated": "validation", "test": "test"}  # ours -> as stored
_COORDINATES = ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")


@READERS.register(
    "celeb_a", "CelebA as tensorflow-datasets has prepared it, in CelebA's own splits", keys=STILL_KEYS, boxed=True
)
def read(data: DataConfig) -> dict[str, Pictures]:
    """Reads CelebA as prepared in `data.dir`, the folder of tensorflow-datasets; nothing is downloaded.

    It keeps no file names, so MAFL's lists cannot be applied: "train", "annotated" and "test" are CelebA's own
    training, validation and test partition, and figures do not compare with those on MAFL. The first call writes the
    encoded pictures, unchanged, beside the prepared data set.

    Returns:
      Dictionary split -> `Pictures`, as from `celeba.read`.

    Raises:
      ValueError: if the data set has not been prepared.
      OSError: if the pictures cannot be written.
    """
    import tensorflow_datasets as tfds  # not above: a configuration is checked without it, which imports TensorFlow

    from input_pipeline.simulation import building

    folder = pathlib.Path(data.dir).expanduser() / "celeb_a"
    versions = sorted(path.parent for path in folder.glob("*/dataset_info.json"))
    if not versions:
        raise ValueError(
            f"{folder} holds no prepared data set; prepare it with "
            f"tfds.builder('celeb_a', data_dir='{data.dir}').download_and_prepare(), or read CelebA as published"
        )
    with building.quiet_tfds():
        builder = tfds.builder_from_directory(versions[-1])
    target = folder / f"pictures_{versions[-1].name}"
    return {split: _export(builder, stored, target / stored) for split, stored in _SPLITS.items()}


def _export(builder: tfds.core.DatasetBuilder, split: str, folder: pathlib.Path) -> Pictures:
    """Writes the pictures of a split as files, whole or not at all, unless they are there."""
    count = builder.info.splits[split].num_examples

    def read(folder):
        points = np.load(folder / "landmarks.npy")
        if len(points) != count:
            raise ValueError(f"{folder} holds {len(points)} pictures, and the data set {count}")
        return points

    setting = "--config.data.dir (eval_main.py: --pictures)"
    kept.make_once(folder, lambda begun: _write_pictures(builder, split, begun), read, setting)
    points = read(folder)
    return celeba.pictures_of([str(folder / f"{i:06d}.jpg") for i in range(len(points))], points)


def _write_pictures(builder: tfds.core.DatasetBuilder, split: str, folder: pathlib.Path) -> None:
    import tensorflow_datasets as tfds

    dataset = builder.as_dataset(split=split, decoders={"image": tfds.decode.SkipDecoding()}, shuffle_files=False)
    points = []
    for i, example in enumerate(dataset.as_numpy_iterator()):
        (folder / f"{i:06d}.jpg").write_bytes(example["image"])
        points.append([[example["landmarks"][f"{name}_{axis}"] for axis in "xy"] for name in _COORDINATES])
    np.save(folder / "landmarks.npy", np.array(points, np.float32))
