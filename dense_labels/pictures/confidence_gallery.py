"""The pictures a run shows of its confidence, where its labels carry any; those of all runs are in `gallery`."""

import numpy as np

from dense_labels.evaluation import descriptor_matching, label_matching
from dense_labels.method import geometry
from dense_labels.pictures import confidence_panels, gallery

_FINER = 4  # than the label map: where nearest descriptors are looked for


def pair_pictures(network, examples, stride, *, points=40):
    """Draws what a network whose labels carry confidence is sure of, on a few pairs of which the truth is known.

    Args:
      network, examples, stride: as in `gallery.pair_pictures`.
      points: how many points of each A are looked for in B.

    Returns:
      A dictionary of uint8 pictures: `confidence` (with the responses of a few channels, figure 5), `matches` (the
      nearest descriptors of every third pair), `descriptor_matching` (what confidence says of the errors of all pairs).
    """
    examples = {name: np.asarray(value) for name, value in examples.items()}
    labels_a, labels_b = (np.asarray(network(examples[name])) for name in ("image_a", "image_b"))
    visible = examples["visible"] > 0
    cells = gallery.spread_cells(visible, points)
    centres = np.asarray(geometry.cell_centres(*visible.shape[1:], stride)).reshape([-1, 2])[cells]
    true = np.take_along_axis(examples["points_in_b"].reshape([len(cells), -1, 2]), cells[..., np.newaxis], axis=1)
    places, score, sure = label_matching.nearest_descriptor(labels_a, labels_b, centres, stride=stride, upsample=_FINER)
    width = examples["image_a"].shape[2]
    errors = 100 * np.linalg.norm(places - true, axis=-1) / width
    shown = slice(None, None, 3)
    return {
        "confidence": confidence_panels.introspection_panel(examples["image_a"], labels_a),
        "matches": confidence_panels.matches_panel(
            examples["image_a"][shown],
            examples["image_b"][shown],
            centres[shown],
            places[shown],
            sure[shown],
            points_in_b=true[shown],
            near=descriptor_matching.ALPHA * width,
        ),
        "trust": _trust_picture(descriptor_matching.Matches(errors.ravel(), sure.ravel(), score.ravel(), None)),
    }


def landmark_pictures(network, frames, matches, stride, *, pairs=3):
    """Draws how landmarks are found in other images by the nearest descriptor, and what confidence says of it.

    Args:
      network, stride: as in `gallery.pair_pictures`.
      frames: a LandmarkBatch.
      matches: `descriptor_matching.Matches` of many images.
      pairs: how many pairs of neighbours in `frames` are shown: those with the most landmarks that both have.

    Returns:
      A dictionary of uint8 pictures: `trust_between`, and `matches_between` where neighbours have a landmark in common.
    """
    pictures = {"trust_between": _trust_picture(matches)}
    images, landmarks, annotated = (frames[name].numpy() for name in ("image", "landmarks", "annotated"))
    known = annotated[:-1] * annotated[1:] > 0
    chosen = [n for n in np.argsort(-known.sum(axis=1), kind="stable")[:pairs] if known[n].any()]
    if chosen:
        nexts, labels = [n + 1 for n in chosen], network(frames["image"]).numpy()
        points = np.where(annotated[..., np.newaxis] > 0, landmarks, 0)
        compared = labels[chosen], labels[nexts], points[chosen]
        places, _, sure = label_matching.nearest_descriptor(*compared, stride=stride, upsample=_FINER)
        starts = np.where(known[chosen][..., np.newaxis], points[chosen], np.nan)
        true = {"points_in_b": points[nexts], "near": descriptor_matching.ALPHA * images.shape[2]}
        shown = images[chosen], images[nexts], starts, places, sure
        pictures["matches_between"] = confidence_panels.matches_panel(*shown, **true)
    return pictures


def _trust_picture(matches):
    found = matches.errors, matches.confidence, matches.score
    return confidence_panels.trust_panel(*found, threshold=100 * descriptor_matching.ALPHA)
