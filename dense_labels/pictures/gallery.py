"""The pictures a run shows of itself, in TensorBoard and as files."""

import os

import numpy as np
import tensorflow as tf
from tensorboard.plugins.pr_curve import summary as pr_curve

from dense_labels import files
from dense_labels.method import geometry, label_sphere
from dense_labels.pictures import error_panels, panels, unfolding

_INNER = 0.25  # of the image's shorter side: how far the middle of the object reaches


def pair_pictures(network, examples, stride, *, points=5):
    """Draws what a network makes of a few pairs.

    Args:
      network: images [B, H, W, 3] -> labels [B, h, w, L].
      examples: a PairBatch; what is visible of A counts as the object.
      stride: side of a cell in pixels.
      points: how many points of A are followed into B.

    Returns:
      A dictionary of uint8 pictures: `labels` (colours and norms, figure 3), `label_sphere` (the label space with the
      pixels of every third frame carried to it, figure 4), for L >= 3 `hemispheres` (the same in a projection without
      poles), `transfer` (where points of A are found in B).
    """
    examples = {name: np.asarray(value) for name, value in examples.items()}
    visible = examples["visible"] > 0
    labels_a, labels_b = (np.asarray(network(examples[name])) for name in ("image_a", "image_b"))
    basis = colour_basis(labels_a, visible)
    size = examples["image_a"].shape[1:3]
    masks = tf.image.resize(examples["visible"][..., np.newaxis], size, "nearest").numpy()[..., 0] > 0
    cells = spread_cells(visible, points)
    centres = np.asarray(geometry.cell_centres(*visible.shape[1:], stride)).reshape([-1, 2])
    places = examples["points_in_b"].reshape([len(visible), -1, 2])
    thirds = slice(2, None, 3) if len(visible) > 2 else slice(None)
    unfolded = examples["image_a"][thirds], labels_a[thirds], masks[thirds]
    projections = {"sphere": "equirectangular", "hemispheres": "hemispheres"}
    if labels_a.shape[-1] == 2:
        del projections["hemispheres"]
    return {
        "labels": panels.labels_panel(examples["image_a"], labels_a, masks=masks, basis=basis),
        **{
            name: unfolding.unfolded_figure(*unfolded, basis=basis, projection=projection)
            for name, projection in projections.items()
        },
        "transfer": panels.transfer_panel(
            examples["image_a"][thirds],
            examples["image_b"][thirds],
            labels_a[thirds],
            labels_b[thirds],
            centres[cells][thirds],
            stride=stride,
            points_in_b=np.take_along_axis(places, cells[..., np.newaxis], axis=1)[thirds],
        ),
    }


def warp_picture(examples, stride, *, shown=4):
    """Draws how the views of a few pairs are bent, which no training changes.

    Args:
      examples, stride: as in `pair_pictures`.
      shown: how many pairs at most.

    Returns:
      A uint8 picture.
    """
    names = ("image_a", "image_b", "points_in_b", "visible")
    return panels.pairs_panel(*(np.asarray(examples[name])[:shown] for name in names), stride=stride)


def match_pictures(network, examples, stride, *, shown=3):
    """Draws what becomes of the matches of pairs.

    Args:
      network, examples, stride: as in `pair_pictures`.
      shown: how many pairs at most are drawn.

    Returns:
      `(pictures, matches)`: uint8 pictures `match_errors`, the pairs whose matches are furthest off, the worst first,
      and `precision_recall`, of the matches of all pairs in the order of their probability; and what the second shows,
      `(correct, probability)`, [M] each. A match is correct that is off by less than `error_panels.FAR` of the image's
      shorter side.
    """
    examples = {name: np.asarray(value) for name, value in examples.items()}
    labels = (np.asarray(network(examples[name])) for name in ("image_a", "image_b"))
    places, probability, errors = error_panels.match_errors(*labels, examples["points_in_b"], stride)
    visible = examples["visible"] > 0
    means = np.where(visible, errors, 0).sum(axis=(1, 2)) / np.maximum(visible.sum(axis=(1, 2)), 1)
    worst = np.argsort(-means, kind="stable")[:shown]
    images = (examples[name][worst] for name in ("image_a", "image_b"))
    pictures = {
        "match_errors": error_panels.matches_panel(*images, places[worst], errors[worst], visible[worst], stride=stride)
    }
    matches = errors[visible] < error_panels.FAR * min(examples["image_a"].shape[1:3]), probability[visible]
    if visible.any():
        pictures["precision_recall"] = error_panels.precision_recall_panel(*matches)
    return pictures, matches


