"""Predicts the landmarks of many pictures, while the next ones are decoded; memory does not grow with their number."""

from __future__ import annotations

import collections
import concurrent.futures
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from dense_labels import files, progress
from dense_labels.batches import Frame
from dense_labels.prediction import inputs
from dense_labels.prediction.journal import Journal
from dense_labels.prediction.predictions import Predictions
from dense_labels.registry import FORMATS
from input_pipeline.storage import decoding

BATCH_SIZE = 32
_AHEAD = 4  # batches that are decoded, or are being decoded, before the network wants them
_NAMED = 5  # pictures that a message names
_DIGITS = 4  # after the point: a ten-thousandth of a pixel


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
    ):
        """Creates a predictor; see `load` and `dense_labels.Run.predict`.

        Args:
          landmarks: uint8 images [N, H, W, 3] of the frame's full size -> `points` [N, K, 2] in pixels of these, and
            `score` [N, K].
          frame: what the network sees.
          landmark_names: K, or none.
          identity: what tells this model from others; JSON can hold it.
        """
        self._landmarks, self.frame = landmarks, frame
        self.landmark_names, self._identity = tuple(landmark_names), identity

    def predict(
        self,
        pictures: str | os.PathLike | Sequence[str | os.PathLike],
        *,
        out: str | os.PathLike | None = None,
        formats: str | Sequence[str] = ("csv",),
    ) -> Predictions:
        """Predicts the landmarks of pictures.

        Args:
          pictures: a folder, a pattern, a list or a picture, as of `inputs.find`.
          out: folder to write to; called again with the same one, a prediction that was stopped goes on where it was.
          formats: names of the registry FORMATS to write there, or one name.

        Returns:
          The predictions. Pictures that cannot be read are left out and listed.

        Raises:
          ValueError: if there are no pictures, none can be read, or there is no such format.
          OSError: if the output cannot be written.
        """
        found = inputs.find(pictures)
        for name in [formats] if isinstance(formats, str) else formats:
            FORMATS[name]  # refuses an unknown one before the work
        if out is None:
            return self._predictions(found, self._lines(found, {}))
        with files.new_folder(os.path.expanduser(os.fspath(out))) as folder:
            journal = Journal(folder, {"version": 1, "model": self._identity, "folder": found.folder})
            finished = False
            try:
                predicted = self._predictions(found, self._lines(found, journal.done, journal.add))
                written = predicted.save(folder, formats)
                finished = True
            finally:
                journal.close(finished=finished)
        progress.say(f"predicted {len(predicted)} pictures: {', '.join(map(str, written))}")
        return predicted

    def _lines(
        self, found: inputs.Inputs, done: dict[str, dict[str, Any]], keep: Callable[[list], None] = lambda lines: None
    ) -> list[dict[str, Any]]:
        """A line for each picture: as it was kept, or predicted now."""
        states = {name: _state(path) for name, path in zip(found.names, found.paths)}
        kept = {name: line for name, line in done.items() if line["state"] == states.get(name)}
        todo = [(name, path) for name, path in zip(found.names, found.paths) if name not in kept]
        if kept:
            progress.say(f"going on: {len(kept)} of {len(found.names)} pictures were predicted before")
        with tqdm(total=len(found.names), initial=len(kept), desc="Predicting", unit=" pictures") as bar:
            for batch in _batches(_decoded(todo, self.frame.full_size)):
                lines = self._of_batch(batch, states)
                keep(lines)
                kept.update((line["name"], line) for line in lines)
                bar.update(len(lines))
        return [kept[name] for name in found.names]

    def _of_batch(self, batch: list, states: dict[str, list]) -> list[dict[str, Any]]:
        lines = [{"name": name, "state": states[name], "failed": read} for name, read in batch if isinstance(read, str)]
        good = [(name, read) for name, read in batch if not isinstance(read, str)]
        if not good:
            return lines
        images = np.stack([image for _, (image, _, _) in good])
        images = np.concatenate(
            [images, np.repeat(images[-1:], BATCH_SIZE - len(images), axis=0)]
        )  # one size: one trace
        answer = self._landmarks(images)
        points, score = (np.asarray(answer[name])[: len(good)] for name in ("points", "score"))
        for (name, (_, scale, size)), found, scores in zip(good, points, score):
            placed = np.float64(found) * scale
            parts = {"size": list(size), "points": placed.round(_DIGITS).tolist(), "score": np.float64(scores).tolist()}
            lines.append({"name": name, "state": states[name], **parts})
        return lines

    def _predictions(self, found: inputs.Inputs, lines: list[dict[str, Any]]) -> Predictions:
        good = [line for line in lines if "failed" not in line]
        failed = tuple((line["name"], line["failed"]) for line in lines if "failed" in line)
        if failed:
            some = ", ".join(progress.printable(f"{name} ({reason})") for name, reason in failed[:_NAMED])
            more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
            progress.warn(f"{len(failed)} of {len(lines)} pictures cannot be read: {some}{more}")
        if not good:
            raise ValueError(f"{found.folder}: none of the {len(lines)} pictures can be read")
        points = np.array([line["points"] for line in good], np.float32)
        numbers = tuple(str(k) for k in range(points.shape[1]))
        return Predictions(
            folder=found.folder,
            names=tuple(line["name"] for line in good),
            sizes=np.array([line["size"] for line in good], np.int64),
            landmark_names=self.landmark_names or numbers,
            points=points,
            score=np.array([line["score"] for line in good], np.float32),
            failed=failed,
            named=bool(self.landmark_names),
        )


