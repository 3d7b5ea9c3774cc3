"""Predicts the landmarks of many pictures, while the next ones are decoded; memory does not grow with their number."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from dense_labels import files, progress
from dense_labels.batches import Frame, Limits
from dense_labels.config import DataConfig
from dense_labels.prediction import answers, inputs, leftovers, reading, smoothing
from dense_labels.prediction.inputs import Boxes
from dense_labels.prediction.journal import Journal, Key, Line, key_of, packed
from dense_labels.prediction.predictions import FAILED, Predictions, check_formats
from dense_labels.prediction.reading import Seen
from input_pipeline.readers.pictures import saw_boxes
from input_pipeline.storage import decoding

_TOGETHER = "each in pixels of the picture"  # how far heads are apart
_AHEAD = 4  # batches that are decoded, or are being decoded, before the network wants them
_NAMED = 5  # pictures that a message names


class Predictor:
    """A network with a landmark head: that of a run, or of an exported model.

    Attributes:
      landmark_names: of the landmarks; none where they are numbered.
      frame: what the network sees of a picture.
    """

    def __init__(
        self,
        landmarks: Callable[[np.ndarray], dict[str, Any]],
        frame: Frame,
        landmark_names: Sequence[str],
        identity: dict[str, Any],
        *,
        saw_boxes: bool = False,
        annotated: np.ndarray | None = None,
        together: Callable[[np.ndarray], dict[str, Any]] | None = None,
        count: int = 0,
    ):
        """Creates a predictor; see `load` and `dense_labels.Run.predict`.

        Args:
          landmarks: uint8 images [N, H, W, 3] of the frame's full size -> `points` [N, K, 2] in pixels of these,
            `score` [N, K] and, where they are known, `expected_error` [N, K], also in pixels, `likelihood` [N, K] and
            `present` [N, K].
          frame: what the network sees.
          landmark_names: K, or none.
          identity: what tells this model from others; JSON can hold it.
          saw_boxes: whether training saw boxes about objects, not whole pictures.
          annotated: float32 [M, K, 2], the landmarks that the head was fitted on, in pixels of what the network sees;
            not a number where one was not annotated. None where they are not known.
          together: as `landmarks`, with `of_heads` [N, H, K, 2], the points of several heads; it is asked where
            outliers are. None where there is one head.
          count: of the landmarks, where these have no names; 0: as many as in `annotated`, or unknown.
        """
        self._landmarks, self._together, self.frame = landmarks, together or landmarks, frame
        self.landmark_names, self._identity, self._saw_boxes = tuple(landmark_names), identity, saw_boxes
        self._annotated = None if annotated is None else annotated + frame.margin  # in pixels of the full size
        self._numbered = count or (0 if annotated is None else annotated.shape[1])

    def predict(
        self,
        pictures: str | os.PathLike | Sequence[str | os.PathLike],
        *,
        out: str | os.PathLike | None = None,
        formats: str | Sequence[str] = ("csv",),
        boxes: Boxes | None = None,
        smooth: bool = False,
        outliers: int = 0,
    ) -> Predictions:
        """Predicts the landmarks of pictures, of objects in them, or of the frames of a video.

        Args:
          pictures: a folder, a pattern, a list or a picture, as of `inputs.find`; or a video.
          out: folder to write to; called again with the same one, a prediction that was stopped goes on where it was.
          formats: names of the registry FORMATS to write there, or one name.
          boxes: about the objects, where the network saw such boxes; None for whole pictures.
          smooth: smooth the tracks of a video; see `smoothing.smooth`.
          outliers: how many of the predictions that stand out to list and draw in `out`; see `outliers.find`.

        Returns:
          The predictions. Pictures that cannot be read are left out and listed.

        Raises:
          ValueError: if no picture can be read, or the video; boxes do not fit; there is no such format, or it or
            `smooth` is not for this; `outliers` have no `out`; or that is of a run, or another prediction writes there.
          OSError: if the output cannot be written.
        """
        check_formats(formats)
        source = reading.find(pictures, boxes, out)
        self._check_formats(source, formats)
        if smooth:
            smoothing.check(source.video, source.folder)
        if outliers and out is None:
            raise ValueError(f"outliers={outliers} are written as files; give out, the folder to write to")
        self._say_of_boxes(boxes)
        ask = self._together if outliers else self._landmarks
        if out is None:
            found = self._predictions(source, self._lines(source, ask, {}, lambda lines: None))
            return smoothing.smooth(found) if smooth else found
        with files.new_folder(os.path.expanduser(os.fspath(out))) as folder, files.held(folder, "prediction"):
            files.remove_temporary(folder)
            heading = {**source.heading, "model": self._identity}
            journal = Journal(folder, {**heading, "together": ask is not self._landmarks and _TOGETHER})
            finished = None
            try:
                lines = self._lines(source, ask, journal.done, journal.add)
                found = self._predictions(source, lines, lists=f" ({FAILED} lists all)")
                predicted = smoothing.smooth(found) if smooth else found
                written = [*predicted.save(folder, formats), *self._write_outliers(found, outliers, folder, formats)]
                finished = set(map(key_of, lines))
                heading.update({"smooth": True} if smooth else {})
                leftovers.remember(folder, written, {**heading, "rows": sorted(map(_seen_as, lines))})
            finally:
                journal.close(finished=finished)
        progress.say(f"predicted {len(predicted)} {source.noun}: {', '.join(map(str, written))}")
        inputs.warn_of_drawn(source.folder, written)
        return predicted

    def predict_batch(self, batch: Sequence[Seen], size: int = answers.BATCH_SIZE) -> list[Line]:
        """Predicts at most `size` pictures of the frame's full size; see `answers.of_batch`."""
        return answers.of_batch(batch, self._landmarks, size)

    def _say_of_boxes(self, boxes: Boxes | None) -> None:
        """Says where what is shown is not what the training saw: boxes about objects, or whole pictures."""
        if self._saw_boxes and boxes is None:
            progress.note("the network saw boxes about the objects; give boxes, or pictures that are cropped alike")
        if boxes is not None and not self._saw_boxes:
            progress.warn(
                f"{boxes.file}: objects are shown in boxes, and the network saw whole pictures, as far as is known; "
                "give no boxes, or a model that was trained on boxes (config.data.name=boxes)"
            )

    def _check_formats(self, source: reading.Source, formats: str | Sequence[str]) -> None:
        """Refuses formats that cannot say what will be predicted; nothing is, of pictures that cannot be read."""
        video = bool(source.video)
        try:
            check_formats(formats, video=video, expected=self._expected(source, source.names))
        except ValueError:
            check_formats(formats, video=video, expected=self._expected(source, source.readable_names()))

    def _expected(self, source: reading.Source, names: tuple[str, ...]) -> Predictions:
        """What is known of the predictions before a picture is read: which rows and landmarks they have."""
        landmarks = self.landmark_names or tuple(map(str, range(self._numbered)))
        shape = (len(names), len(landmarks), 2)
        points, score = (np.broadcast_to(np.float32(np.nan), axes) for axes in (shape, shape[:2]))  # take no memory
        sizes = np.broadcast_to(np.int64(0), shape[::2])
        return Predictions(source.folder, names, sizes, landmarks, points, score, video=source.video)

    def _write_outliers(
        self, found: Predictions, count: int, folder: pathlib.Path, formats: str | Sequence[str]
    ) -> list[pathlib.Path]:
        if not count:
            return []
        from dense_labels.prediction import outliers

        listed = outliers.find(found, count, shapes=self._annotated, size=self.frame.full_size)
        boxes = [None if each is None else each.tolist() for each in (found.boxes, found.around)]
        of = [self._identity, found.folder, found.names, count, *boxes]
        return outliers.write(found, listed, folder, formats, of)

    def _lines(
        self, source: reading.Source, ask: Callable, done: dict[Key, Line], keep: Callable[[list[Line]], None]
    ) -> list[Line]:
        """The lines of all rows: as they were kept, or predicted now."""
        kept = source.kept(done)
        if kept:
            progress.say(f"going on: {len(kept)} of {source.count} {source.noun} were predicted before")
        ahead = reading.ahead(source, self.frame.full_size, dict(kept), _AHEAD * answers.BATCH_SIZE)
        looked_at, brightest = 0, 0
        with tqdm(total=source.count, initial=len(kept), desc="Predicting", unit=f" {source.noun}") as bar:
            for batch in answers.batched(ahead, answers.BATCH_SIZE):
                values = [int(seen.image.max()) for seen in batch if seen.image is not None]
                looked_at, brightest = looked_at + len(values), max(brightest, *values, 0)
                lines = answers.of_batch(batch, ask)
                keep(lines)
                kept.update(packed(lines))
                bar.update(len(lines))
        decoding.warn_of_darkness(looked_at, brightest)
        return source.in_order(kept)

    def _predictions(self, source: reading.Source, lines: list[Line], lists: str = "") -> Predictions:
        failed = answers.failures(lines)
        if failed:
            some = ", ".join(progress.printable(f"{name} ({reason})") for name, reason in failed[:_NAMED])
            lists = lists * (len(failed) < len(lines))  # where nothing is predicted nothing is written
            more = f" and {len(failed) - _NAMED} more{lists}" if len(failed) > _NAMED else ""
            progress.warn(f"{len(failed)} of {len(lines)} {source.noun} cannot be read: {some}{more}")
        if len(failed) == len(lines):
            raise ValueError(f"{source.folder}: none of the {len(lines)} {source.noun} can be read")
        return answers.to_predictions(lines, self.landmark_names, folder=source.folder, video=source.video)


