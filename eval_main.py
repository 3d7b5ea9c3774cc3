"""Evaluates a run: fits the landmark head on frozen labels, measures it, draws, exports.

python eval_main.py --workdir=runs/roboarm [--export_dir=served/roboarm]
"""

import os

from absl import flags

from dense_labels import cli
from dense_labels import config as config_lib

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of a run that train_main.py wrote.")
_EXPORT_DIR = flags.DEFINE_string("export_dir", None, "Folder for the SavedModel; it gets the next free version.")
flags.mark_flag_as_required("workdir")

_SHOWN = 9  # frames in the pictures, as in figure 3 of the paper


def main():
    workdir = os.path.expanduser(_WORKDIR.value)
    config = config_lib.load(workdir)

    import tensorflow as tf  # after the flags are known to be right, for this is slow

    import models
    from dense_labels import checkpoints, evaluation, export, inspection, visualization
    from input_pipeline import pipeline
    from models import heads

    tf.config.experimental.enable_tensor_float_32_execution(False)  # the scores of a match need all of float32
    network, stride, batch_size = models.create(config.model), models.STRIDE, config.eval.batch_size
    step = checkpoints.restore_network(network, workdir)
    builder = pipeline.prepare(config.data)

    def fit(known):
        vectors = heads.fit_nearest(known["labels"], known["landmarks"], known["annotated"], stride=stride)
        return heads.NearestLandmarks(vectors, stride, upsample=config.eval.upsample)

    print("fitting the landmark head, then testing it", flush=True)
    head, result = evaluation.nearest_landmarks(
        network,
        fit,
        pipeline.landmark_batches(builder, "train", batch_size=batch_size, count=config.eval.head_images),
        pipeline.landmark_batches(builder, "test", batch_size=batch_size),
        config.eval,
        "image width",
    )
    print(evaluation.table(result))

    pairs = pipeline.example_pairs(builder, "test", stride=stride, count=_SHOWN)
    frames = next(iter(pipeline.landmark_batches(builder, "test", batch_size=_SHOWN, count=_SHOWN)))
    pictures = inspection.pair_pictures(network, pairs, stride)
    pictures["landmarks"] = visualization.landmarks_panel(
        frames["image"], head(network(frames["image"]))["subpixel"], frames["landmarks"], frames["annotated"]
    )
    folder = os.path.join(workdir, "eval")
    os.makedirs(folder, exist_ok=True)
    evaluation.write_result(os.path.join(folder, "result.json"), {**result, "step": step})
    inspection.save_pictures(folder, pictures)
    inspection.write_tensorboard(os.path.join(workdir, "tensorboard", "eval"), result["metrics"], pictures, step)
    print(f"pictures and result.json: {folder}")

    if _EXPORT_DIR.value:
        path = export.export_saved_model(
            network,
            head,
            _EXPORT_DIR.value,
            input_size=frames["image"].shape[1:3],
            stride=stride,
            example_images=frames["image"],
        )
        print(f"SavedModel: {path}")
    print(f"TensorBoard: {cli.python()} -m tensorboard.main --logdir {workdir}")


if __name__ == "__main__":
    cli.run(main)
