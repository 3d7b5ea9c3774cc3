"""Evaluation of a run: fits landmark heads on frozen labels, measures, draws, and keeps the heads in the run."""

from __future__ import annotations

import copy
import dataclasses
import functools
import os
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dense_labels import config as config_lib
from dense_labels import files, kept_heads, progress, run_config, run_pictures
from dense_labels.registry import HEADS, data_set, has_unit_labels
from dense_labels.run import Run
from dense_labels.run_pictures import Measured, Subject

_SURFACES = 200  # images whose surface is measured
_MATCHED = 500  # images whose landmarks are matched
_CYCLED = 50  # images whose labels are matched into one another and back
_SHIFTED = 20  # images of which shifted views are matched
_KEPT = 9  # images that an export is checked on
_SEEDS = 3  # draws of few annotated pictures
_COPIES = 4  # pairs of warped views of an annotated picture


class Data(NamedTuple):
    """What a run is evaluated on, where it is not what it was trained on; see `Run.evaluate`."""

    annotations: str | os.PathLike | None = None
    annotations_test: str | os.PathLike | None = None
    pictures: str | os.PathLike | None = None
    category: str | None = None
    cache_dir: str | os.PathLike | None = None
    skip_bad_files: bool = False


class Lessons(NamedTuple):
    """What a detector has learned from, beside the annotated pictures, and where this is kept until all is measured."""

    weights: str  # of its trunk
    pile: config_lib.Config  # of the training
    kept_in: pathlib.Path  # folder of what a fit goes on with, should it be stopped


def evaluate(
    run: Run,
    data: Data = Data(),  # noqa: B008, for it cannot change
    *,
    heads: str | Sequence[str] = (),
    few_shot: int | Sequence[int] = (),
    weights: str = "",
    pile: int | None = None,
    report: bool = False,
    untrained: bool = False,
) -> Any:
    """Evaluates a run; see `Run.evaluate` for the arguments, the result and the errors."""
    heads, few_shot = _several(heads), _several(few_shot)
    config = _configuration(run, data, heads, few_shot, pile)
    trained_on = run.config.data.dir if _is_unannotated(run.config.data.name) else None
    subject = _subject(run, config, untrained)
    for name, given in (("weights", weights or None), ("pile", pile)):
        if given is not None and "detector" not in config.eval.heads:
            raise ValueError(f"{name}={given}: is for the head detector; fit it, or leave {name} out")
    if untrained and "detector" in config.eval.heads:
        raise ValueError("a detector does not depend on the network; leave it out where the untrained one is evaluated")
    if heads and not subject.source.count("annotated"):
        raise ValueError(f"heads={','.join(heads)}: they need landmarks; give annotations")
    unfinished = kept_heads.unfinished(run.workdir)
    lessons = Lessons(weights or "imagenet", _of_training(run, config), unfinished)
    name = "eval_untrained" if untrained else "eval"
    with files.new_folder(os.path.join(run.workdir, name)) as folder, files.held(folder, "evaluation"):
        measured = _measure(subject, few_shot, trained_on, lessons)
        measured = dataclasses.replace(measured, result=measured.result.with_metrics(_carried_over(subject)))
        progress.say(measured.result.table())
        if measured.fitted is not None and not untrained:  # before anything is drawn, so that nothing can lose them
            run.fitted = _keep(run, subject, measured)
            if "detector" in measured.fitted.heads:
                files.remove(unfinished)
        run_pictures.set_aside(folder)
        measured.result.save(folder / "result.json")
        logs = os.path.join(run.workdir, "tensorboard", name)
        title = os.path.basename(run.workdir) + ", untrained" * untrained
        run_pictures.write(subject, measured, str(folder), logs, report=report, title=title, trained=run.config)
    if subject.source.boxed:
        progress.note("the network saw boxes about the objects; crop what the served model is given alike")
    return measured.result


def _keep(run: Run, subject: Subject, measured: Measured) -> str:
    """Keeps the heads in the run, with what an export needs to know; returns their digest."""
    from input_pipeline import pipeline

    images = np.asarray(pipeline.example_images(subject.source, subject.split, count=_KEPT)[0].image)
    facts = images, measured.fitted.fitted_on, measured.fitted.calibrations, kept_heads.weights_digest(run.network)
    kept = kept_heads.KeptHeads(measured.fitted.heads, measured.result, subject.config, *facts)
    return kept_heads.save(run.workdir, kept, subject.labels(images))


def _several(given) -> tuple:
    """What may be given alone as well as with others."""
    return (given,) if isinstance(given, (str, int, float)) else tuple(given)


