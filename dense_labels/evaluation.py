"""Protocols: which images, which head, which normaliser, which figure; and the file that keeps the result."""

import json

import numpy as np
import tensorflow as tf

from dense_labels import files, metrics

DECODINGS = ("cell", "subpixel")


def nearest_landmarks(network, fit, annotated, test, settings, normaliser):
    """The protocol of section 4.1: a head fitted on frozen labels of training images, measured on the test split.

    Args:
      network: images [B, H, W, 3] -> labels [B, h, w, L].
      fit: dictionary of `label_maps` -> landmark head.
      annotated: iterable of LandmarkBatches of the training split.
      test: the same of the test split.
      settings: `config.EvalConfig`.
      normaliser: what errors are divided by, such as "image width".

    Returns:
      `(head, result)`: the fitted head, and a dictionary that JSON can hold: `metrics`, the mean error of each of
      `DECODINGS` in percent; `landmark_error_percent`, the same landmark by landmark; `protocol`, in words.
    """
    known = label_maps(network, annotated)
    head = fit(known)
    maps = label_maps(network, test)
    errors = landmark_errors(locate(head, maps["labels"], settings.batch_size), maps)
    return head, {
        "metrics": {f"{name}_error_percent": values[-1] for name, values in errors.items()},
        "landmark_error_percent": {name: values[:-1] for name, values in errors.items()},
        "protocol": {
            "head": "nearest: a vector z_k for each landmark, fitted by negative log-likelihood on frozen labels",
            "head_images": len(known["labels"]),
            "test_images": len(maps["labels"]),
            "test_landmarks": int(maps["annotated"].sum()),
            "error": f"Euclidean distance in % of {normaliser}, mean over all visible landmarks",
            "cell": "centre of the most probable cell",
            "subpixel": f"expected position under p, labels made {settings.upsample} times finer",
        },
    }


def label_maps(network, batches):
    """Labels annotated images once, for whatever is fitted or measured on frozen labels.

    Args:
      network: images [B, H, W, 3] -> labels [B, h, w, L].
      batches: iterable of LandmarkBatches.

    Returns:
      A dictionary of float32 arrays over all N images: `labels` [N, h, w, L], and `landmarks`, `annotated` and
      `normaliser` as in LandmarkBatch.
    """
    label = tf.function(network, reduce_retracing=True)
    parts = {"labels": [], "landmarks": [], "annotated": [], "normaliser": []}
    for batch in batches:
        parts["labels"].append(label(batch["image"]).numpy())
        for name in ("landmarks", "annotated", "normaliser"):
            parts[name].append(batch[name].numpy())
    return {name: np.concatenate(part) for name, part in parts.items()}


def locate(head, labels, batch_size):
    """Applies a landmark head to label maps.

    Args:
      head: labels -> a dictionary of tensors of N rows.
      labels: float32 [N, h, w, L].
      batch_size: maps at a time.

    Returns:
      The dictionary, as arrays over all N maps.
    """
    apply = tf.function(head, reduce_retracing=True)
    parts = [apply(batch) for batch in tf.data.Dataset.from_tensor_slices(labels).batch(batch_size)]
    return {name: np.concatenate([part[name].numpy() for part in parts]) for name in parts[0]}


def landmark_errors(found, maps):
    """Measures located landmarks with `metrics.PointError`.

    Args:
      found: what `locate` returned, with an [N, K, 2] for each of `DECODINGS`.
      maps: what `label_maps` returned for the same images.

    Returns:
      For each decoding K + 1 floats: the mean error of each landmark, then of all points, in percent of the
      normaliser; None for a landmark that is annotated nowhere.
    """
    count = maps["landmarks"].shape[1]
    selections = [slice(k, k + 1) for k in range(count)] + [slice(None)]
    errors = {}
    for name in DECODINGS:
        errors[name] = []
        for points in selections:
            annotated = maps["annotated"][:, points]
            metric = metrics.PointError()
            metric.update_state(found[name][:, points], maps["landmarks"][:, points], annotated, maps["normaliser"])
            errors[name].append(float(metric.result()) if annotated.any() else None)
    return errors


def table(result):
    """Lays out the errors of `nearest_landmarks`, one landmark a line.

    Args:
      result: its second value.

    Returns:
      The table, a string.
    """
    each, mean = result["landmark_error_percent"], result["metrics"]
    lines = [result["protocol"]["error"], "landmark" + "".join(f"{name:>10}" for name in DECODINGS)]
    for k, values in enumerate(zip(*(each[name] for name in DECODINGS))):
        lines.append(f"{k:<8}" + "".join(f"{'-':>10}" if value is None else f"{value:>10.3f}" for value in values))
    lines.append(f"{'mean':<8}" + "".join(f"{mean[f'{name}_error_percent']:>10.3f}" for name in DECODINGS))
    return "\n".join(lines)


def write_result(path, values):
    """Writes a result as JSON, whole or not at all.

    Args:
      path: of the file; its folder exists.
      values: a dictionary JSON can hold; no value of `metrics` may be anything but a finite number.

    Raises:
      ValueError: if a metric is not finite.
    """
    for name, value in values["metrics"].items():
        if value is None or not np.isfinite(value):
            raise ValueError(f"metric {name} is {value}: no test landmark is annotated, or the labels are not finite")
    text = json.dumps(values, indent=2, allow_nan=False) + "\n"
    files.write_whole(path, text.encode())
