"""Evaluates a run: fits landmark heads on frozen labels, measures them, draws, exports.

python eval_main.py --workdir=runs/mine [--annotations=points.json] [--report] [--export_dir=served/mine]
"""

import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple

from absl import flags

from dense_labels import command_line, run
from dense_labels import config as config_lib

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of a run that train_main.py wrote.")
_EXPORT_DIR = flags.DEFINE_string("export_dir", None, "Folder for the SavedModel; it gets the next free version.")
_MAX_PIXELS = flags.DEFINE_integer(
    "max_pixels", config_lib.MAX_PIXELS, "The SavedModel refuses pictures of more pixels.", 1
)
_BATCH_REQUESTS = flags.DEFINE_integer(
    "batch_requests",
    0,
    "The SavedModel joins requests that run at the same time, up to so many pictures; 0: it does not.",
    0,
)
_ANNOTATIONS = flags.DEFINE_string("annotations", None, "Landmarks to fit heads on: COCO .json, .csv, folder of .pts.")
_ANNOTATIONS_TEST = flags.DEFINE_string("annotations_test", None, "The same to test on; else five parts take turns.")
_PICTURES = flags.DEFINE_string("pictures", None, "Folder of the pictures, if it is not the training's (any more).")
_CACHE_DIR = flags.DEFINE_string("cache_dir", None, "Folder that resized pictures are kept in, if not the training's.")
_SKIP = flags.DEFINE_bool("skip_bad_files", False, "Leave files out that cannot be read.")
_FEW_SHOT = flags.DEFINE_list("few_shot", [], "Fit heads on few annotated pictures too, such as 1,5,10,20.")
_HEADS = flags.DEFINE_list("heads", [], "Landmark heads to fit: nearest, regress, ...; if not those of the training.")
_REPORT = flags.DEFINE_bool("report", False, "Write a page to hand around too: WORKDIR/eval/report.html.")
_UNTRAINED = flags.DEFINE_bool("untrained", False, "Evaluate the network as it was before training, for comparison.")
flags.mark_flag_as_required("workdir")

_SHOWN = 9  # frames in the pictures, as in figure 3 of the paper
_COMPARED = 48  # pairs of which the worst are shown
_WORST = 8  # images whose landmarks are located worst
_MANY = 200  # images in the mean object, and whose surface is measured
_MATCHED = 500  # images whose landmarks are matched
_SEEDS = 3  # draws of few annotated pictures


class _Run(NamedTuple):
    """What is evaluated: a labelling network, and the data it is evaluated on."""

    config: config_lib.Config
    label: Callable  # images [B, H, W, 3] -> labels [B, h, w, L]
    stride: int
    source: Any  # `input_pipeline.sources.base.Source`
    split: str  # the one that is shown

    def landmark_batches(self, split, count=None):
        from input_pipeline import pipeline

        return pipeline.landmark_batches(self.source, split, batch_size=self.config.eval.batch_size, count=count)


class _Measured(NamedTuple):
    """What an evaluation found."""

    result: dict  # as of `result.report`
    head: Any = None  # the landmark head that is exported
    located: tuple = ()  # where it errs most: arguments of `gallery.error_pictures`
    matches: Any = None  # `descriptor_matching.Matches` of landmarks


