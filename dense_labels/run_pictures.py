"""What an evaluation draws: its subject and what was measured, as pictures, TensorBoard logs and a page."""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dense_labels import batches, files, progress
from dense_labels import config as config_lib
from dense_labels.registry import HEADS, NETWORKS, compares_labels, describes, has_unit_labels

_REPORT = "report.html"
_SHOWN = 9  # frames in the pictures, as in figure 3 of the paper
_COMPARED = 48  # pairs of which the worst are shown
_WORST = 8  # images whose landmarks are predicted worst
_MANY = 200  # images in the mean object


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is evaluated: a labelling network, and the data it is evaluated on."""

    config: config_lib.Config
    label: Callable[[Any], Any]  # images [B, H, W, 3] -> labels [B, h, w, L]
    stride: int
    step: int  # of the training
    source: Any  # `input_pipeline.sources.base.Source`
    split: str  # the one that is shown

    @property
    def has_confidence(self) -> bool:
        """Whether the length of a label is its confidence."""
        return NETWORKS[self.config.model.name].value.has_confidence(self.config.model)

    @property
    def compares_labels(self) -> bool:
        """Whether the network gives labels, not heat maps of landmarks of its own."""
        return compares_labels(self.config.model.name)

    @property
    def describes(self) -> bool:
        """Whether the network gives descriptors, which are compared by their direction."""
        return describes(self.config.model.name)

    def labels(self, images: Any) -> np.ndarray:
        """Labels images [B, H, W, 3], some of them at a time."""
        size = self.config.eval.batch_size
        return np.concatenate([np.asarray(self.label(images[k : k + size])) for k in range(0, len(images), size)])

    def shown(self, images: Any) -> np.ndarray:
        """Labels images [B, H, W, 3] for pictures and the page, as long as `shown_length` says."""
        from dense_labels.method import introspection_loss

        return introspection_loss.shown_length(has_unit_labels(self.config.model)) * self.labels(images)

    def label_map(self, images: Any) -> batches.LabelMap:
        """The label maps of images, as `shown`."""
        return batches.LabelMap(self.shown(images), self.stride)

    def pictures(self, split: str, count: int = 0) -> np.ndarray | None:
        """Numbers the pictures of all images of a split, or of `count` of them, int [N]; None: each is of another."""
        from dense_labels.evaluation import turns
        from input_pipeline.sources import base

        origins = self.source.origins(split)
        count = min(count or len(origins), len(origins))
        images = np.asarray(base.spread(np.arange(count), count, len(origins)))
        return turns.of_images(origins, images) if origins else None

    def landmarks(self, split: str, count: int = 0) -> batches.LabelledLandmarks:
        """All annotated images of a split, or `count` of them, labelled."""
        from dense_labels.evaluation import landmarks
        from input_pipeline import pipeline

        images = pipeline.landmark_batches(self.source, split, batch_size=self.config.eval.batch_size, count=count)
        return landmarks.label_landmarks(self.label, images, self.stride)


@dataclasses.dataclass(frozen=True)
class Measured:
    """What an evaluation measured, and what was fitted for it."""

    result: Any  # `evaluation.result.Result`
    fitted: Any = None  # `evaluation.landmarks.FittedHeads`
    matches: Any = None  # `evaluation.descriptor_matching.Matches`


def write(
    subject: Subject,
    measured: Measured,
    folder: str,
    logs: str,
    *,
    report: bool,
    title: str,
    trained: config_lib.Config,
) -> None:
    """Draws an evaluation into its folder, TensorBoard and the page.

    Args:
      subject: what was evaluated.
      measured: what was measured.
      folder: of the pictures and the page; it exists.
      logs: folder of the TensorBoard run.
      report: whether the page is written.
      title: of the page.
      trained: the configuration of the training, which the page tells; that of the evaluation may name other data.
    """
    from dense_labels.pictures import gallery
    from dense_labels.reporting import page, tensorboard
    from input_pipeline import pipeline

    result, source = measured.result, subject.source
    material = _material(subject, measured)
    pictures = gallery.draw(material)
    gallery.save(folder, pictures)
    for events in pathlib.Path(logs).glob("events.out.tfevents*"):  # of an earlier evaluation, which had other heads
        files.remove(events)
    tensorboard.write(logs, result.metrics, pictures, result.step, curves=result.curves, matches=material.pair_matches)
    images, landmarks = pipeline.example_images(source, subject.split, count=page.MOST_PICTURES)
    labels = subject.label_map(images.image) if subject.compares_labels else None
    if labels is not None:
        tensorboard.write_projector(logs, images.image, labels, images.mask)
    progress.say(f"pictures and result.json: {folder}")
    path = os.path.join(folder, _REPORT)
    if report:
        known = {} if landmarks is None else {"landmarks": landmarks.landmarks, "annotated": landmarks.annotated}
        examples = None if labels is None else page.Examples(images.image, labels, images.mask, **known)
        summary = page.summary(trained, result.step)
        page.write(path, title, examples, result=result, panels=pictures, summary=summary)
        progress.say(f"report: {path} ({os.path.getsize(path) / 1e6:.1f} MB)")


def set_aside(folder: str | os.PathLike) -> None:
    """Removes the pictures of an earlier evaluation and renames its page, so that none of them stands beside a new one.

    Args:
      folder: of the evaluation.
    """
    from dense_labels.pictures import gallery

    gallery.save(folder, {})
    path = os.path.join(folder, _REPORT)
    if os.path.exists(path):
        earlier = os.path.join(folder, "report_earlier.html")
        os.replace(path, earlier)
        progress.note(f"{path} was of an earlier evaluation, and is called {os.path.basename(earlier)} now")


def _material(subject: Subject, measured: Measured) -> Any:
    """What the pictures are drawn from, labelled once."""
    from dense_labels.pictures import gallery
    from input_pipeline import pipeline

    pairs = _example_pairs(subject, _SHOWN)
    facts = {"has_confidence": subject.has_confidence, "compares_labels": subject.compares_labels}
    material = gallery.label_pairs(subject.shown, pairs, subject.stride, **facts)
    material = dataclasses.replace(material, curves=measured.result.curves or None)
    if subject.compares_labels:
        material = dataclasses.replace(material, **_compared(subject), descriptor_matches=measured.matches)
    if measured.fitted is None:
        return material
    frames = next(iter(pipeline.landmark_batches(subject.source, subject.split, batch_size=_SHOWN, count=_SHOWN)))
    labels = subject.label_map(frames.image)
    return dataclasses.replace(
        material,
        frames=batches.stack([frames]),
        frame_labels=labels if subject.compares_labels else None,
        frame_pictures=subject.pictures(subject.split, _SHOWN),
        head_points=_head_points(subject, measured.fitted, frames.image),
        worst=_worst(subject, measured.fitted),
    )


def _compared(subject: Subject) -> dict[str, Any]:
    """What pictures of many labels are drawn from, by the names of the material."""
    from dense_labels.pictures import gallery

    pairs = _example_pairs(subject, _COMPARED)
    compared = gallery.label_pairs(subject.shown, pairs, subject.stride, has_confidence=False)
    return {
        "compared": compared.pairs,
        "compared_a": compared.labels_a,
        "compared_b": compared.labels_b,
        "many": functools.partial(_many, subject),
    }


def _example_pairs(subject: Subject, count: int) -> batches.PairBatch:
    from input_pipeline import pipeline

    return pipeline.example_pairs(subject.source, subject.split, stride=subject.stride, count=count)


def _head_points(subject: Subject, fitted: Any, images: np.ndarray) -> np.ndarray | None:
    """What was measured of the best head in the images that are shown; of too few, what it predicts if it reads labels.

    None where neither is known.
    """
    from input_pipeline.sources import base

    known = fitted.best_points
    unseen = known is None or subject.split == "test"  # a head that reads labels is asked of the very images there
    if unseen and not HEADS[fitted.best].facts.get("reads_pictures"):
        return np.asarray(fitted.heads[fitted.best](subject.labels(images))["points"])
    if known is None or len(known) != subject.source.count(subject.split):
        return None
    return known[np.asarray(base.spread(np.arange(len(images)), len(images), len(known)))]


def _many(subject: Subject) -> Iterator[tuple[np.ndarray, batches.LabelMap, np.ndarray]]:
    """Many images of the split with their labels and masks, batch by batch."""
    from input_pipeline import pipeline

    size = subject.config.eval.batch_size
    for batch in pipeline.image_batches(subject.source, subject.split, batch_size=size, count=_MANY):
        yield np.asarray(batch.image), subject.label_map(batch.image), np.asarray(batch.mask)


def _worst(subject: Subject, fitted: Any) -> Any:
    """The images whose landmarks are predicted worst, those alone decoded; None where nothing was measured."""
    from dense_labels.evaluation import measuring
    from dense_labels.pictures import gallery
    from input_pipeline import pipeline

    if fitted.best_points is None:
        return None
    points = fitted.best_points
    indices = measuring.worst_images(points, fitted.measured_on, _WORST)
    if not len(indices):
        return None
    split, count = ("test", 0) if subject.source.count("test") else ("annotated", subject.config.eval.head_images)
    images = pipeline.landmark_images(subject.source, split, indices, count=count)
    known = fitted.measured_on.take(indices)
    return gallery.Worst(images, points[indices], known.landmarks, known.annotated, known.scale)
