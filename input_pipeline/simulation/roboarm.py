"""The robot arm of section 4.1 as a tensorflow-datasets builder: frame pairs and exact flow.

    builder = roboarm.prepare("data", num_pairs=23999, seed=0)
    train = builder.as_dataset(split="train")

The pairs are consecutive frames of one simulation, split by time as `frame_pairs` says.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from input_pipeline.simulation import arm_rendering, arm_simulation, frame_pairs

DEFAULT_NUM_PAIRS = 23999
STILL_FLOW = 0.5  # pixels: a pair whose largest flow is smaller counts as still

_SIZE, _CAPSULES = arm_simulation.FRAME_SIZE, arm_simulation.NUM_CAPSULES
_IMAGE = tfds.features.Image(shape=(_SIZE, _SIZE, 3), encoding_format="png")
_MASK = tfds.features.Tensor(shape=(_SIZE, _SIZE, 1), dtype=np.uint8, encoding="zlib")
_CENTRES = tfds.features.Tensor(shape=(_CAPSULES, 2), dtype=np.float32)
_FLAGS = tfds.features.Tensor(shape=(_CAPSULES,), dtype=np.bool_)


class Roboarm(frame_pairs.FramePairs):
    """Builds the pairs by simulating the arm.

    **Convention:** flow goes from a to b. `flow[i, j]` is the displacement (dx, dy) in pixels of
    the point at the centre of pixel (row i, column j) of `image_a`, which lies at
    (j + 0.5, i + 0.5); it is 0 on the background. `visible` is 1 where that point is on a capsule
    and is seen in `image_b` too. `capsule` is 0 on the background and k + 1 on capsule k.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    BUILDER_CONFIGS = [
        frame_pairs.SimulationConfig(
            name="default", description="The first paper's size.", num_pairs=DEFAULT_NUM_PAIRS, seed=0
        )
    ]
    DESCRIPTION = """
A simulated robot arm of seven coloured capsules, joined by pivots and swung by a gravity that
changes every fifth frame. Pairs of consecutive frames come with the exact flow from the first to
the second, its visibility, and the capsules' centres in both.
"""
    PROGRESS = "Simulating the robot arm"
    FEATURES = {
        "image_a": _IMAGE,
        "image_b": _IMAGE,
        "flow": tfds.features.Tensor(shape=(_SIZE, _SIZE, 2), dtype=np.float32, encoding="zlib"),
        "visible": _MASK,
        "capsule": _MASK,
        "centres_a": _CENTRES,
        "centres_b": _CENTRES,
        "centres_visible_a": _FLAGS,
        "centres_visible_b": _FLAGS,
        "frame": np.int64,
    }

    def _simulate(self, seed: int) -> Iterator[arm_rendering.Frame]:
        for index, poses in enumerate(arm_simulation.simulate(seed)):
            yield arm_rendering.draw_frame(index, poses)

    def _pair_features(self, frame_a: arm_rendering.Frame, frame_b: arm_rendering.Frame) -> dict[str, Any]:
        return arm_rendering.pair_features(frame_a, frame_b)

    def _create_statistics(self) -> "_Statistics":
        return _Statistics()

    def described(self) -> str:
        figures = self.info.metadata
        return (
            f"largest flow below {STILL_FLOW} px in {figures['still_share']:.1%} of them, "
            f"{figures['centres_inside_share']:.1%} of the capsule centres inside the frame"
        )


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


def prepare(data_dir: str, num_pairs: int = DEFAULT_NUM_PAIRS, seed: int = 0) -> Roboarm:
    """Builds the data set unless it is there already; see `frame_pairs.prepare`."""
    return frame_pairs.prepare(Roboarm, data_dir, num_pairs, seed)
