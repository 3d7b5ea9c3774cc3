"""Trains a detector end to end on annotated images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from dense_labels.batches import LabelledLandmarks
from dense_labels.config import ViewsConfig
from dense_labels.detection import pile as pile_lib
from dense_labels.detection import sides
from dense_labels.detection import views as views_lib
from models import heat_maps
from models.detectors import STRIDE, Detector

RECIPE = 2  # of detectors: a number that changes when their figures do
_BATCH, _RATE, _WARMUP = 16, 1e-3, 50
_STEPS, _MORE, _MOST = 400, 4, 1200  # and one more for so many annotated images, up to


def steps_for(images: int) -> int:
    """Says how many steps a detector is trained for on so many annotated images."""
    return min(_STEPS + images // _MORE, _MOST)


@dataclasses.dataclass(frozen=True)
class Settings:
    """How detectors are trained.

    Attributes:
      views: how colours are changed, and what lies beyond the border.
      weights: of the trunk, as `models.pyramids.features` takes them.
      seed: of the weights, of the order of the images and of their views.
      flip_pairs: landmarks that a mirror exchanges.
      all_round: whether views are turned by any angle; see `views.turns_all_round`.
      steps: of 16 views; None: `steps_for` so many annotated images.
    """

    views: ViewsConfig
    weights: str
    seed: int
    flip_pairs: Sequence[tuple[int, int]] = ()
    all_round: bool = False
    steps: int | None = None


def fit(known: LabelledLandmarks, settings: Settings) -> Detector:
    """Trains a detector on warped, recoloured and mirrored views of annotated images.

    The loss of a map is the cross-entropy of its cells with a Gaussian about the landmark, summed over the cells, and
    averaged over the landmarks that the views show. Adam; the rate rises for 50 steps and falls to 0 along a cosine.

    Args:
      known: annotated images, uint8 [N, H, W, 3], as label maps of stride 1; sides are multiples of 16.
      settings: how.

    Returns:
      The detector, which is not calibrated.

    Raises:
      ValueError: as `Detector.create`.
    """
    known = known.take(known.annotated.any(axis=1))
    return _trained(known, np.arange(len(known)), settings, settings.seed, len(known), "Training a detector")


def fit_with_pile(known: LabelledLandmarks, pile: np.ndarray, first: Detector, settings: Settings) -> Detector:
    """Trains a second detector, on annotated images and on others that a first one annotates; see `detection.pile`.

    Args:
      known: annotated images, as in `fit`.
      pile: others, uint8 [M, H, W, 3]; if there are none, the first detector is returned.
      first: a detector that was fitted to the annotated images.
      settings: those of the first.

    Returns:
      The second detector, which is not calibrated.
    """
    if not len(pile):
        return first
    known = known.take(known.annotated.any(axis=1))
    images, rows = pile_lib.joined(known, pile_lib.taught(first, pile, known.annotated.any(axis=0)))
    what = "Training a detector with the pile"
    return _trained(images, rows, settings, settings.seed + 1, len(known), what)


def _trained(images: LabelledLandmarks, rows, settings: Settings, seed: int, annotated: int, what: str) -> Detector:
    """A detector trained on the rows of images, for as many steps as so many annotated ones are worth."""
    count, pairs = images.landmarks.shape[1], settings.flip_pairs
    detector = Detector.create(
        count,
        images.labels.cells,
        weights=settings.weights,
        seed=seed,
        exchanged=sides.exchanged(count, pairs) if pairs else (),
    )
    options = {"flip_pairs": pairs, "all_round": settings.all_round, "rows": rows}
    data = views_lib.batches(images, settings.views, batch_size=_BATCH, seed=seed, **options)
    _train(detector, data, steps_for(annotated) if settings.steps is None else settings.steps, what)
    return detector


def _train(detector: Detector, data: tf.data.Dataset, steps: int, what: str) -> None:
    step = _training_step(detector, steps)
    with tqdm(data.take(steps), total=steps, desc=what, unit=" steps", leave=False) as bar:
        for done, batch in enumerate(bar):
            loss = step(*batch)
            if done % 20 == 0:
                bar.set_postfix(loss=f"{float(loss):.1f}")


def _training_step(detector: Detector, count: int) -> Callable[..., tf.Tensor]:
    """Returns the function of a batch that makes one of `count` steps of training."""
    variables = [*detector.network.trainable_variables, *detector.head.trainable_variables]
    optimizer = tf.keras.optimizers.Adam(warmed_up(_RATE, count))
    height, width = (side // STRIDE for side in detector.frame.input_size)

    @tf.function(autograph=False)
    def step(images, landmarks, weights):
        target = heat_maps.gaussians(landmarks, height, width, STRIDE)
        with tf.GradientTape() as tape:
            logits = detector.head.logits(detector.network(images, training=True))
            cells = tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=logits)
            each = tf.reduce_sum(cells, axis=[1, 2])  # [N, K]
            loss = tf.math.divide_no_nan(tf.reduce_sum(each * weights), tf.reduce_sum(weights))
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    return step


def warmed_up(rate: float, steps: int) -> Any:
    """Returns the learning rate of each of some steps: rising for 50 of them, then falling to 0 along a cosine."""
    warmup = min(_WARMUP, max(steps // 4, 1))
    return tf.keras.optimizers.schedules.CosineDecay(
        rate / warmup, max(steps - warmup, 1), warmup_target=rate, warmup_steps=warmup
    )
