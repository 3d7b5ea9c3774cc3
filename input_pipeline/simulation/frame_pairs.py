"""What simulated data sets share: pairs of consecutive frames of one video, its splits, and how they are built once.

Each split is a block of the video's time, and between blocks lie `SPLIT_GAP` frames that no split holds, so no test
frame neighbours a training frame.
"""

import abc
import contextlib
import dataclasses
import functools
import io
import time
from collections.abc import Generator, Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from tqdm import tqdm

from dense_labels import progress
from input_pipeline.simulation import building

MIN_NUM_PAIRS = 120  # ten pairs for each of the smaller splits
SPLIT_GAP = 50  # frames
NUM_SHARDS = 8  # files of each split


@dataclasses.dataclass(eq=False)
class SimulationConfig(tfds.core.BuilderConfig):
    """How many pairs are simulated, and from which seed."""

    num_pairs: int = MIN_NUM_PAIRS
    seed: int = 0


class FramePairs(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Builds pairs of consecutive frames by simulating a video; nothing is downloaded.

    A data set of its own says what it is with `DESCRIPTION`, `PROGRESS` (the words beside the progress bar), `FEATURES`
    and the methods below.
    """

    DESCRIPTION: ClassVar[str]
    PROGRESS: ClassVar[str]
    FEATURES: ClassVar[dict[str, Any]]

    @abc.abstractmethod
    def _simulate(self, seed: int) -> Iterator[Any]:
        """Yields frames without end; their `index` counts from 0."""

    @abc.abstractmethod
    def _pair_features(self, frame_a: Any, frame_b: Any) -> dict[str, Any]:
        """The features of a pair."""

    @abc.abstractmethod
    def _create_statistics(self) -> Any:
        """An object that is given each pair's features by `add`, and whose `summary` returns figures of them all."""

    @abc.abstractmethod
    def described(self) -> str:
        """Returns what the figures of a data set that has been built say about it, in words."""

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.DESCRIPTION.strip(),
            features=tfds.features.FeaturesDict(self.FEATURES),
            metadata=tfds.core.MetadataDict(),
        )

    def download_and_prepare(self, **kwargs) -> None:
        """Does what the base class does, and ends the progress bar however the build ends."""
        with contextlib.ExitStack() as self._on_leaving:
            super().download_and_prepare(**kwargs)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        """One pass of the simulation serves all splits, which tfds reads one after the other."""
        del dl_manager
        blocks = split_blocks(self.builder_config.num_pairs)
        frames = self._frames(max(block.stop for block in blocks.values()) + 1)
        self._on_leaving.callback(frames.close)
        statistics = self._create_statistics()
        return {name: self._generate_examples(frames, block, statistics) for name, block in blocks.items()}

    def _generate_examples(self, frames, block, statistics) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields the pairs whose first frame lies in `block`, and takes just their frames."""
        frame_a = next(frame for frame in frames if frame.index == block.start)
        for index in block:
            frame_b = next(frames)
            example = self._pair_features(frame_a, frame_b)
            statistics.add(example)
            yield index, example
            frame_a = frame_b
        self.info.metadata.update(statistics.summary())

    def _frames(self, num_frames: int) -> Generator[Any, None, None]:
        """The first frames, under a progress bar."""
        with tqdm(total=num_frames, desc=self.PROGRESS, unit=" frames") as progress:
            for _, frame in zip(range(num_frames), self._simulate(self.builder_config.seed)):
                progress.update()
                yield frame


def encode_png(image: np.ndarray) -> bytes:
    """Encodes a frame, uint8 [H, W, 3], as a PNG file, quickly."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png", compress_level=3)
    return file.getvalue()


def split_blocks(num_pairs: int) -> dict[str, range]:
    """Says which frames open the pairs of each split.

    Validation and test get a twelfth of the pairs each, and training the rest.

    Args:
      num_pairs: in all three splits.

    Returns:
      The index of frame a of each pair, by split; the pair's frame b is the next one.

    Raises:
      ValueError: where `num_pairs` is too small.
    """
    if num_pairs < MIN_NUM_PAIRS:
        raise ValueError(f"num_pairs is {num_pairs}, too few for three splits: give {MIN_NUM_PAIRS} or more")
    held_out = round(num_pairs / 12)
    sizes = {"train": num_pairs - 2 * held_out, "validation": held_out, "test": held_out}
    blocks, start = {}, 0
    for name, size in sizes.items():
        blocks[name] = range(start, start + size)
        start += size + 1 + SPLIT_GAP  # the last frame b, then the gap
    return blocks


def create_builder(kind: type[FramePairs], data_dir: str, num_pairs: int, seed: int) -> FramePairs:
    """Creates the builder of one size and seed, whether its data set has been built or not.

    Args:
      kind: the data set; the first of its `BUILDER_CONFIGS` is the default.
      data_dir: the folder that holds the data sets of tensorflow-datasets.
      num_pairs: in all three splits; at least `MIN_NUM_PAIRS`.
      seed: of the simulation, 0 or more.

    Returns:
      The builder; its configuration is called `default` for the default size and seed, else for
      example `pairs_4000_seed_1`.

    Raises:
      ValueError: where `num_pairs` or `seed` is out of range.
    """
    split_blocks(num_pairs)
    if seed < 0:
        raise ValueError(f"seed is {seed}, which is negative: give 0 or more")
    with building.quiet_tfds():
        return kind(data_dir=data_dir, config=_config(kind.BUILDER_CONFIGS[0], num_pairs, seed))


def _config(default: SimulationConfig, num_pairs: int, seed: int) -> SimulationConfig:
    if (num_pairs, seed) == (default.num_pairs, default.seed):
        return default
    return SimulationConfig(
        name=f"pairs_{num_pairs}_seed_{seed}",
        description=f"{num_pairs} pairs, seed {seed}.",
        num_pairs=num_pairs,
        seed=seed,
    )


def prepare(kind: type[FramePairs], data_dir: str, num_pairs: int, seed: int) -> FramePairs:
    """Builds the data set unless it is there already, and says what it is like.

    An interrupted build leaves no data set behind, and the next call clears away its traces.
    Several processes may call this at once: one builds while the others wait.

    Args:
      kind, data_dir, num_pairs, seed: as in `create_builder`.

    Returns:
      The builder, ready to be read with `as_dataset`.

    Raises:
      ValueError: where `num_pairs` or `seed` is out of range.
      OSError: where the data set cannot be written.
    """
    make_builder = functools.partial(create_builder, kind, data_dir, num_pairs, seed)
    builder = make_builder()
    if not builder.data_path.exists():
        start = time.monotonic()
        builder = building.build_once(make_builder, num_shards=NUM_SHARDS)
        seconds = time.monotonic() - start
        progress.say(f"{builder.name}: {num_pairs} pairs in {seconds:.0f} s, {builder.described()}")
    return builder
