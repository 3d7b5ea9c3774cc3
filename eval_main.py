"""Evaluates a run: fits landmark heads on frozen labels, measures them, draws, exports.

python eval_main.py --workdir=runs/mine [--annotations=points.json] [--report] [--export_dir=served/mine]
"""

import functools
import os

from absl import flags

from dense_labels import cli, runs
from dense_labels import config as config_lib

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of a run that train_main.py wrote.")
_EXPORT_DIR = flags.DEFINE_string("export_dir", None, "Folder for the SavedModel; it gets the next free version.")
_MAX_PIXELS = flags.DEFINE_integer("max_pixels", 25_000_000, "The SavedModel refuses pictures of more pixels.", 1)
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


def main():
    workdir = os.path.expanduser(_WORKDIR.value)
    if not all(count.isdecimal() and int(count) for count in _FEW_SHOT.value):
        raise ValueError(f"--few_shot={','.join(_FEW_SHOT.value)}: must be whole numbers above 0, such as 1,5,10,20")
    config = runs.load(workdir)
    trained_on = config.data.dir if config.data.name in ("folder", "boxes", "video") else None
    runs.annotate(config, _ANNOTATIONS.value, _ANNOTATIONS_TEST.value, _PICTURES.value)
    config.data.cache_dir = _CACHE_DIR.value or config.data.cache_dir
    config.data.skip_bad_files |= _SKIP.value
    config.eval.heads = tuple(_HEADS.value) or config.eval.heads
    config_lib.check(config)
    runs.make_paths_absolute(config)

    import tensorflow as tf  # after the flags are known to be right, for this is slow

    import models
    from dense_labels import (
        checkpoints,
        embeddings,
        evaluation,
        export,
        inspection,
        model_card,
        object_frame,
        report,
        results,
        trust,
    )
    from input_pipeline import pipeline

    tf.config.experimental.enable_tensor_float_32_execution(False)  # the scores of a match need all of float32
    tf.keras.utils.set_random_seed(config.train.seed)
    if not _UNTRAINED.value or config.train.init_from:
        config.model.weights = "none"  # those of a trunk are in the checkpoint
    network, stride = models.create(config.model), models.stride(config.model)
    batch_size, has_confidence = config.eval.batch_size, config_lib.has_confidence(config.model)
    if not _UNTRAINED.value:
        step = checkpoints.restore_network(network, workdir)
    else:
        step = checkpoints.restore_network(network, config.train.init_from) if config.train.init_from else 0
    label = tf.function(network, reduce_retracing=True)
    source = pipeline.prepare(config)
    split = next(name for name in ("test", "annotated", "validation") if source.count(name))
    name = "eval_untrained" if _UNTRAINED.value else "eval"
    folder = os.path.join(workdir, name)
    os.makedirs(folder, exist_ok=True)
    head, matches, located, result = None, None, None, {"metrics": {}}
    if source.count("annotated"):
        batches = functools.partial(pipeline.landmark_batches, source, batch_size=batch_size)
        known = evaluation.label_maps(label, batches("annotated", count=config.eval.head_images))
        test = evaluation.label_maps(label, batches("test")) if source.count("test") else None
        head, result, located = _landmarks(config, source, label, known, test, stride)
        if source.warps_pictures:
            views = pipeline.annotated_pairs(source, split, stride=stride, batch_size=batch_size, count=_MATCHED)
            result["metrics"].update(evaluation.matching(label, views, stride=stride))
        if config.model.name == "introspection":
            shape = {"stride": stride, "width": source.input_size[1], "confidence": has_confidence}
            matches, figures = trust.measure(test or known, **shape)
            result["metrics"].update(figures)
        if trained_on and test:
            result["protocol"]["test_images_in_the_training_folder"] = source.pictures_below(trained_on, "test")
        print(results.table(result, source.landmark_names))
        if matches:
            print(trust.summary(figures))
    elif _FEW_SHOT.value:
        raise ValueError("--few_shot needs landmarks; give --annotations")
    elif source.knows_surface:
        surfaces = functools.partial(pipeline.surface_batches, source, stride=stride, batch_size=batch_size)
        known, test = (object_frame.surface_maps(label, surfaces(part, count=_MANY)) for part in ("train", split))
        result = object_frame.measure(known, test, pairs=_MANY)
        print(object_frame.table(result))
    results.write_result(os.path.join(folder, "result.json"), {**result, "step": step})

    pairs = pipeline.example_pairs(source, split, stride=stride, count=_SHOWN)
    pictures = _pictures(source, split, label, pairs, head, stride, batch_size, has_confidence, matches)
    if located is not None:
        pictures.update(inspection.error_pictures(*located, result["curves"]))
    inspection.save_pictures(folder, pictures)
    logs = os.path.join(workdir, "tensorboard", name)
    inspection.write_tensorboard(logs, result["metrics"], pictures, step, curves=result.get("curves", {}))
    examples = pipeline.example_images(source, split, count=report.MOST_PICTURES)
    examples["labels"] = label(examples["image"])
    embeddings.write(logs, *(examples[part] for part in ("image", "labels", "mask")), stride=stride)
    print(f"pictures and result.json: {folder}")
    if _REPORT.value:
        path = os.path.join(folder, "report.html")
        title = f"{os.path.basename(os.path.abspath(workdir))}{', untrained' * _UNTRAINED.value}"
        about = {"summary": report.summary(config, step), "landmark_names": source.landmark_names}
        report.write(path, title, examples, stride=stride, result=result, panels=pictures, **about)
        print(f"report: {path} ({os.path.getsize(path) / 1e6:.1f} MB)")
    if _EXPORT_DIR.value:
        shape = {"input_size": source.input_size, "margin": source.margin, "stride": stride}
        limits = {"max_pixels": _MAX_PIXELS.value, "batch_requests": _BATCH_REQUESTS.value}
        path = export.export_saved_model(
            network,
            head,
            _EXPORT_DIR.value,
            **shape,
            **limits,
            example_images=pairs["image_a"],
            description=model_card.describe_run(config, result, landmark_names=source.landmark_names),
        )
        print(f"SavedModel: {path}")
        if source.boxed:
            print("note: the network saw boxes about the objects; crop what the served model is given alike")
    print(f"TensorBoard: {cli.python()} -m tensorboard.main --logdir {workdir}")