def _configuration(run, data, heads, few_shot, pile) -> config_lib.Config:
    """The configuration of the run with what the arguments change, checked."""
    if not all(isinstance(count, int) and count > 0 for count in few_shot):
        raise ValueError(f"few_shot={few_shot}: must be whole numbers above 0, such as 1, 5, 10")
    config = run_config.with_landmarks(run.config, data.annotations, data.annotations_test, data.pictures)
    config.data.category = config.data.category if data.category is None else data.category
    if data.cache_dir:
        files.check_local(data.cache_dir, "--cache_dir")
        config.data.cache_dir = os.path.abspath(os.path.expanduser(os.fspath(data.cache_dir)))
    config.data.skip_bad_files |= data.skip_bad_files
    given = {name for name in ("category", "cache_dir", "skip_bad_files") if getattr(data, name)}
    config_lib.check_used(config, sorted(f"data.{name}" for name in given))
    config.eval.heads = heads or config.eval.heads
    config.eval.pile = config.eval.pile if pile is None else pile
    config_lib.check(config)
    return config


def _of_training(run, config) -> config_lib.Config:
    """The configuration of a run's training, with the cache that an evaluation has."""
    trained = copy.deepcopy(run.config)
    trained.data.cache_dir, trained.data.skip_bad_files = config.data.cache_dir, config.data.skip_bad_files
    return trained


def _is_unannotated(name: str) -> bool:
    """Whether a run that trained on this data set saw pictures without landmarks, those of a folder of the user's."""
    return bool(data_set(name).facts.get("unannotated"))


def _subject(run, config, untrained) -> Subject:
    import tensorflow as tf

    from dense_labels.training import restoring
    from input_pipeline import pipeline

    tf.keras.utils.set_random_seed(config.train.seed)
    begun_with = config.train.init_from or None if untrained else run.workdir
    network, step = restoring.restored_network(config, begun_with)
    if not untrained:
        run.restored = network, step  # what is exported next
    elif begun_with:
        progress.note(f"before its training the run had the network of {begun_with}, which is at step {step} now")
    source = pipeline.prepare(config)
    run_config.settle_boxes(config, run.config, source.boxed)
    split = next(name for name in ("test", "annotated", "validation") if source.count(name))
    label = tf.function(network, reduce_retracing=True, autograph=False)
    return Subject(config, label, run.stride, 0 if untrained else step, source, split)


def _carried_over(subject: Subject) -> dict[str, float]:
    """Measures, without annotations, how well labels carry over to other pictures and to other places in the frame."""
    if not subject.compares_labels:
        progress.note(f"the network {subject.config.model.name} gives no labels: nothing is matched by them")
        return {}
    from dense_labels.evaluation import border_reliance, cycle_consistency
    from input_pipeline import pipeline

    settings = {"batch_size": subject.config.eval.batch_size, "count": _CYCLED}
    shown = list(pipeline.image_batches(subject.source, subject.split, **settings))
    images, masks = (np.concatenate([np.asarray(batch[k]) for batch in shown]) for k in (0, 1))
    labels = np.concatenate([np.asarray(subject.label(batch.image)) for batch in shown])
    pictures = subject.pictures(subject.split, _CYCLED)
    stride, cosine = subject.stride, subject.describes
    return {
        **cycle_consistency.measure(labels, masks, stride=stride, cosine=cosine, pictures=pictures),
        **border_reliance.measure(subject.label, images[:_SHIFTED], masks[:_SHIFTED], stride=stride, cosine=cosine),
    }


def _measure(subject: Subject, few_shot: tuple[int, ...], trained_on: str | None, lessons: Lessons) -> Measured:
    """Measures what the data set has the truth of: landmarks, or the surface of the object."""
    from dense_labels.evaluation import surface
    from dense_labels.evaluation.result import Result
    from input_pipeline import pipeline

    if subject.source.count("annotated"):
        return _measure_landmarks(subject, few_shot, trained_on, lessons)
    if few_shot:
        raise ValueError("few_shot needs landmarks; give annotations")
    if not subject.source.knows_surface or not subject.compares_labels:
        return Measured(Result(step=subject.step))
    stride = subject.stride
    settings = {"stride": stride, "batch_size": subject.config.eval.batch_size, "count": _SURFACES}
    known, test = (
        surface.label_surfaces(subject.label, pipeline.surface_batches(subject.source, split, **settings), stride)
        for split in ("train", subject.split)
    )
    return Measured(dataclasses.replace(surface.measure(known, test, pairs=_SURFACES), step=subject.step))