def load(folder: str | os.PathLike) -> Predictor:
    """Loads an exported model: the folder of a version, or of the versions, of which the newest is taken.

    Raises:
      ValueError: if there is no exported model, it is damaged, or it has no landmark head.
    """
    import tensorflow as tf

    from dense_labels.exporting import checksums, model_card

    path = _version(pathlib.Path(os.path.expanduser(os.fspath(folder))))
    checksums.check(path)
    card = model_card.read(path)
    with files.plain_path(str(path)) as plain:
        model = tf.saved_model.load(plain)
    if not hasattr(model, "landmarks"):
        raise ValueError(f"{path} has no landmark head; evaluate the run with annotations, and export it again")
    seen = card.get("landmarks", card["model"])  # older cards have one frame
    frame = Frame(tuple(seen["input_size"]), seen["stride"], seen["margin"])
    identity = {"model": str(path.resolve()), "created": card["created"]}
    # The model, and not its function alone, for its variables go with it.
    return Predictor(lambda images: model.landmarks(images), frame, card.get("data", {}).get("landmarks", ()), identity)


def _version(folder: pathlib.Path) -> pathlib.Path:
    """The folder of a SavedModel: this one, or the newest version in it."""
    if (folder / "saved_model.pb").exists():
        return folder
    numbers = [int(name) for name in os.listdir(folder) if name.isdecimal()] if folder.is_dir() else []
    if not numbers or not (folder / str(max(numbers)) / "saved_model.pb").exists():
        raise ValueError(f"{folder} holds no exported model; give the folder that an export wrote, or that of a run")
    return folder / str(max(numbers))


def _state(path: str) -> list[int]:
    """What changes when a file does."""
    try:
        state = os.stat(path)
        return [state.st_size, state.st_mtime_ns]
    except OSError:
        return []


def _decoded(pictures: Sequence[tuple[str, str]], size: tuple[int, int]) -> Iterator[tuple[str, Any]]:
    """Name and image, scale and size of each picture, or why there is none; a few are decoded ahead."""
    waiting: collections.deque = collections.deque()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for name, path in pictures:
            waiting.append((name, pool.submit(_read, path, size)))
            if len(waiting) >= _AHEAD * BATCH_SIZE:
                name, future = waiting.popleft()
                yield name, future.result()
        while waiting:
            name, future = waiting.popleft()
            yield name, future.result()


def _read(path, size):
    try:
        return decoding.read_resized(path, None, size)
    except decoding.PictureError as error:
        return error.reason


def _batches(pictures: Iterable) -> Iterator[list]:
    batch: list = []
    for each in pictures:
        batch.append(each)
        if len(batch) == BATCH_SIZE:
            yield batch
            batch = []
    if batch:
        yield batch
