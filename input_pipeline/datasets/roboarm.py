"""The robot arm of section 4.1 as a tensorflow-datasets builder: frame pairs and exact flow.

    builder = roboarm.prepare("data", num_pairs=23999, seed=0)
    train = builder.as_dataset(split="train")

The pairs are consecutive frames of one simulation. Each split is a block of its time, and between
blocks lie `SPLIT_GAP` frames that no split holds, so no test frame neighbours a training frame.
"""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tqdm import tqdm

from input_pipeline.datasets import arm_rendering, arm_simulation, building

DEFAULT_NUM_PAIRS = 23999
MIN_NUM_PAIRS = 120  # ten pairs for each of the smaller splits
SPLIT_GAP = 50  # frames
STILL_FLOW = 0.5  # pixels: a pair whose largest flow is smaller counts as still
NUM_SHARDS = 8  # files of each split

_DESCRIPTION = """
A simulated robot arm of seven coloured capsules, joined by pivots and swung by a gravity that
changes every fifth frame. Pairs of consecutive frames come with the exact flow from the first to
the second, its visibility, and the capsules' centres in both.
""".strip()


@dataclasses.dataclass(eq=False)
class RoboarmConfig(tfds.core.BuilderConfig):
    """How many pairs are simulated, and from which seed."""

    num_pairs: int = DEFAULT_NUM_PAIRS
    seed: int = 0


class Roboarm(tfds.core.GeneratorBasedBuilder):
    """Builds the pairs by simulating the arm; nothing is downloaded.

    **Convention:** flow goes from a to b. `flow[i, j]` is the displacement (dx, dy) in pixels of
    the point at the centre of pixel (row i, column j) of `image_a`, which lies at
    (j + 0.5, i + 0.5); it is 0 on the background. `visible` is 1 where that point is on a capsule
    and is seen in `image_b` too. `capsule` is 0 on the background and k + 1 on capsule k.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    BUILDER_CONFIGS = [RoboarmConfig(name="default", description="The first paper's size.")]

    def _info(self) -> tfds.core.DatasetInfo:
        size = arm_simulation.FRAME_SIZE
        image = tfds.features.Image(shape=(size, size, 3), encoding_format="png")
        mask = tfds.features.Tensor(shape=(size, size, 1), dtype=np.uint8, encoding="zlib")
        centres = tfds.features.Tensor(shape=(arm_simulation.NUM_CAPSULES, 2), dtype=np.float32)
        flags = tfds.features.Tensor(shape=(arm_simulation.NUM_CAPSULES,), dtype=np.bool_)
        features = {
            "image_a": image,
            "image_b": image,
            "flow": tfds.features.Tensor(shape=(size, size, 2), dtype=np.float32, encoding="zlib"),
            "visible": mask,
            "capsule": mask,
            "centres_a": centres,
            "centres_b": centres,
            "centres_visible_a": flags,
            "centres_visible_b": flags,
            "frame": np.int64,
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=_DESCRIPTION,
            features=tfds.features.FeaturesDict(features),
            metadata=tfds.core.MetadataDict(),
        )

    def download_and_prepare(self, **kwargs) -> None:
        """As the base class has it, but ends the progress bar however the build ends."""
        with contextlib.ExitStack() as self._on_leaving:
            super().download_and_prepare(**kwargs)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        """One pass of the simulation serves all splits, which tfds reads one after the other."""
        del dl_manager
        blocks = split_blocks(self.builder_config.num_pairs)
        num_frames = max(block.stop for block in blocks.values()) + 1
        frames = _frames(self.builder_config.seed, num_frames)
        self._on_leaving.callback(frames.close)
        statistics = _Statistics()
        return {name: self._generate_examples(frames, block, statistics) for name, block in blocks.items()}

    def _generate_examples(self, frames, block, statistics) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields the pairs whose first frame lies in `block`, and takes just their frames."""
        frame_a = next(frame for frame in frames if frame.index == block.start)
        for index in block:
            frame_b = next(frames)
            example = arm_rendering.pair_features(frame_a, frame_b)
            statistics.add(example)
            yield index, example
            frame_a = frame_b
        self.info.metadata.update(statistics.summary())