def _landmarks(config, source, label, known, test, stride):
    """Fits and measures the heads of the configuration.

    Returns the best, what was measured, and where it locates landmarks worst: arguments of `inspection.error_pictures`.
    """
    import models
    from dense_labels import evaluation, results
    from input_pipeline import pipeline

    count, few, batch_size = len(known["labels"]), [int(number) for number in _FEW_SHOT.value], config.eval.batch_size
    evaluation.check_few_shot(few, count, test)
    print(f"fitting landmark heads on {count} annotated pictures", flush=True)
    options = {"stride": stride, "upsample": config.eval.upsample, "seed": config.train.seed}
    fits = {name: functools.partial(models.fit_head, name, **options) for name in config.eval.heads}
    heads, found, maps = evaluation.landmarks(fits, known, test, batch_size=batch_size)
    best = evaluation.choose(fits, known, batch_size=batch_size)
    result = results.report(found, maps, source.normaliser, head_images=count, exported=best)
    if few:

        def maps_of(indices, seed):
            options = {"count": count, "batch_size": batch_size, "seed": seed}
            return evaluation.label_maps(label, pipeline.few_shot_batches(source, indices, **options))

        errors = evaluation.few_shot(fits, maps_of, known, test, counts=few, seeds=_SEEDS, batch_size=batch_size)
        print(results.few_shot_table(errors))
        result["few_shot_error_percent"] = errors
    if found is None:
        return heads[best], result, None
    points = found[best if best in found else "subpixel"]
    images = {"split": "annotated", "count": config.eval.head_images} if test is None else {"split": "test"}
    batches = pipeline.landmark_batches(source, batch_size=batch_size, **images)
    return heads[best], result, (batches, points, maps, results.worst_images(points, maps, _WORST))


def _pictures(source, split, label, pairs, head, stride, batch_size, has_confidence, matches):
    """Draws what the labels make of a split, and the head if there is one; returns the pictures by name."""
    from dense_labels import confidence_inspection, inspection
    from input_pipeline import pipeline

    compared = pipeline.example_pairs(source, split, stride=stride, count=_COMPARED)
    many = pipeline.image_batches(source, split, batch_size=batch_size, count=_MANY)
    pictures = {
        **inspection.pair_pictures(label, pairs, stride),
        "pairs": inspection.warp_picture(pairs, stride),
        "match_errors": inspection.worst_matches_picture(label, compared, stride),
        "mean_object": inspection.mean_object_picture(label, many),
    }
    if has_confidence:
        pictures.update(confidence_inspection.pair_pictures(label, pairs, stride))
    if head is not None:
        frames = next(iter(pipeline.landmark_batches(source, split, batch_size=_SHOWN, count=_SHOWN)))
        pictures.update(inspection.landmark_pictures(label, head, frames, stride))
        if has_confidence and matches:
            pictures.update(confidence_inspection.landmark_pictures(label, frames, matches, stride))
    return pictures


if __name__ == "__main__":
    cli.run(main)
