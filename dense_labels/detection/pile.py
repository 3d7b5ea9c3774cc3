"""What a detector learns from pictures that nobody annotated.

A first detector, trained on the annotated pictures alone, locates the landmarks in the others; a second one is trained
on both. What the first one finds is less noisy than it looks: the mean of several views, counted where they agree; and
the second one has to find it in warped and recoloured views. This is self-training ("Self-training with Noisy Student",
CVPR 2020).
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from dense_labels.batches import LabelledLandmarks, LabelMap
from dense_labels.config import Config
from dense_labels.detection.gathered import Gathered
from dense_labels.method import geometry
from input_pipeline import pipeline
from input_pipeline.views import warps

_SHARE = 0.25  # of the views that the second detector is trained on, those of annotated pictures, or more
_ANGLES = (-10.0, 10.0)  # degrees that the first detector sees an image turned by
_AT_ONCE = 32


@dataclasses.dataclass(frozen=True, eq=False)
class Pile:
    """Images that nobody annotated, uint8 [M, H, W, 3], and what picture each shows, as `Source.origins` says.

    They are whole pictures, or boxes in them. They would fill much of the memory, so they stay where they are kept on
    disk, which is mapped.
    """

    images: np.ndarray | Gathered
    origins: list[tuple]
    boxed: bool = False

    def without(self, origins: Collection[tuple]) -> Pile:
        """Returns the images of other pictures than these, and than copies of these; they are not copied."""
        left_out = {each for origin in origins for each in origin}  # paths and digests
        kept = np.array([row for row, origin in enumerate(self.origins) if left_out.isdisjoint(origin)], int)
        return Pile(Gathered.joined([self.images]).take(kept), [self.origins[row] for row in kept], self.boxed)


def read(config: Config, size: tuple[int, int], most: int, last: Collection[tuple] = ()) -> Pile:
    """Reads pictures that a run was trained on.

    Args:
      config: of the run; its pictures are still ones.
      size: (height, width) in pixels that they are resized to, whole.
      most: how many at most, from all over them.
      last: origins of pictures that are taken only where there are too few others.

    Returns:
      The pile.

    Raises:
      ValueError, OSError: as `pipeline.prepare`.
    """
    config = copy.deepcopy(config)
    config.data.size, config.data.crop = size, 0
    source: Any = pipeline.prepare(config, only=("train",), most=most, last={path for path, *_ in last})
    return Pile(source.stored("train"), source.origins("train"), source.boxed)


def taught(
    detector: Callable[[Any], dict[str, tf.Tensor]], images: np.ndarray | Gathered, present: np.ndarray
) -> LabelledLandmarks:
    """Locates landmarks in images that nobody annotated.

    A detector sees each image turned a little one way and the other; the landmark is the mean of both answers. It
    counts exp(-(d / 2m)^2): d is half the distance between the answers, m the median of all d.

    Args:
      detector: images [N, H, W, 3] in [0, 1] -> a dictionary with `points` [N, K, 2] in pixels of them.
      images: uint8 [M, H, W, 3].
      present: boolean [K], the landmarks that the detector has been taught; others do not count.

    Returns:
      The images, as label maps of stride 1, and their landmarks; `annotated`, from 0 to 1, is how much each counts.
    """
    locate, found = tf.function(lambda turned: detector(turned)["points"], autograph=False, reduce_retracing=True), []
    with tqdm(total=len(images), desc="Locating landmarks in the pile", unit=" pictures", leave=False) as bar:
        for start in range(0, len(images), _AT_ONCE):
            batch = images[start : start + _AT_ONCE]
            found.append(np.stack([_seen_turned(locate, batch, angle) for angle in _ANGLES]))
            bar.update(len(batch))
    first, second = np.concatenate(found, axis=1)
    apart = np.linalg.norm(first - second, axis=-1) / 2
    counts = present * np.exp(-np.square(apart / (2 * max(np.median(apart[:, present]), 1e-6))))
    return annotated(images, (first + second) / 2, np.float32(counts))


def annotated(images: np.ndarray | Gathered, landmarks: np.ndarray, counts: np.ndarray) -> LabelledLandmarks:
    """Puts images uint8 [M, H, W, 3], landmarks [M, K, 2] and how much each counts [M, K] together, as `taught`."""
    ones = np.ones([len(images), 2], np.float32)
    return LabelledLandmarks(LabelMap(images, 1), landmarks, counts, ones, ones[:, 0], np.arange(len(images)))


def _seen_turned(locate, images, angle) -> np.ndarray:
    """The points [N, K, 2] that are located in images turned by an angle in degrees, in pixels of the images."""
    height, width = images.shape[1:3]
    middle, radians = np.float32([width / 2, height / 2]), np.deg2rad(angle)
    turn = np.float32([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]])
    centres = geometry.cell_centres(height, width, 1).numpy()
    to_image = tf.tile(((centres - middle) @ turn.T + middle)[np.newaxis], [len(images), 1, 1, 1])
    with tf.device("CPU:0"):  # where the resampler needs no compiler of CUDA's
        turned = warps.sample(tf.image.convert_image_dtype(images, tf.float32), to_image, border="edge")
    return (locate(turned).numpy() - middle) @ turn.T + middle


def joined(known: LabelledLandmarks, found: LabelledLandmarks) -> tuple[LabelledLandmarks, np.ndarray]:
    """Joins annotated images and those that a detector annotated.

    Returns:
      The images, which are not copied; and the indices of all, those of annotated ones so often that they are about a
      quarter, or once.
    """
    values = Gathered.joined([known.labels.values, found.labels.values])
    rest = [
        np.concatenate([np.float32(getattr(each, name)) for each in (known, found)])
        for name in ("landmarks", "annotated", "scale", "normaliser", "picture")
    ]
    repeats = max(1, round(_SHARE / (1 - _SHARE) * len(found) / len(known)))
    rows = np.concatenate([np.tile(np.arange(len(known)), repeats), len(known) + np.arange(len(found))])
    return LabelledLandmarks(LabelMap(values, 1), *rest), rows