def main():
    workdir = os.path.expanduser(_WORKDIR.value)
    config, trained_on = _configure(workdir)

    import tensorflow as tf  # after the flags are known to be right, for this is slow

    import models
    from dense_labels.evaluation import result as result_lib
    from dense_labels.pictures import gallery
    from dense_labels.reporting import embeddings, page
    from dense_labels.training import checkpoints
    from input_pipeline import pipeline

    tf.config.experimental.enable_tensor_float_32_execution(False)  # the scores of a match need all of float32
    tf.keras.utils.set_random_seed(config.train.seed)
    begun_with = config.train.init_from if _UNTRAINED.value else workdir
    if begun_with:
        config.model.weights = "none"  # those of a trunk are in the checkpoint
    network, stride = models.create(config.model), models.stride(config.model)
    step = checkpoints.restore_network(network, begun_with) if begun_with else 0
    source = pipeline.prepare(config)
    split = next(name for name in ("test", "annotated", "validation") if source.count(name))
    run = _Run(config, tf.function(network, reduce_retracing=True), stride, source, split)
    name = "eval_untrained" if _UNTRAINED.value else "eval"
    folder, logs = os.path.join(workdir, name), os.path.join(workdir, "tensorboard", name)
    os.makedirs(folder, exist_ok=True)

    measured = _measure(run, trained_on)
    result = measured.result
    result_lib.write_result(os.path.join(folder, "result.json"), {**result, "step": step})
    pictures, matches = _draw(run, measured)
    gallery.save_pictures(folder, pictures)
    curves = result.get("curves", {})
    gallery.write_tensorboard(logs, result["metrics"], pictures, step, curves=curves, matches=matches)
    examples = pipeline.example_images(source, split, count=page.MOST_PICTURES)
    examples["labels"] = run.label(examples["image"])
    embeddings.write(logs, *(examples[part] for part in ("image", "labels", "mask")), stride=stride)
    print(f"pictures and result.json: {folder}")
    if _REPORT.value:
        path = os.path.join(folder, "report.html")
        title = f"{os.path.basename(os.path.abspath(workdir))}{', untrained' * _UNTRAINED.value}"
        about = {"summary": page.summary(config, step), "landmark_names": source.landmark_names}
        page.write(path, title, examples, stride=stride, result=result, panels=pictures, **about)
        print(f"report: {path} ({os.path.getsize(path) / 1e6:.1f} MB)")
    if _EXPORT_DIR.value:
        print(f"SavedModel: {_export(run, network, measured, examples['image'].numpy())}")
        if source.boxed:
            print("note: the network saw boxes about the objects; crop what the served model is given alike")
    print(f"TensorBoard: {command_line.python()} -m tensorboard.main --logdir {workdir}")


def _configure(workdir):
    """The configuration of the run with what the flags change, checked; the folder it was trained on, if it is one."""
    if not all(count.isdecimal() and int(count) for count in _FEW_SHOT.value):
        raise ValueError(f"--few_shot={','.join(_FEW_SHOT.value)}: must be whole numbers above 0, such as 1,5,10,20")
    config = run.load(workdir)
    trained_on = config.data.dir if config.data.name in ("folder", "boxes", "video") else None
    run.annotate(config, _ANNOTATIONS.value, _ANNOTATIONS_TEST.value, _PICTURES.value)
    config.data.cache_dir = _CACHE_DIR.value or config.data.cache_dir
    config.data.skip_bad_files |= _SKIP.value
    config.eval.heads = tuple(_HEADS.value) or config.eval.heads
    config_lib.check(config)
    run.make_paths_absolute(config)
    return config, trained_on


def _measure(run, trained_on):
    """Measures, and prints, what the data set has the truth of: landmarks, or the surface of the object."""
    from dense_labels.evaluation import surface
    from input_pipeline import pipeline

    if run.source.count("annotated"):
        return _measure_landmarks(run, trained_on)
    if _FEW_SHOT.value:
        raise ValueError("--few_shot needs landmarks; give --annotations")
    if not run.source.knows_surface:
        return _Measured({"metrics": {}})
    options = {"stride": run.stride, "batch_size": run.config.eval.batch_size, "count": _MANY}
    known, test = (
        surface.surface_maps(run.label, pipeline.surface_batches(run.source, split, **options))
        for split in ("train", run.split)
    )
    result = surface.measure(known, test, pairs=_MANY)
    print(surface.table(result))
    return _Measured(result)


def _measure_landmarks(run, trained_on):
    """Fits the heads of the configuration, measures them, and matches landmarks by labels alone."""
    from dense_labels.evaluation import descriptor_matching, landmarks
    from dense_labels.evaluation import result as result_lib
    from input_pipeline import pipeline

    config, source = run.config, run.source
    known = landmarks.label_maps(run.label, run.landmark_batches("annotated", config.eval.head_images))
    test = landmarks.label_maps(run.label, run.landmark_batches("test")) if source.count("test") else None
    measured = _fit(run, known, test)
    result = measured.result
    if source.warps_pictures:
        options = {"stride": run.stride, "batch_size": config.eval.batch_size, "count": _MATCHED}
        views = pipeline.annotated_pairs(source, run.split, **options)
        result["metrics"].update(landmarks.matching(run.label, views, stride=run.stride))
    if trained_on and test:
        result["protocol"]["test_images_in_the_training_folder"] = source.pictures_below(trained_on, "test")
    print(result_lib.table(result, source.landmark_names))
    if config.model.name == "introspection":
        options = {"width": source.input_size[1], "confidence": config_lib.has_confidence(config.model)}
        matches, figures = descriptor_matching.measure(test or known, stride=run.stride, **options)
        result["metrics"].update(figures)
        measured = measured._replace(matches=matches)
        print(
            descriptor_matching.summary(figures)
            if matches
            else "no landmark is annotated in two pictures: none is matched"
        )
    return measured