def error_pictures(batches, points, maps, indices, curves):
    """Draws how often landmarks are located how badly, and where worst.

    Args:
      batches: iterable of the LandmarkBatches that `maps` were made of.
      points: [N, K, 2], as `evaluation.landmarks` found them.
      maps: `evaluation.label_maps`.
      indices: int [n], of the worst images, in the order they are drawn.
      curves: as of `results.report`.

    Returns:
      A dictionary of uint8 pictures: `worst_landmarks`, `curves`.
    """
    images, first = {}, 0
    for batch in batches:
        inside = indices[(indices >= first) & (indices < first + len(batch["image"]))]
        images.update(zip(inside, batch["image"].numpy()[inside - first]))
        first += len(batch["image"])
    shown = np.stack([images[index] for index in indices])
    known = maps["annotated"][indices] * np.isfinite(points[indices]).all(axis=-1)
    worst = panels.landmarks_panel(shown, points[indices], maps["landmarks"][indices], known)
    return {"worst_landmarks": worst, "curves": error_panels.curves_panel(curves)}


def mean_object_picture(network, batches, *, shown=3, size=220):
    """Carries the pixels of many images to the label sphere, unfolded: the mean object of figures 7 and 8.

    The sphere is turned so that the object's middle is in the middle of the map, and upright.

    Args:
      network: as in `pair_pictures`.
      batches: iterable of dictionaries, `image` [B, H, W, 3] and `mask` [B, H, W], as `input_pipeline` makes them.
      shown: how many of the images are shown beside the mean.
      size: height of a map in pixels.

    Returns:
      A uint8 picture.
    """
    mean = first = None
    for batch in batches:
        images, masks = batch["image"].numpy(), batch["mask"].numpy() > 0
        labels = network(batch["image"]).numpy()
        if mean is None:
            first = images[:shown], labels[:shown], masks[:shown]
            mean = unfolding.MeanObject(size=size, **view(labels, masks))
        mean.add(images, labels, masks)
    return unfolding.mean_object_figure(*first, mean)


def colour_basis(labels, masks):
    """Chooses how long labels are seen as colours.

    Args:
      labels: [N, h, w, L].
      masks: [N, H, W], pixels or cells: where the object is.

    Returns:
      float32 [L, 3] as `label_sphere.colour_basis`, found on the object; None for L <= 3, which need none.
    """
    if labels.shape[-1] <= 3:
        return None
    on_object = _cells(masks, labels)
    return _colour_basis(labels[on_object] if on_object.any() else labels)


def view(labels, masks):
    """Chooses how label space is seen from the middle of the object, upright.

    Args:
      labels: [N, h, w, L].
      masks: [N, H, W], where the object is.

    Returns:
      Arguments of `unfolding.MeanObject`: `basis` [L, 3], for L = 2 `longest`.
    """
    height, width, length = labels.shape[1:]
    stride = masks.shape[1] // height
    on_object = _cells(masks, labels)
    places = np.broadcast_to(geometry.cell_centres(height, width, stride), [*labels.shape[:3], 2])
    labels, places = labels[on_object], places[on_object]
    if length == 2:
        return {"longest": np.linalg.norm(labels, axis=-1).max()}
    # What surrounds the object has more cells than it, and its labels lie on the far side of the sphere.
    inner = np.linalg.norm(places - places.mean(axis=0), axis=-1) < _INNER * min(height, width) * stride
    labels, places = (labels[inner], places[inner]) if inner.any() else (labels, places)
    basis = np.eye(3, dtype=np.float32) if length == 3 else _colour_basis(labels)
    if not np.ptp(labels, axis=0).any():
        return {"basis": basis}  # of labels that are all alike there is no upright view
    return {"basis": basis @ label_sphere.upright_rotation(labels @ basis, places).T}


