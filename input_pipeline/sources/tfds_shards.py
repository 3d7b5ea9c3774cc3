"""Data sets that tensorflow-datasets has prepared, as shards."""

import glob
import pathlib
import re

import tensorflow_datasets as tfds
from google.protobuf import json_format

from dense_labels import progress
from dense_labels.config import Config, DataConfig
from input_pipeline.simulation import building
from input_pipeline.sources import shards
from input_pipeline.sources.record_features import Layout, of_dataset
from input_pipeline.storage import listing, records

_VERSION = re.compile(r"\d+\.\d+\.\d+")
_NAME = re.compile(r"([\w-]+)(?:/([\w.-]+))?(?::(\d+\.\d+\.\d+))?")


def prepare(config: Config) -> shards.Shards:
    """Finds the data set that `data.dataset` names, NAME, NAME/CONFIG or NAME/CONFIG:VERSION, in `data.dir`.

    The splits "train", "validation" and "test" are those of the data set. Where key points are asked for, "annotated"
    is its "validation" or else its "train"; without them, there is no "test".

    Args:
      config: of the run.

    Returns:
      The source.

    Raises:
      ValueError: if the data set is not prepared, or damaged, has no split "train", is no TFRecord files or not
        complete, or lacks a feature.
    """
    data = config.data
    folder = _folder(data)
    try:
        with building.quiet_tfds():
            builder = tfds.builder_from_directory(folder)
    except (json_format.ParseError, ValueError) as error:  # of JSON too
        raise ValueError(
            f"{folder}: tensorflow-datasets cannot read what it keeps of the data set, dataset_info.json and "
            f"features.json ({progress.reason(error)}); prepare the data set again if they are damaged or missing"
        ) from error
    kind = builder.info.file_format
    if kind != tfds.core.FileFormat.TFRECORD:
        raise ValueError(
            f"{builder.data_path} holds files of the kind {kind.value}, which TensorFlow cannot read without Python; "
            "prepare it with file_format='tfrecord'"
        )
    layout = of_dataset(builder.info.features, data.dataset, image=data.image, keypoints=data.keypoints)
    stored = [name for name, split in builder.info.splits.items() if split.num_examples]
    if "train" not in stored:
        raise ValueError(f"{data.dataset} has no split train; it has {', '.join(stored) or 'none'}")
    wanted = ("train", "validation", "test") if layout.landmarks else ("train", "validation")
    splits = {name: _split(builder, name, layout) for name in wanted if name in stored}
    if layout.landmarks:
        splits["annotated"] = splits.get("validation", splits["train"])
    return shards.create(config, splits)


def _split(builder: tfds.core.DatasetBuilder, name: str, layout: Layout) -> shards.Split:
    split = builder.info.splits[name]
    found = records.index([str(path) for path in split.filepaths])
    if len(found) != split.num_examples:
        raise ValueError(
            f"{builder.data_path}: the split {name} has {len(found)} records in place of {split.num_examples}; "
            "prepare the data set again"
        )
    return shards.Split(found, layout)


def _folder(data: DataConfig) -> pathlib.Path:
    """The folder of the newest version, or of the one that is named."""
    records.check_local(data.dir)
    matched = _NAME.fullmatch(data.dataset)
    if not matched:
        raise ValueError(f"config.data.dataset={data.dataset!r}: must be NAME, NAME/CONFIG or NAME/CONFIG:VERSION")
    name, config, version = matched.groups()
    folder = pathlib.Path(data.dir).expanduser() / name
    found = [pathlib.Path(path).parent for path in listing.matching(f"{glob.escape(str(folder))}/**/dataset_info.json")]
    configs = sorted({path.parent.name for path in found if path.parent != folder})
    inside = folder / config if config else folder
    versions = {path.name: path for path in found if path.parent == inside and version in (None, path.name)}
    numbers = {tuple(map(int, name.split("."))): name for name in versions if _VERSION.fullmatch(name)}  # not a backup
    if numbers or len(versions) == 1:
        return versions[numbers[max(numbers)] if numbers else next(iter(versions))]
    if versions:
        raise ValueError(
            f"{inside} holds {', '.join(sorted(versions))}, of which none is called by a version such as 1.0.0; rename "
            "the one that is meant"
        )
    if configs and not config:
        raise ValueError(f"config.data.dataset={data.dataset}: choose one of its {name}/{f', {name}/'.join(configs)}")
    raise ValueError(
        f"{inside} holds no prepared data set{f' of version {version}' if version else ''}; prepare it with "
        f"tfds.builder('{data.dataset}', data_dir='{data.dir}').download_and_prepare()"
    )
