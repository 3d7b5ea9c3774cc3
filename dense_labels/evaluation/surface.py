"""How well labels are the frame of an object whose true frame is known: a sphere that turns (section 4.2).

Labels that move with the object are still free to be any smooth deformation of it, so three things are measured: where
points of one image are found in another (matching), how far a place on the object follows from its label by a smooth
map (consistency), and by an orthogonal one (isometry). A place is a unit vector that moves with the object; an error is
the angle between two of them, in degrees.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np
from scipy import linalg, ndimage

from dense_labels import batches as types
from dense_labels.batches import LabelledSurfaces, LabelMap
from dense_labels.evaluation import label_matching
from dense_labels.evaluation.result import Result
from dense_labels.method import label_sphere

DEGREE = 4  # of the spherical harmonics that make up a smooth map
MEASURES = ("matching", "consistency", "isometry")
TURNS = (0, 60, 120, 180)  # degrees between the two images of a pair: what matching is told apart by


def label_surfaces(network: types.LabelNetwork, batches: Iterable[types.SurfaceBatch], stride: int) -> LabelledSurfaces:
    """Labels images of an object whose surface is known.

    Args:
      network: images [B, H, W, 3] -> labels [B, h, w, L].
      batches: SurfaceBatches.
      stride: side of a cell in pixels.

    Returns:
      The label maps and surfaces of all N images, in their order.
    """
    labels, known = [], []
    for batch in batches:
        labels.append(np.asarray(network(batch.image)))
        known.append(batch._replace(image=np.zeros(len(batch.image), np.uint8)))  # the pixels are not kept
    _, places, on_object, rotation, limb = types.stack(known)
    return LabelledSurfaces(LabelMap(np.concatenate(labels), stride), places, on_object > 0, rotation, limb)


def measure(known: LabelledSurfaces, test: LabelledSurfaces, *, pairs: int, seed: int = 0) -> Result:
    """Measures labels, and labels drawn at random for chance.

    Args:
      known: training images, which the smooth and the orthogonal map are fitted on.
      test: test images, which everything is measured on; two at least.
      pairs: how many pairs of different test images are matched at most, an int.
      seed: of the pairs and of the labels drawn at random.

    Returns:
      The result: `metrics`, the median and mean of each of `MEASURES` and of each of these by chance, and
      `isometry_reflected`, 1 where the best orthogonal map is a reflection; `matching_by_turn`, of pairs by the angle
      between their images; `protocol`. Of labels that are not of length 3, matching alone is measured.

    Raises:
      ValueError: if there are fewer than two test images.
    """
    chosen = label_matching.pairs_of(pairs, len(test), seed)
    random = np.random.default_rng(seed)
    figures, by_turn = _measure(known, test, chosen)
    chance, _ = _measure(_with_random_labels(known, random), _with_random_labels(test, random), chosen)
    chance.pop("isometry_reflected", None)
    return Result(
        metrics={**figures, **{f"chance_{name}": value for name, value in chance.items()}},
        matching_by_turn=by_turn,
        protocol={
            "test_images": len(test),
            "fitted_on_images": len(known),
            "matched_pairs": len(chosen),
            "error": "angle between places on the object, in degrees, over all cells of all images on it",
            "matching": "different test images; cells of A whose place is seen in B; the cell of B with the largest "
            "inner product, or of those on the object the nearest to it",
            "consistency": f"places as spherical harmonics to degree {DEGREE} of label directions, by least squares",
            "isometry": "places as an orthogonal map of label directions, reflections allowed, by least squares",
            "chance": "the same of labels drawn at random",
        },
    )


def _with_random_labels(images, random):
    labels = random.normal(size=images.labels.values.shape)
    return dataclasses.replace(images, labels=LabelMap(labels, images.labels.stride))


def _measure(known, test, pairs):
    """The metrics of labels, and the matching of pairs [P, 2] by their turn."""
    errors = [matching_errors(test, a, b) for a, b in pairs]
    turns = turned(test.rotation[pairs[:, 0]], test.rotation[pairs[:, 1]])
    figures = {"matching": np.concatenate(errors)}
    if test.labels.length == 3:
        smooth, alignment = fit_smooth(*on_object(known)), fit_orthogonal(*on_object(known))
        labels, places = on_object(test)
        figures["consistency"] = angles(smooth(labels), places)
        figures["isometry"] = angles(label_sphere.project(labels) @ alignment.T, places)
    metrics = {}
    for name, values in figures.items():
        metrics[f"{name}_median_degrees"] = float(np.median(values))
        metrics[f"{name}_mean_degrees"] = float(np.mean(values))
    if "isometry" in figures:
        metrics["isometry_reflected"] = int(np.linalg.det(alignment) < 0)
    return metrics, _by_turn(errors, turns)


def _by_turn(errors, turns):
    rows = []
    for least, most in zip(TURNS, TURNS[1:]):
        chosen = [values for values, turn in zip(errors, turns) if least <= turn < most or turn == most == TURNS[-1]]
        points = np.concatenate([*chosen, []])
        row = {"turned_by_degrees": [least, most], "points": len(points)}
        if len(points):
            row |= {"median_degrees": float(np.median(points)), "mean_degrees": float(np.mean(points))}
        rows.append(row)
    return rows


def on_object(images: LabelledSurfaces) -> tuple[np.ndarray, np.ndarray]:
    """Returns the labels [M, L] and places [M, 3] of all cells on the object."""
    return images.labels.values[images.on_object], images.places[images.on_object]


def matching_errors(images: LabelledSurfaces, a: int, b: int) -> np.ndarray:
    """Matches the cells of one image into another by their labels.

    Each cell of A on the object whose place is seen in B goes to the cell of B with the largest inner product, and from
    there, where that is off the object, to the nearest cell of B that is on it.

    Args:
      images: labelled images.
      a: index of one of them.
      b: index of another.

    Returns:
      float64 [M], degrees between the place of each such cell and the place where it lands.
    """
    seen = images.on_object[a] & (images.places[a] @ -images.rotation[b][2] > images.limb[b])
    nearest = ndimage.distance_transform_edt(~images.on_object[b], return_distances=False, return_indices=True)
    landing = images.places[b][tuple(nearest)].reshape([-1, 3])
    labels_b = images.labels.values[b].reshape([-1, images.labels.length])
    best = np.argmax(images.labels.values[a][seen] @ labels_b.T, axis=-1)
    return angles(landing[best], images.places[a][seen])


def fit_smooth(labels, places) -> Callable[[np.ndarray], np.ndarray]:
    """Fits a smooth map from label directions to places.

    Each coordinate of a place is a sum of spherical harmonics of the label's direction, by least squares.

    Args:
      labels: [M, 3].
      places: [M, 3], unit vectors.

    Returns:
      A function from labels [K, 3] to places [K, 3], unit vectors.
    """
    weights = np.linalg.lstsq(label_sphere.harmonics(labels, DEGREE), places, rcond=None)[0]
    return lambda labels: label_sphere.project(label_sphere.harmonics(labels, DEGREE) @ weights)


def fit_orthogonal(labels, places) -> np.ndarray:
    """Fits an orthogonal map from label directions to places, by least squares.

    Args:
      labels: [M, 3].
      places: [M, 3], unit vectors.

    Returns:
      float64 [3, 3], `places = directions @ it.T`; of determinant 1, or -1 where a reflection fits better.
    """
    return linalg.orthogonal_procrustes(label_sphere.project(labels), places)[0].T


def angles(directions_a, directions_b) -> np.ndarray:
    """Returns the angles between unit vectors [..., 3], in degrees; exact for small ones too."""
    return np.degrees(2 * np.arcsin(np.minimum(np.linalg.norm(directions_a - directions_b, axis=-1) / 2, 1.0)))


def turned(rotations_a, rotations_b) -> np.ndarray:
    """Returns the angle of the turn between rotations [..., 3, 3], in degrees."""
    # The Frobenius norm of the difference of two rotations by t is 2 sqrt(2) sin(t / 2).
    chord = np.linalg.norm(rotations_a - rotations_b, axis=(-2, -1)) / np.sqrt(8)
    return np.degrees(2 * np.arcsin(np.minimum(chord, 1.0)))
