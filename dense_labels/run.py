"""A run: what a training wrote into its work directory, as an object that evaluates, labels, matches and exports."""

from __future__ import annotations

import functools
import os
import pathlib
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from dense_labels import files, kept_heads, run_config
from dense_labels.batches import Frame, LabelMap, Limits, Match
from dense_labels.registry import NETWORKS, SOURCES, compares_labels, is_simulated

if TYPE_CHECKING:
    import tensorflow as tf

    from dense_labels.evaluation.result import Result
    from dense_labels.prediction.predictions import Predictions

_ONE_THREAD = threading.RLock()  # makes what is kept: TensorFlow may crash where several run a new network eagerly


def open_run(workdir: str | os.PathLike) -> Run:
    """Opens a run that a training wrote.

    Args:
      workdir: its folder.

    Raises:
      ValueError: if the folder or its configuration is missing or damaged.
    """
    return Run(workdir)


class Run:
    """A trained labelling network with its configuration.

    Attributes:
      workdir: folder of the run.
      config: its resolved configuration, only to be read: a change would change what this object does.
    """

    def __init__(self, workdir: str | os.PathLike):
        """Opens a run; see `open_run`."""
        self.workdir, self._made = os.path.abspath(os.path.expanduser(os.fspath(workdir))), dict[str, tuple]()
        self.config = run_config.load(self.workdir)
        self.fitted = ""  # digest of the heads that the last evaluation of this object kept

    def __repr__(self) -> str:
        return f"Run({self.workdir!r})"

    @property
    def step(self) -> int:
        """How many steps the network has been trained for; raises a ValueError where there is no checkpoint to read.

        Once the network is in use it is that network's, also where the training has gone on since.
        """
        if "restored" in self.__dict__:
            return self.restored[1]
        from dense_labels.training import checkpoints

        return checkpoints.newest_step(self.workdir)

    @property
    def stride(self) -> int:
        """The side of a cell of the label maps in pixels of the network's input."""
        return NETWORKS[self.config.model.name].value.stride(self.config.model)

    @property
    def frame(self) -> Frame:
        """The frame in which the network sees its images."""
        data = self.config.data
        if is_simulated(data.name) or not any(data.size):  # nothing was resized, whatever data.size says
            return Frame(SOURCES[data.name].facts["size"], self.stride)
        height, width = (int(side) - 2 * data.crop for side in data.size)
        return Frame((height, width), self.stride, data.crop)

    @property
    def network(self) -> tf.keras.Model:
        """The trained network in float32: images [B, H, W, 3] in [0, 1] -> labels [B, h, w, L]. Threads use `labels`.

        Raises:
          ValueError: if its checkpoint is missing, damaged or of another network.
        """
        return self.restored[0]

    @functools.cached_property
    def restored(self) -> tuple[tf.keras.Model, int]:
        """The network of the newest checkpoint that can be read, and the steps it was trained for; see `network`."""
        from dense_labels.training import restoring

        with _ONE_THREAD:  # the other one may have restored it by now
            return self.__dict__.get("restored") or restoring.restored_network(self.config, self.workdir)

    def evaluate(
        self,
        annotations: str | os.PathLike | None = None,
        *,
        annotations_test: str | os.PathLike | None = None,
        pictures: str | os.PathLike | None = None,
        category: str | None = None,
        heads: str | Sequence[str] = (),
        few_shot: int | Sequence[int] = (),
        weights: str | os.PathLike | None = None,
        pile: int | None = None,
        cache_dir: str | os.PathLike | None = None,
        skip_bad_files: bool = False,
        report: bool = False,
        untrained: bool = False,
    ) -> Result:
        """Fits landmark heads on frozen labels, measures them, draws, and keeps the heads in the run.

        Args:
          annotations: landmarks to fit heads on: a file or folder of any format that is read; None for the run's own.
          annotations_test: the same to test on; without it, parts of those take turns: five, of a detector three.
          pictures: folder of the pictures, if it is not the training's (any more).
          category: name or id of the objects, where annotations are of several kinds.
          heads: names of heads to fit, such as ("nearest", "regress"), or one; those of the configuration if empty.
          few_shot: numbers of annotated pictures to fit heads on too, such as (1, 5, 10), or one number.
          weights: of the detector's trunk, a Keras .h5 file or "none"; if not given, ImageNet's, downloaded once.
          pile: how many pictures of the training a detector learns from too, if not `config.eval.pile`; 0 for none.
          cache_dir: folder that resized pictures are kept in, if not the training's.
          skip_bad_files: leave out files that cannot be read.
          report: write a page to hand around too, `eval/report.html`.
          untrained: evaluate the network as it was before training, for comparison; no head is kept.

        Returns:
          The result, which is also written to `eval/result.json`, beside the pictures.

        Raises:
          ValueError: if an argument does not fit the run, annotations cannot be read, or there is no checkpoint.
        """
        from dense_labels import run_evaluation

        return run_evaluation.evaluate(
            self,
            run_evaluation.Data(annotations, annotations_test, pictures, category, cache_dir, skip_bad_files),
            heads=heads,
            few_shot=few_shot,
            weights=os.path.expanduser(os.fspath(weights or "")),
            pile=pile,
            report=report,
            untrained=untrained,
        )

    def labels(self, images: Any) -> LabelMap:
        """Labels images of any one size, as a served model does: they are resized to what the network sees.

        Args:
          images: uint8 [N, H, W, 3] or [H, W, 3], RGB; or floating point in [0, 1].

        Returns:
          N label maps, or heat maps of a sparse network. Their stride s is in pixels of `frame`: cell (i, j) lies at
          x = W / Wf (m + (j + 0.5) s), y = H / Hf (m + (i + 0.5) s) of an image, with (Hf, Wf) `frame.full_size` and m
          `frame.margin`.

        Raises:
          ValueError: if the images are of another shape, type or range, or larger than a model takes.
        """
        from dense_labels.exporting import served_model

        answer = served_model.in_parts(self._served.labels, served_model.checked_images(images))
        return LabelMap(answer["labels"], self.stride)

    def match(self, images_a: Any, images_b: Any) -> Match:
        """Finds each cell of images A in images B by its label, equation (3) of the NIPS 2017 paper.

        Args:
          images_a: as of `labels`.
          images_b: as many as A; their size may differ from A's.

        Returns:
          The matches, in pixels of A and B.

        Raises:
          ValueError: as `labels`, if there are not as many of both, or the network gives no labels.
        """
        from dense_labels.exporting import served_model

        if not compares_labels(self.config.model.name):
            raise ValueError(f"{self.workdir} has landmarks of its own and no labels: nothing can be matched by them")
        answer = served_model.in_parts(self._served.match, *served_model.checked_pairs(images_a, images_b))
        return Match(*(answer[name] for name in Match._fields))

    def export(self, export_dir: str | os.PathLike, *, max_pixels: int = 0, batch_requests: int = 0) -> pathlib.Path:
        """Writes the next version of a SavedModel for TensorFlow Serving, with the best head that was kept.

        Args:
          export_dir: folder of the versions; created where it is absent.
          max_pixels: the model refuses pictures of more pixels; 0 for the usual limit.
          batch_requests: the model joins requests that run at the same time, up to so many pictures; 0: it does not.

        Returns:
          The folder of the version.

        Raises:
          ValueError: if there is no checkpoint, the best head was not kept or is of another network or evaluation, a
            limit is out of range, or TensorFlow would take the folder for a pattern.
        """
        files.check_plain(export_dir, "export_dir")
        from dense_labels.evaluation.result import Result
        from dense_labels.exporting import model_card, saved_model

        network, kept = self.network, self._kept(self.fitted)
        of = (kept.config, kept.result) if kept else (self.config, Result(step=self.step))
        head, detector = kept.parts if kept else (None, None)
        return saved_model.export_saved_model(
            network,
            head,
            export_dir,
            detector=detector,
            frame=self.frame,
            limits=Limits(batch_requests=batch_requests, **({"max_pixels": max_pixels} if max_pixels else {})),
            example_images=kept.example_images if kept else saved_model.noise(self.frame),
            description=model_card.describe_run(*of, self.config.data),
            compares_labels=compares_labels(self.config.model.name),
        )

    def predict(
        self,
        pictures: str | os.PathLike | Sequence[str | os.PathLike],
        *,
        out: str | os.PathLike | None = None,
        formats: str | Sequence[str] = ("csv",),
        **options: Any,
    ) -> Predictions:
        """Predicts the landmarks of pictures with the best head that was kept; needs no annotations.

        Args:
          pictures: a folder, a pattern such as "in/*.jpg", a text file with a name a line, a picture, video or paths.
          out: folder to write to; called again with the same one, a prediction that was stopped goes on where it was.
          formats: what to write there, such as ("csv", "coco", "deeplabcut", "tps", "sheet").
          **options: such as `smooth=True`, the others of `prediction.predictor.Predictor.predict`.

        Returns:
          The predictions, in continuous pixels of the upright pictures.

        Raises:
          ValueError: if no head was kept or it was fitted at another step of the training, there are no pictures, none
            can be read, or there is no such format.
        """
        return self._predictor.predict(pictures, out=out, formats=formats, **options)

    def annotate(
        self,
        count: int,
        *,
        annotations: str | os.PathLike | None = None,
        pictures: str | os.PathLike | Sequence[str | os.PathLike] | None = None,
        category: str | None = None,
        suggest: str | Sequence[str] = (),
    ) -> str:
        """Writes a page, `annotate/annotate.html`, to annotate in: a landmark of one picture appears in all others.

        Args:
          count: how many pictures that are not annotated yet to choose, those that stand for most others.
          annotations: as of `evaluate`; they are shown to be corrected, suggest points, and are handed on by the page.
          pictures: what to choose from, if not the training's: a folder, a pattern, a list, or videos.
          category: name or id of the objects, where annotations are of several kinds.
          suggest: formats, as of `predict`, that suggestions from `annotations` are written in, into the same folder.

        Returns:
          The path of the page. What it hands out goes to `evaluate(annotations=...)`.

        Raises:
          ValueError: if an argument does not fit the run, there is no picture left, or there is no checkpoint.
        """
        from dense_labels.annotation import annotating

        return annotating.annotate(
            self, count, annotations=annotations, pictures=pictures, category=category, suggest=suggest
        )

    @property
    def _predictor(self) -> Any:
        """What predicts with the heads of the newest evaluation, here or in another process."""
        from dense_labels.prediction import several

        make = lambda: several.predictor(self.network, self.frame, self._kept(), self.workdir)  # noqa: E731
        return self._cached("predictor", (self.network, kept_heads.newest_digest(self.workdir)), make)

    @property
    def _served(self) -> Any:
        """What a served model answers, in this process."""
        from dense_labels.exporting.served_model import ServedModel

        return self._cached("served", (self.network,), lambda: ServedModel(self.network, None, frame=self.frame))

    def _cached(self, name: str, of: tuple, make: Callable[[], Any]) -> Any:
        """What was made of the same before, for it takes seconds to trace; or else something new."""
        with _ONE_THREAD:
            if self._made.get(name, ((), None))[0] != of:
                self._made[name] = of, make()
            return self._made[name][1]

    def _kept(self, digest: str = "") -> kept_heads.KeptHeads | None:
        return kept_heads.of_network(self.workdir, self.step, self.network, digest)