def _fit(run, known, test):
    """Fits and measures the heads of the configuration, given `label_maps` of annotated and of test images or None."""
    import models
    from dense_labels.evaluation import landmarks
    from dense_labels.evaluation import result as result_lib
    from input_pipeline import pipeline

    settings, count, few = run.config.eval, len(known["labels"]), [int(number) for number in _FEW_SHOT.value]
    landmarks.check_few_shot(few, count, test)
    print(f"fitting landmark heads on {count} annotated pictures", flush=True)
    options = {"stride": run.stride, "upsample": settings.upsample, "seed": run.config.train.seed}
    fits = {name: functools.partial(models.fit_head, name, **options) for name in settings.heads}
    heads, found, maps = landmarks.landmarks(fits, known, test, batch_size=settings.batch_size)
    best = landmarks.choose(fits, known, batch_size=settings.batch_size)
    result = result_lib.report(found, maps, run.source.normaliser, head_images=count, exported=best)
    if few:

        def maps_of(indices, seed):
            options = {"count": count, "batch_size": settings.batch_size, "seed": seed}
            return landmarks.label_maps(run.label, pipeline.few_shot_batches(run.source, indices, **options))

        options = {"counts": few, "seeds": _SEEDS, "batch_size": settings.batch_size}
        result["few_shot_error_percent"] = landmarks.few_shot(fits, maps_of, known, test, **options)
        print(result_lib.few_shot_table(result["few_shot_error_percent"]))
    if found is None:
        return _Measured(result, heads[best])
    points = found[best if best in found else "subpixel"]
    batches = run.landmark_batches("test") if test else run.landmark_batches("annotated", settings.head_images)
    return _Measured(result, heads[best], (batches, points, maps, result_lib.worst_images(points, maps, _WORST)))


def _draw(run, measured):
    """Draws what the labels make of the split that is shown, and the head if there is one.

    Returns `(pictures, matches)`: pictures by name, and the matches of `gallery.match_pictures`.
    """
    from dense_labels.pictures import confidence_gallery, gallery
    from input_pipeline import pipeline

    label, stride = run.label, run.stride
    pairs, compared = (
        pipeline.example_pairs(run.source, run.split, stride=stride, count=count) for count in (_SHOWN, _COMPARED)
    )
    many = pipeline.image_batches(run.source, run.split, batch_size=run.config.eval.batch_size, count=_MANY)
    of_matches, matches = gallery.match_pictures(label, compared, stride)
    pictures = {
        **gallery.pair_pictures(label, pairs, stride),
        **of_matches,
        "pairs": gallery.warp_picture(pairs, stride),
        "mean_object": gallery.mean_object_picture(label, many),
    }
    has_confidence = config_lib.has_confidence(run.config.model)
    if has_confidence:
        pictures.update(confidence_gallery.pair_pictures(label, pairs, stride))
    if measured.head is not None:
        frames = pipeline.landmark_batches(run.source, run.split, batch_size=_SHOWN, count=_SHOWN)
        frames = next(iter(frames))
        pictures.update(gallery.landmark_pictures(label, measured.head, frames, stride))
        if has_confidence and measured.matches:
            pictures.update(confidence_gallery.landmark_pictures(label, frames, measured.matches, stride))
    if measured.located:
        pictures.update(gallery.error_pictures(*measured.located, measured.result["curves"]))
    return pictures, matches


def _export(run, network, measured, example_images):
    """Writes the next version of the SavedModel; returns its path."""
    from dense_labels.exporting import model_card, saved_model

    source = run.source
    return saved_model.export_saved_model(
        network,
        measured.head,
        _EXPORT_DIR.value,
        input_size=source.input_size,
        margin=source.margin,
        stride=run.stride,
        max_pixels=_MAX_PIXELS.value,
        batch_requests=_BATCH_REQUESTS.value,
        example_images=example_images[:_SHOWN],
        description=model_card.describe_run(run.config, measured.result, landmark_names=source.landmark_names),
    )


if __name__ == "__main__":
    command_line.run(main)
