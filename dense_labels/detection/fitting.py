"""Trains a detector end to end on annotated images."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from dense_labels import compat, progress, user_code
from dense_labels.batches import LabelledLandmarks, LabelMap
from dense_labels.config import ViewsConfig
from dense_labels.detection import pile as pile_lib
from dense_labels.detection import shapes
from dense_labels.detection import views as views_lib
from dense_labels.detection.gathered import Gathered
from dense_labels.detection.kept import Kept
from dense_labels.evaluation import sides
from dense_labels.registry import COLOURS
from models import heat_maps
from models.detectors import STRIDE, Detector
from models.refining_detectors import RefiningDetector
from models.second_look import SecondLook

RECIPE = 7  # of detectors: a number that changes when their figures do
_BATCH, _RATE, _WARMUP = 8, 1e-3, 50
_STEPS, _MORE, _MOST = 400, 4, 1200  # and one more for so many annotated images, up to
_SIDE = 256  # pixels of the longest side that is trained on; larger images are seen in windows of it
_KEPT_EVERY = 100  # steps
_DETECTOR, _TRAINING, _FOUND = "detector", "training", "found"  # what is kept of one


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
      all_round: whether views are turned by any angle; None: as objects lie, see `views.turns_all_round`.
      upside_down: whether images are mirrored top to bottom; None: as objects lie, see `views.mirrored_upside_down`.
      steps: of 8 views; None: `steps_for` so many annotated images.
      times: sides of the images that are given, in those of the images that the network sees; see `RefiningDetector`.
      kept_in: folder of what a later process goes on with: detectors that are fitted, and every 100 steps the state of
        one that is being fitted; see `detection.kept`. None: nothing is kept.
    """

    views: ViewsConfig
    weights: str
    seed: int
    flip_pairs: Sequence[tuple[int, int]] = ()
    all_round: bool | None = None
    upside_down: bool | None = None
    steps: int | None = None
    times: int = 1
    kept_in: str | os.PathLike | None = None


def fit(known: LabelledLandmarks, settings: Settings) -> RefiningDetector:
    """Trains a detector on warped, recoloured and mirrored views of annotated images, and gives it a second look.

    The loss of a map is the cross-entropy of its cells with a Gaussian about the landmark, summed over the cells, and
    averaged over the landmarks that the views show. Adam; the rate rises for 50 steps and falls to 0 along a cosine.

    Args:
      known: annotated images, uint8 [N, H, W, 3], as label maps of stride 1; sides are multiples of 16 times
        `settings.times`.
      settings: how.

    Returns:
      The detector, which is not calibrated.

    Raises:
      ValueError: as `Detector.create`.
    """
    known, settings = _settled(known, settings)
    seen = shrunk(known, settings.times)
    lesson = lambda: (seen, np.arange(len(seen)))  # noqa: E731, read where no detector is kept
    plain = _fitted(lesson, seen, settings, "Training a detector", _kept(seen, settings))
    return _refining(plain, known, settings)


def fit_with_pile(
    known: LabelledLandmarks, pile: np.ndarray | Gathered, first: RefiningDetector, settings: Settings
) -> RefiningDetector:
    """Trains a second detector, on annotated images and on others that a first one annotates; see `detection.pile`.

    Args:
      known: annotated images, as in `fit`.
      pile: others, uint8 [M, h, w, 3], as the network sees them, which are not copied; if there are none, the first
        detector is returned.
      first: a detector that was fitted to the annotated images; it locates the landmarks without its second look.
      settings: those of the first.

    Returns:
      The second detector, which is not calibrated.
    """
    if not len(pile):
        return first
    known, settings = _settled(known, settings)
    seen = shrunk(known, settings.times)
    kept = _kept(seen, settings, pile, *first.plain.state().values())

    def lesson():
        found = kept.read(_FOUND, lambda arrays: pile_lib.annotated(pile, **arrays))
        if found is None:
            found = pile_lib.taught(first.plain, pile, known.annotated.any(axis=0))
            kept.write(_FOUND, {"landmarks": found.landmarks, "counts": found.annotated})
        return pile_lib.joined(seen, found)

    second = dataclasses.replace(settings, seed=(settings.seed + 1) % 2**32)
    return _refining(_fitted(lesson, seen, second, "Training a detector with the pile", kept), known, settings)


