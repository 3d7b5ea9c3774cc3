"""Decodes pictures and asks the model about them, by the functions that `predict_main.py` uses."""

from __future__ import annotations

import atexit
import gc
import hashlib
import time
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import ModelHandler

from dense_labels.prediction import answers, predictor, reading
from serving.bulk import storage
from serving.bulk.sources import Picture

NAMESPACE = "dense_labels"  # of the counters
_MICROSECONDS = 1_000_000  # small pictures are decoded in less than a millisecond


class Decode(beam.DoFn):
    """Turns a `Picture` into a `reading.Seen`, resized as the network sees it; counts pictures and failures.

    A file that is not there, or is no picture, fails by itself. Anything else that a file system raises is the
    runner's to try again.
    """

    def __init__(self, size: tuple[int, int]):
        """Creates the function; `size` is (height, width) in pixels."""
        self._size = size
        self._pictures, self._failures = (Metrics.counter(NAMESPACE, name) for name in ("pictures", "failures"))
        self._time = Metrics.counter(NAMESPACE, "decoding_us")

    def process(self, picture: Picture) -> Iterator[reading.Seen]:
        """Yields one `Seen`."""
        began = time.monotonic()
        seen = self._seen(picture)
        self._pictures.inc()
        self._failures.inc(int("failed" in seen.facts))
        self._time.inc(_since(began))
        yield seen

    def _seen(self, picture):
        row = {"name": picture.name, "digest": ""}
        content, failed = picture.content, picture.failed
        if content is None and not failed:
            content, failed = storage.content_or_failure(picture.path)
        if failed:
            return reading.Seen({**row, "failed": failed}, None)
        row["digest"] = hashlib.sha256(content).hexdigest()
        return reading.read_picture(row, picture.name, self._size, content=content)


class Loaded:
    """A model, which goes before the interpreter does: TensorFlow complains of graphs that are left until then."""

    def __init__(self, loaded: predictor.Predictor):
        self.predictor = loaded


def _forget(loaded):
    if loaded():
        loaded().predictor = None
        gc.collect()


class LandmarkHandler(ModelHandler):
    """Asks the signature `landmarks` of a SavedModel, which each worker process loads once, about full batches."""

    def __init__(self, model: str, batch_size: int = answers.BATCH_SIZE):
        """Creates the handler.

        Args:
          model: folder of a version, as each worker can reach it.
          batch_size: how many pictures the network sees at once.
        """
        super().__init__(min_batch_size=batch_size, max_batch_size=batch_size)
        self._model, self._batch_size = model, batch_size
        self._time = Metrics.counter(NAMESPACE, "network_us")

    def load_model(self) -> Loaded:
        """Loads the model."""
        with storage.local_copy(self._model) as folder:
            loaded = Loaded(predictor.load(folder))
        atexit.register(_forget, weakref.ref(loaded))  # which may be gone by then
        return loaded

    def run_inference(
        self,
        batch: Sequence[reading.Seen],
        model: Loaded,
        inference_args: dict[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Returns the line of each picture, in another order; see `answers.of_batch`."""
        began = time.monotonic()
        lines = model.predictor.predict_batch(batch, self._batch_size)
        self._time.inc(_since(began))
        return lines

    def get_num_bytes(self, batch: Sequence[reading.Seen]) -> int:
        """Returns the bytes of the pixels of a batch."""
        return sum(seen.image.nbytes for seen in batch if seen.image is not None)

    def get_metrics_namespace(self) -> str:
        """Returns the namespace of Beam's own counters of the model."""
        return NAMESPACE


def _since(began):
    return round((time.monotonic() - began) * _MICROSECONDS)