class Described(NamedTuple):
    """What the model card of an exported model says of its landmarks."""

    folder: pathlib.Path  # of the version
    created: str
    frame: Frame  # what the network sees of a picture
    landmark_names: tuple[str, ...]  # none where landmarks are numbered
    saw_boxes: bool  # whether training saw boxes about objects
    answers: dict[str, list[int]]  # name -> shape of what is found in pictures, -1 or None for their number
    max_images: int  # pictures that the model sees at once


def _seen_as(line: Line) -> list[Any]:
    """What tells a line from others, and the boxes that it is of."""
    return [*key_of(line), line.get("box"), line.get("around")]


def describe(folder: str | os.PathLike) -> Described:
    """Reads what an exported model is, and checks that it is whole; loads nothing.

    Args:
      folder: of a version, or of the versions, of which the newest is taken.

    Raises:
      ValueError: if there is no exported model, it is damaged, it has no landmark head, or it was written before
        models came with a card that says what they answer.
    """
    from dense_labels.exporting import checksums, model_card

    path = _version(pathlib.Path(os.path.expanduser(os.fspath(folder))))
    checksums.check(path)
    try:
        return _described(path, model_card.read(path))
    except (AttributeError, FileNotFoundError, KeyError, TypeError) as error:
        lacks = f"does not say {error}" if isinstance(error, KeyError) else "is missing or of another kind"
        raise ValueError(
            f"{path}: {model_card.FILE.as_posix()} {lacks}, so that it is not known what the model sees and answers; "
            "export the run again"
        ) from error