def shrunk(images: LabelledLandmarks, times: int) -> LabelledLandmarks:
    """Makes images, uint8 [N, H, W, 3] as label maps of stride 1, smaller: each pixel the mean of `times` squared.

    Raises:
      ValueError: if a side is no multiple of `times`.
    """
    if times == 1:
        return images
    if any(side % times for side in images.labels.cells):
        raise ValueError(f"images of {images.labels.cells} pixels cannot be made {times} times smaller")
    height, width = (side // times for side in images.labels.cells)
    values = np.empty([len(images), height, width, 3], np.uint8)
    for row, image in enumerate(images.labels.values):
        values[row] = np.rint(image.reshape(height, times, width, times, 3).mean(axis=(1, 3), dtype=np.float32))
    maps = LabelMap(values, 1)
    return dataclasses.replace(images, labels=maps, landmarks=images.landmarks / times, scale=images.scale * times)


def _refining(plain: Detector, known: LabelledLandmarks, settings: Settings) -> RefiningDetector:
    look = SecondLook.learned(known.labels.values, known.landmarks, known.annotated)
    return RefiningDetector(plain, look, settings.times)


def _settled(known: LabelledLandmarks, settings: Settings) -> tuple[LabelledLandmarks, Settings]:
    """The images in which a landmark is annotated, and settings that say what these are worth."""
    if not (seen := known.annotated.any(axis=1)).all():  # else nothing is copied: there may be many
        known = known.take(seen)
    steps = steps_for(len(known)) if settings.steps is None else settings.steps
    all_round, upside_down = settings.all_round, settings.upside_down
    if all_round is None:
        all_round = views_lib.turns_all_round(known)
    if upside_down is None:
        upside_down = views_lib.mirrored_upside_down(known, settings.flip_pairs)
    return known, dataclasses.replace(settings, steps=steps, all_round=all_round, upside_down=upside_down)


def _kept(known: LabelledLandmarks, settings: Settings, *others: Any) -> Kept:
    """What is kept of the detector that these images, settings and arrays determine."""
    weights = settings.weights
    if settings.kept_in is not None and os.path.isfile(weights):
        weights = hashlib.sha256(pathlib.Path(weights).read_bytes()).hexdigest()
    facts = {**dataclasses.asdict(settings), "weights": weights, "kept_in": None, "recipe": RECIPE}
    colour, kept_in = COLOURS[settings.views.colour], settings.kept_in
    if kept_in is not None and user_code.is_outside(colour):  # what is typed in cannot be told from another function
        kept_in = kept_in if colour.file else None
        facts["colour"] = colour.file and hashlib.sha256(pathlib.Path(colour.file).read_bytes()).hexdigest()
    return Kept(kept_in, facts, [known.labels.values, known.landmarks, known.annotated, *others])


def _fitted(
    lesson: Callable[[], tuple[LabelledLandmarks, Any]],
    known: LabelledLandmarks,
    settings: Settings,
    what: str,
    kept: Kept,
) -> Detector:
    """A detector trained on the rows of images, both of which `lesson` returns; the one that is kept, if there is."""
    done = kept.read(_DETECTOR, Detector.from_state)
    if done is not None:
        progress.say(f"{what}: an evaluation that was stopped had done it; its detector is taken")
        return done
    images, rows = lesson()
    detector = _trained(images, rows, settings, what, kept)
    detector.head.reach = shapes.reach(known)
    kept.write(_DETECTOR, detector.state())
    kept.remove(_TRAINING)
    kept.remove(_FOUND)
    return detector


def _trained(images: LabelledLandmarks, rows: Any, settings: Settings, what: str, kept: Kept) -> Detector:
    count, pairs, seed = images.landmarks.shape[1], settings.flip_pairs, settings.seed
    tf.keras.utils.set_random_seed(seed)  # of the trunk, if its weights are random
    detector = Detector.create(
        count,
        images.labels.cells,
        weights=settings.weights,
        seed=seed,
        exchanged=sides.exchanged(count, pairs) if pairs else (),
        upside_down=bool(settings.upside_down),
    )
    shown = {"flip_pairs": pairs, "all_round": bool(settings.all_round), "upside_down": bool(settings.upside_down)}
    options = {**shown, "window": _window(images.labels.cells), "rows": rows, "batch_size": _BATCH, "seed": seed}
    views_from = functools.partial(views_lib.batches, images, settings.views, **options)
    _train(detector, views_from, settings.steps, what, kept)
    return detector


def _window(size: tuple[int, int]) -> tuple[int, int]:
    """What a training sees of a view of (height, width): at most 256 pixels along a side."""
    height, width = (min(side, _SIDE) for side in size)
    return height, width


def _train(detector: Detector, views_from: Callable[..., tf.data.Dataset], steps: int, what: str, kept: Kept) -> None:
    """Trains for so many steps, less those that a training whose state is kept has made."""
    variables = [*detector.network.trainable_variables, *detector.head.trainable_variables]
    optimizer = tf.keras.optimizers.Adam(warmed_up(_RATE, steps))
    optimizer.build(variables)
    state = [*detector.variables, *compat.variables(optimizer)]
    start = kept.read(_TRAINING, functools.partial(_resumed, state)) or 0
    if start:
        progress.say(f"{what}: goes on after {start} of {steps} steps")
    step = _training_step(detector, optimizer, variables)
    data = views_from(start=start).take(steps - start)
    with tqdm(data, total=steps, initial=start, desc=what, unit=" steps", leave=False) as bar:
        for done, batch in enumerate(bar, start + 1):
            loss = step(*batch)
            if done % 20 == 1:
                bar.set_postfix(loss=f"{float(loss):.1f}")
            if (done % _KEPT_EVERY == 0 or done == steps) and not _is_finite(loss, state):
                raise FloatingPointError(f"{what}: the loss is not finite after {done} of {steps} steps; fit it again")
            if done % _KEPT_EVERY == 0:
                kept.write(_TRAINING, {"step": done, **{_name(n): value.numpy() for n, value in enumerate(state)}})


def _is_finite(loss: tf.Tensor, state: Sequence[tf.Variable]) -> bool:
    """Whether the loss is a number, and what the step after it has made of the variables."""
    return bool(np.isfinite(loss)) and all(np.isfinite(each.numpy()).all() for each in state)


def _resumed(state: Sequence[tf.Variable], arrays: dict[str, np.ndarray]) -> int:
    """Gives variables the values that were kept of them, all or none; returns the step that these are of."""
    values = [arrays.pop(_name(index)) for index in range(len(state))]
    step = int(arrays.pop("step"))
    if arrays or any(variable.shape != value.shape for variable, value in zip(state, values)):
        raise ValueError("it is of another network")
    for variable, value in zip(state, values):
        variable.assign(tf.cast(value, variable.dtype))
    return step


def _name(index: int) -> str:
    return f"variable_{index:04}"


def _training_step(detector: Detector, optimizer: Any, variables: Sequence[Any]) -> Callable[..., tf.Tensor]:
    """Returns the function of a batch that makes a step of training."""
    height, width = (side // STRIDE for side in _window(detector.frame.input_size))

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