def _measure_landmarks(
    subject: Subject, few_shot: tuple[int, ...], trained_on: str | None, lessons: Lessons
) -> Measured:
    """Fits the heads of the configuration, measures them, and matches landmarks by labels alone."""
    from dense_labels.evaluation import descriptor_matching, label_matching
    from input_pipeline import pipeline

    config, source, stride = subject.config, subject.source, subject.stride
    known = subject.landmarks("annotated", config.eval.head_images)
    test = subject.landmarks("test") if source.count("test") else None
    measured = _fit(subject, known, test, few_shot, lessons)
    result = measured.result
    if source.warps_pictures and subject.compares_labels:
        views = pipeline.annotated_pairs(
            source, subject.split, stride=stride, batch_size=config.eval.batch_size, count=_MATCHED
        )
        asked = {"pictures": subject.pictures(subject.split, _MATCHED), "unit": has_unit_labels(config.model)}
        result = result.with_metrics(label_matching.match_landmarks(subject.label, views, stride=stride, **asked))
    if trained_on and test is not None:
        shared = {"test_images_in_the_training_folder": source.pictures_below(trained_on, "test")}
        result = dataclasses.replace(result, protocol={**result.protocol, **shared})
    if not subject.describes:
        return dataclasses.replace(measured, result=result)
    pictures = subject.pictures("annotated", config.eval.head_images) if test is None else subject.pictures("test")
    asked = {"width": source.input_size[1], "confidence": subject.has_confidence, "pictures": pictures}
    matches, figures = descriptor_matching.measure(known if test is None else test, **asked)
    if matches is None:
        progress.note("no landmark is annotated and seen in two pictures: none is matched by its descriptor")
    return dataclasses.replace(measured, result=result.with_metrics(figures), matches=matches)


def _fit(subject: Subject, known, test, few_shot: tuple[int, ...], lessons: Lessons) -> Measured:
    """Fits and measures the heads of the configuration, on labelled annotated and on test images or None."""
    from dense_labels.evaluation import few_annotations, landmarks, measuring, more_views
    from dense_labels.evaluation.result import Result

    source, origins = subject.source, subject.source.origins("annotated") or None
    measuring.check(known, test, source.normaliser)
    drawn = {"counts": few_shot, "seeds": _SEEDS, "shown": origins}
    few_annotations.say_what_is_not_measured(known, test, **drawn)
    progress.say(f"fitting landmark heads on {len(known)} annotated images")
    batches = functools.partial(_annotated_batches, subject)
    views = more_views.MoreViews(source, subject.config, subject.label, subject.stride, batches)
    fits, detector, fitted = _fit_heads(subject, known, test, lessons, views)
    compared = landmarks.compared(fitted, source.normaliser)
    protocol = {"head_images": len(known), **({"exported": fitted.best} if subject.step else {})}
    if test is None and fitted.predicted is not None:
        protocol["tested_in_turns"] = measuring.IN_TURNS
    if subject.step and (compared > 1 or fitted.selected):  # else no head is exported
        protocol["chosen"] = measuring.how_chosen(known, origins, test is None)
    if detector is not None:
        protocol["detector_kept"] = detector.kept
    parts = measuring.measure(fitted.predicted, fitted.measured_on, source.normaliser, **protocol)
    if few_shot:
        views_of = lambda indices, _: views.adding(known.take(indices))(known.take(indices))  # noqa: E731
        drawn["batch_size"] = subject.config.eval.batch_size
        parts["few_shot_error_percent"] = few_annotations.few_shot(fits, views_of, known, test, **drawn)
        if detector is not None:
            parts["few_shot_error_percent"] |= detector.few_shot(counts=few_shot, seeds=_SEEDS)
    parts |= {"landmark_names": tuple(source.landmark_names), "best": fitted.best, "step": subject.step}
    return Measured(Result(**parts), fitted)


def _annotated_batches(subject: Subject, pictures: np.ndarray, warped: bool) -> Any:
    """LandmarkBatches of annotated pictures, or of warped views of them."""
    from input_pipeline import pipeline

    options = {"count": subject.source.count("annotated"), "batch_size": subject.config.eval.batch_size}
    if warped:
        return pipeline.warped_batches(subject.source, pictures, seed=0, copies=_COPIES, **options)
    return pipeline.chosen_batches(subject.source, pictures, **options)


def _fit_heads(subject: Subject, known, test, lessons: Lessons, views) -> tuple[dict[str, Any], Any, Any]:
    """The functions that fit heads to labels, what fits detectors or None, and all heads as they were fitted."""
    from dense_labels.detection import evaluating
    from dense_labels.evaluation import landmarks
    from models import heatmap_landmarks, nearest_landmarks

    settings, seed, detector = subject.config.eval, subject.config.train.seed, None
    nearest_landmarks.check_annotated(known)  # before the work
    if "heatmaps" in settings.heads:
        heatmap_landmarks.check_inside(known)
    if evaluating.NAME in settings.heads:  # first, for its weights may not be there
        detector = evaluating.Fitting(
            subject.config, subject.source, names=tuple(subject.source.landmark_names), **lessons._asdict()
        )
    fits = {
        name: functools.partial(HEADS[name].value.fit, upsample=settings.upsample, seed=seed)
        for name in settings.heads
        if name != evaluating.NAME
    }
    shown, fitted = subject.source.origins("annotated") or None, None
    if fits:
        if said := views.words(len(known)):
            progress.say(f"heads on labels are fitted to more: {said}")
        asked = {"batch_size": settings.batch_size, "shown": shown, "with_more": views.adding(known)}
        fitted = landmarks.fit_heads(fits, known, test, **asked)
    if detector is not None:
        fitted = evaluating.together(fitted, detector.fit(known, test), settings.heads)
    return fits, detector, fitted
