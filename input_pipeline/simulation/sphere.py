"""The textured sphere of section 4.2 as a tensorflow-datasets builder: pairs of frames and the sphere's rotations.

    builder = sphere.prepare("data", num_pairs=12000, seed=0)
    train = builder.as_dataset(split="train")

The pairs are consecutive frames of one video, split by time as `frame_pairs` says. Flow, visibility and the place on
the sphere that a pixel shows follow exactly from the rotations: `sphere_camera.motion` and `sphere_camera.surface`.
Stored for each pixel, they would take five times the room of the pictures.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from input_pipeline.simulation import frame_pairs, sphere_camera, sphere_motion, sphere_rendering

# Ten thousand orientations in training: any other lies about 7 degrees from the nearest of them.
DEFAULT_NUM_PAIRS = 12000

_SIZE = sphere_camera.FRAME_SIZE
_IMAGE = tfds.features.Image(shape=(_SIZE, _SIZE, 3), encoding_format="png")
_ROTATION = tfds.features.Tensor(shape=(3, 3), dtype=np.float32)


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """One frame of the video, with what both pairs that share it need."""

    index: int
    rotation: np.ndarray  # [3, 3]
    png: bytes


class Sphere(frame_pairs.FramePairs):
    """Builds the pairs by turning and drawing the sphere.

    **Convention:** `rotation_a @ place` is the normal, in camera coordinates (x right, y down, z away from the camera),
    of the point of the surface that has this place on the sphere.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    BUILDER_CONFIGS = [
        frame_pairs.SimulationConfig(
            name="default", description="Ten thousand training pairs.", num_pairs=DEFAULT_NUM_PAIRS, seed=0
        )
    ]
    DESCRIPTION = """
A textured sphere, one side blue and one orange, that turns smoothly before a camera under a light
that stays put. Pairs of consecutive frames come with the sphere's rotation in each, from which the
exact flow, its visibility and the place on the sphere that a pixel shows follow.
"""
    PROGRESS = "Turning the sphere"
    FEATURES = {
        "image_a": _IMAGE,
        "image_b": _IMAGE,
        "rotation_a": _ROTATION,
        "rotation_b": _ROTATION,
        "frame": np.int64,
    }

    def _simulate(self, seed: int) -> Iterator[Frame]:
        for index, rotation in enumerate(sphere_motion.simulate(seed)):
            yield Frame(index, np.float32(rotation), frame_pairs.encode_png(sphere_rendering.draw(rotation)))

    def _pair_features(self, frame_a: Frame, frame_b: Frame) -> dict[str, Any]:
        return {
            "image_a": frame_a.png,
            "image_b": frame_b.png,
            "rotation_a": frame_a.rotation,
            "rotation_b": frame_b.rotation,
            "frame": frame_a.index,
        }

    def _create_statistics(self) -> "_Statistics":
        return _Statistics()

    def described(self) -> str:
        figures = self.info.metadata
        return (
            f"turned by {figures['turn_median_degrees']:.0f} degrees in the median, "
            f"{figures['turn_95th_percentile_degrees']:.0f} in the 95th percentile"
        )


class _Statistics:
    """Gathers, pair by pair, by how much the sphere turns, and which of its sides is seen."""

    def __init__(self):
        self._rotations = []
        self._turns = []

    def add(self, example: dict[str, Any]) -> None:
        turn = example["rotation_a"] @ example["rotation_b"].T
        self._turns.append(np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))))
        self._rotations.append(example["rotation_a"])

    def summary(self) -> dict[str, float]:
        return {
            "num_pairs": len(self._turns),
            "turn_median_degrees": float(np.median(self._turns)),
            "turn_95th_percentile_degrees": float(np.percentile(self._turns, 95)),
            # Of orientations that are met equally often the mean is 0; of a sphere at rest, its norm is 1.
            "mean_rotation_norm": float(np.linalg.norm(np.mean(self._rotations, axis=0), 2)),
        }


def prepare(data_dir: str, num_pairs: int = DEFAULT_NUM_PAIRS, seed: int = 0) -> Sphere:
    """Builds the data set unless it is there already; see `frame_pairs.prepare`."""
    return frame_pairs.prepare(Sphere, data_dir, num_pairs, seed)
