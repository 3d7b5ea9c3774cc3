"""Evaluates a run: fits landmark heads on frozen labels, measures them, draws, exports.

python eval_main.py --workdir=runs/mine [--annotations=points.json] [--export_dir=served/mine]
"""

import functools
import os

from absl import flags

from dense_labels import cli
from dense_labels import config as config_lib

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of a run that train_main.py wrote.")
_EXPORT_DIR = flags.DEFINE_string("export_dir", None, "Folder for the SavedModel; it gets the next free version.")
_ANNOTATIONS = flags.DEFINE_string("annotations", None, "Landmarks to fit heads on: COCO .json, .csv, folder of .pts.")
_ANNOTATIONS_TEST = flags.DEFINE_string("annotations_test", None, "The same to test on; else five parts take turns.")
_PICTURES = flags.DEFINE_string("pictures", None, "Folder that file names in annotations start from; else the run's.")
_FEW_SHOT = flags.DEFINE_list("few_shot", [], "Fit heads on few annotated pictures too, such as 1,5,10,20.")
_UNTRAINED = flags.DEFINE_bool("untrained", False, "Evaluate the network as it was before training, for comparison.")
flags.mark_flag_as_required("workdir")

_SHOWN = 9  # frames in the pictures, as in figure 3 of the paper
_MANY = 200  # images in the mean object
_MATCHED = 500  # images whose landmarks are matched
_SEEDS = 3  # draws of few annotated pictures


def main():
    workdir = os.path.expanduser(_WORKDIR.value)
    if not all(count.isdecimal() and int(count) for count in _FEW_SHOT.value):
        raise ValueError(f"--few_shot={','.join(_FEW_SHOT.value)}: must be whole numbers above 0, such as 1,5,10,20")
    config = config_lib.load(workdir)
    config_lib.annotate(config, _ANNOTATIONS.value, _ANNOTATIONS_TEST.value, _PICTURES.value)

    import tensorflow as tf  # after the flags are known to be right, for this is slow

    import models
    from dense_labels import checkpoints, evaluation, export, inspection, results
    from input_pipeline import pipeline

    tf.config.experimental.enable_tensor_float_32_execution(False)  # the scores of a match need all of float32
    tf.keras.utils.set_random_seed(config.train.seed)
    network, stride = models.create(config.model), models.STRIDE
    step = 0 if _UNTRAINED.value else checkpoints.restore_network(network, workdir)
    source = pipeline.prepare(config)
    split = next(name for name in ("test", "annotated", "validation") if source.count(name))
    pairs = pipeline.example_pairs(source, split, stride=stride, count=_SHOWN)
    pictures = inspection.pair_pictures(network, pairs, stride)
    many = pipeline.image_batches(source, split, batch_size=config.eval.batch_size, count=_MANY)
    pictures["mean_object"] = inspection.mean_object_picture(network, many)
    head, result = None, {"metrics": {}}
    if source.count("annotated"):
        head, result = _landmarks(config, source, network, [int(count) for count in _FEW_SHOT.value])
        print(results.table(result, source.landmark_names))
        if source.warps_pictures:
            options = {"stride": stride, "batch_size": config.eval.batch_size}
            batches = pipeline.annotated_pairs(source, split, count=_MATCHED, **options)
            errors = evaluation.matching(network, batches, stride=stride)
            result["metrics"].update({f"matching_{name}_px": value for name, value in errors.items()})
            print("landmarks matched by labels, px of 70: " + ", ".join(f"{k} {v:.2f}" for k, v in errors.items()))
        frames = next(iter(pipeline.landmark_batches(source, split, batch_size=_SHOWN, count=_SHOWN)))
        pictures.update(inspection.landmark_pictures(network, head, frames, stride))

    folder = os.path.join(workdir, "eval_untrained" if _UNTRAINED.value else "eval")
    os.makedirs(folder, exist_ok=True)
    results.write_result(os.path.join(folder, "result.json"), {**result, "step": step})
    inspection.save_pictures(folder, pictures)
    inspection.write_tensorboard(os.path.join(workdir, "tensorboard", "eval"), result["metrics"], pictures, step)
    print(f"pictures and result.json: {folder}")
    if _EXPORT_DIR.value:
        path = export.export_saved_model(
            network,
            head,
            _EXPORT_DIR.value,
            input_size=source.input_size,
            margin=source.margin,
            stride=stride,
            example_images=pairs["image_a"],
        )
        print(f"SavedModel: {path}")
    print(f"TensorBoard: {cli.python()} -m tensorboard.main --logdir {workdir}")


def _landmarks(config, source, network, few):
    """Fits and measures the heads of the configuration; returns the best, and what was measured."""
    import models
    from dense_labels import evaluation, results
    from input_pipeline import pipeline

    print("fitting landmark heads, then testing them", flush=True)
    batch_size, seed = config.eval.batch_size, config.train.seed
    batches = functools.partial(pipeline.landmark_batches, source, batch_size=batch_size)
    known = evaluation.label_maps(network, batches("annotated", count=config.eval.head_images))
    test = evaluation.label_maps(network, batches("test")) if source.count("test") else None
    options = {"upsample": config.eval.upsample, "seed": seed}
    fits = {name: functools.partial(models.fit_head, name, **options) for name in config.eval.heads}
    heads, found, maps = evaluation.landmarks(fits, known, test, batch_size=batch_size)
    best = evaluation.choose(fits, known, batch_size=batch_size)
    tested = "test images" if test else f"annotated images, {evaluation.FOLDS} parts in turn"
    words = {"head_images": len(known["labels"]), "tested": tested, "exported": best}
    result = results.report(found, maps, source.normaliser, **words)
    if few:

        def maps_of(indices, seed):
            views = pipeline.few_shot_batches(
                source, indices, count=len(known["labels"]), batch_size=batch_size, seed=seed
            )
            return evaluation.label_maps(network, views)

        errors = evaluation.few_shot(fits, maps_of, known, test, counts=few, seeds=_SEEDS, batch_size=batch_size)
        print(results.few_shot_table(errors))
        result["few_shot_error_percent"] = errors
    return heads[best], result


if __name__ == "__main__":
    cli.run(main)