def _described(path: pathlib.Path, card: dict[str, Any]) -> Described:
    """What a card of this version or an older one says, of the model at a path."""
    functions = {each.get("function", name): each for name, each in card["signatures"].items()}
    if "landmarks" not in functions:
        raise ValueError(f"{path} has no landmark head; evaluate the run with annotations, and export it again")
    seen = card.get("landmarks_frame", card["model"])  # older cards have one frame
    return Described(
        path,
        card["created"],
        Frame(tuple(seen["input_size"]), seen["stride"], seen["margin"]),
        tuple(card.get("data", {}).get("landmarks", ())),
        _saw_boxes(card.get("configuration", {}).get("data", {})),
        {name: tensor["shape"] for name, tensor in functions["landmarks"]["outputs"].items()},
        int(card["model"].get("max_images", Limits.max_images)),
    )


def _saw_boxes(data: dict[str, Any]) -> bool:
    """Whether training saw boxes, as the configuration on a model card has it; one of another version lacks keys."""
    known = {field.name for field in dataclasses.fields(DataConfig)}
    return saw_boxes(DataConfig(**{name: value for name, value in data.items() if name in known}))


def load(folder: str | os.PathLike) -> Predictor:
    """Loads an exported model.

    Args, Raises:
      As of `describe`.
    """
    import tensorflow as tf

    found = describe(folder)
    tf.config.experimental.enable_tensor_float_32_execution(False)  # as in the evaluation, whose answers these are
    with files.plain_path(str(found.folder)) as plain:
        model = tf.saved_model.load(plain)
    identity = {"model": str(found.folder.resolve()), "created": found.created}
    # The model, and not its function alone, for its variables go with it.
    return Predictor(
        lambda images: model.landmarks(images),
        found.frame,
        found.landmark_names,
        identity,
        saw_boxes=found.saw_boxes,
        count=found.answers["points"][1],
    )


def _version(folder: pathlib.Path) -> pathlib.Path:
    """The folder of a SavedModel: this one, or the newest version in it."""
    if (folder / "saved_model.pb").exists():
        return folder
    numbers = [int(name) for name in os.listdir(folder) if name.isdecimal()] if folder.is_dir() else []
    if not numbers or not (folder / str(max(numbers)) / "saved_model.pb").exists():
        raise ValueError(f"{folder} holds no exported model; give the folder that an export wrote, or that of a run")
    return folder / str(max(numbers))