def split_blocks(num_pairs: int) -> dict[str, range]:
    """Which frames open the pairs of each split.

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


def _frames(seed: int, num_frames: int) -> Iterator[arm_rendering.Frame]:
    """Simulates and draws the frames, under a progress bar."""
    with tqdm(total=num_frames, desc="Simulating the robot arm", unit=" frames") as progress:
        for index, poses in zip(range(num_frames), arm_simulation.simulate(seed)):
            progress.update()
            yield arm_rendering.draw_frame(index, poses)


class _Statistics:
    """Gathers, pair by pair, what tells whether the arm moves and stays in view."""

    def __init__(self):
        self._largest_flow = []
        self._centres_inside = []
        self._foreground = []

    def add(self, example: dict[str, Any]) -> None:
        flow = example["flow"]
        self._largest_flow.append(np.sqrt(np.max(np.sum(flow**2, axis=-1))))
        self._centres_inside.append(np.mean(arm_rendering.inside(example["centres_a"])))
        self._foreground.append(np.mean(example["capsule"] > 0))

    def summary(self) -> dict[str, float]:
        largest = np.array(self._largest_flow)
        return {
            "num_pairs": len(largest),
            "still_share": float(np.mean(largest < STILL_FLOW)),
            "largest_flow_median": float(np.median(largest)),
            "largest_flow_95th_percentile": float(np.percentile(largest, 95)),
            "centres_inside_share": float(np.mean(self._centres_inside)),
            "foreground_share": float(np.mean(self._foreground)),
        }


def roboarm_builder(data_dir: str, num_pairs: int = DEFAULT_NUM_PAIRS, seed: int = 0) -> Roboarm:
    """The builder of one size and seed, whether its data set has been built or not.

    Args:
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
        return Roboarm(data_dir=data_dir, config=_config(num_pairs, seed))


def _config(num_pairs: int, seed: int) -> RoboarmConfig:
    default = Roboarm.BUILDER_CONFIGS[0]
    if (num_pairs, seed) == (default.num_pairs, default.seed):
        return default
    return RoboarmConfig(
        name=f"pairs_{num_pairs}_seed_{seed}",
        description=f"{num_pairs} pairs, seed {seed}.",
        num_pairs=num_pairs,
        seed=seed,
    )


def prepare(data_dir: str, num_pairs: int = DEFAULT_NUM_PAIRS, seed: int = 0) -> Roboarm:
    """Builds the data set unless it is there already, and prints what it is like.

    An interrupted build leaves no data set behind, and the next call clears away its traces.
    Several processes may call this at once: one builds while the others wait.

    Args:
      data_dir, num_pairs, seed: as in `roboarm_builder`.

    Returns:
      The builder, ready to be read with `as_dataset`.

    Raises:
      ValueError: where `num_pairs` or `seed` is out of range.
      OSError: where the data set cannot be written.
    """
    builder = roboarm_builder(data_dir, num_pairs, seed)
    if not builder.data_path.exists():
        start = time.monotonic()
        make_builder = functools.partial(roboarm_builder, data_dir, num_pairs, seed)
        builder = building.build_once(make_builder, num_shards=NUM_SHARDS)
        _print_figures(builder.info.metadata, seconds=time.monotonic() - start)
    return builder


def _print_figures(figures: dict[str, float], seconds: float) -> None:
    print(
        f"roboarm: {figures['num_pairs']} pairs in {seconds:.0f} s, "
        f"largest flow below {STILL_FLOW} px in {figures['still_share']:.1%} of them, "
        f"{figures['centres_inside_share']:.1%} of the capsule centres inside the frame"
    )