def _cells(masks, labels):
    """Masks of pixels [N, H, W] at the cells of labels [N, h, w, L]: bool [N, h, w]."""
    height, width = labels.shape[1:3]
    stride = masks.shape[1] // height
    return masks[:, stride // 2 :: stride, stride // 2 :: stride][:, :height, :width] > 0


def _colour_basis(labels):
    """`label_sphere.colour_basis`; of labels that are all zero, any will do."""
    return label_sphere.colour_basis(labels) if labels.any() else np.eye(labels.shape[-1], 3, dtype=np.float32)


def landmark_pictures(network, head, frames, stride):
    """Draws what a landmark head finds in annotated images, and how their landmarks are found by labels alone.

    Args:
      network: as in `pair_pictures`.
      head: labels -> a dictionary with `points`, as `models.fit_head` returns it.
      frames: a LandmarkBatch.
      stride: side of a cell in pixels.

    Returns:
      A dictionary of uint8 pictures: `landmarks`, predicted (green) beside true (blue); `transfer_between`, where the
      landmarks of one image are found in the next.
    """
    images, landmarks = frames["image"].numpy(), frames["landmarks"].numpy()
    labels = network(frames["image"])
    chosen = np.linspace(0, landmarks.shape[1] - 1, min(landmarks.shape[1], 5)).round().astype(int)
    pairs = [n for n in range(len(images) - 1) if frames["annotated"].numpy()[n : n + 2][:, chosen].all()][:3]
    nexts = [n + 1 for n in pairs]
    pictures = {"landmarks": panels.landmarks_panel(images, head(labels)["points"], landmarks, frames["annotated"])}
    if pairs:
        pictures["transfer_between"] = panels.transfer_panel(
            images[pairs],
            images[nexts],
            labels.numpy()[pairs],
            labels.numpy()[nexts],
            landmarks[pairs][:, chosen],
            stride=stride,
            points_in_b=landmarks[nexts][:, chosen],
        )
    return pictures


def write_tensorboard(log_dir, scalars, pictures, step, *, curves=(), matches=None):
    """Writes figures and pictures to TensorBoard.

    Args:
      log_dir: folder of the TensorBoard run.
      scalars: name -> number.
      pictures: name -> uint8 [H, W, 3].
      step: an int.
      curves: of landmark errors, as of `results.report`; their steps are tenths of a percent of the normaliser.
      matches: as of `match_pictures`, for TensorBoard's PR curves.
    """
    with tf.summary.create_file_writer(log_dir).as_default(step=step):
        for name, value in scalars.items():
            tf.summary.scalar(name, value)
        for name, picture in pictures.items():
            tf.summary.image(name, picture[np.newaxis])
        if matches is not None:
            tf.summary.experimental.write_raw_pb(pr_curve.pb("matches", *matches).SerializeToString())
        for way in set(curves) - {"percent"}:
            for kind, shares in curves[way].items():
                for percent, share in zip(curves["percent"], shares):
                    tf.summary.scalar(f"{kind}/{way}", share, step=round(10 * percent))


def save_pictures(folder, pictures):
    """Writes pictures as PNG files, each whole or not at all.

    Args:
      folder: an existing folder.
      pictures: name -> uint8 [H, W, 3].
    """
    for name, picture in pictures.items():
        files.write_whole(os.path.join(folder, f"{name}.png"), tf.io.encode_png(picture).numpy())


def spread_cells(visible, count):
    """Picks visible cells, evenly in row-major order.

    Args:
      visible: bool [B, h, w]; where none is, all are as good.
      count: how many of each map.

    Returns:
      int [B, count], indices into h * w.
    """
    chosen = []
    for mask in visible.reshape([len(visible), -1]):
        cells = np.flatnonzero(mask) if mask.any() else np.arange(mask.size)
        chosen.append(cells[np.linspace(0, cells.size - 1, count).round().astype(int)])
    return np.stack(chosen)
