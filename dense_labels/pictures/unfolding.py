"""Label space drawn flat, with the pixels of images carried to it: of single images, and their mean.

Convention: for L >= 3 it is the sphere, in one of two projections. `equirectangular`: longitude from -pi (left) to pi
(right), latitude from pi/2 (top) to -pi/2. `hemispheres`: Lambert's equal-area projection of the half about longitude 0
(left) and of the half about pi (right), each a disc with the north at the top; no place is a pole there, and none is
larger than another. For L = 2 it is the plane of labels, first axis to the right, second axis up, from -1.1 to 1.1
times the longest label.

Figure numbers are those of Thewlis, Bilen and Vedaldi, "Unsupervised learning of object frames by dense equivariant
image labelling", NIPS 2017.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dense_labels.batches import LabelMap
from dense_labels.method import geometry, label_sphere
from dense_labels.pictures import cells, checks

BACKGROUND = 232  # light grey: white parts of an object stay visible on it
PLANE_LIMIT = 1.1  # half-width of the unfolded plane of L = 2, in longest labels
PROJECTIONS = ("equirectangular", "hemispheres")
LEAST_SHARE = 0.05  # of the images; where fewer land, the mean shows chance
_INNER = 0.25  # of the image's shorter side: how far the middle of the object reaches


class MeanObject:
    """The mean of many images in unfolded label space; add batches, then take the `picture`.

    It holds a few maps of the size of the picture, however many images are added.

    Attributes:
      count: how many images were added.
    """

    def __init__(self, *, size: int, basis: np.ndarray | None = None, longest: float | None = None):
        """Creates the mean of no image.

        Args:
          size: height of the picture.
          basis: [L, 3] as in `unfold`; needed for L > 3.
          longest: length of the longest label; needed for L = 2, where the plane cannot grow later.
        """
        self.size, self.basis, self.longest = size, basis, longest
        self.count = 0
        self._totals: Any = 0.0
        self._reached: Any = 0

    def add(self, images: np.ndarray, labels: LabelMap, masks: np.ndarray) -> None:
        """Adds a batch of images.

        Args:
          images: [N, H, W, 3], float in [0, 1].
          labels: of the N images.
          masks: [N, H, W], which pixels to draw (bool or 0/1); those that no cell covers are left out.

        Raises:
          ValueError: if the shapes do not agree, images are not in [0, 1], or L = 2 without `longest`.
        """
        images, labels, masks = check(images, labels, masks)
        if labels.length == 2 and self.longest is None:
            raise ValueError("labels of length 2 need the length of the longest: pass longest=...")
        for image, values, mask in zip(images, labels.values, masks):  # one by one, for memory
            seen = cells.labels_of_pixels(values, labels.stride, mask.shape)[mask]
            totals = _totals(seen, image[mask], self.size, self.basis, self.longest)
            self._totals = self._totals + totals
            self._reached = self._reached + (totals[3] > 0)
            self.count += 1

    def picture(self) -> np.ndarray:
        """Returns the mean colour of the pixels at each place that at least 5 % of the images reach.

        Returns:
          uint8 [size, 2 * size, 3], or [size, size, 3] for L = 2.

        Raises:
          ValueError: if no image was added.
        """
        if not self.count:
            raise ValueError("the mean of no image: add at least one")
        return _mean_colours(self._totals, self._reached >= max(1, LEAST_SHARE * self.count))


def unfold(
    labels: np.ndarray,
    colours: np.ndarray,
    visible: np.ndarray,
    *,
    size: int,
    basis: np.ndarray | None = None,
    longest: float | None = None,
    projection: str = "equirectangular",
) -> np.ndarray:
    """Carries coloured pixels to label space and draws it flat (figures 4 and 5, left).

    Where several pixels land on one place, their mean colour is shown.

    Args:
      labels: [..., L] with L >= 2, one label per pixel.
      colours: [..., 3], in [0, 1].
      visible: [...], which pixels to draw (bool or 0/1).
      size: height of the picture.
      basis: [L, 3] from `label_sphere.colour_basis`, or one that turns the map from `label_sphere.upright_rotation`;
        needed for L > 3.
      longest: for L = 2, the length of the longest label; that of the visible ones if not given.
      projection: of the sphere, one of `PROJECTIONS`; L = 2 has but its plane.

    Returns:
      uint8 [size, 2 * size, 3], or [size, size, 3] for L = 2.

    Raises:
      ValueError: if the shapes do not agree, the projection is another, or as `label_sphere.project`.
    """
    if projection not in PROJECTIONS:
        raise ValueError(f"projection={projection!r}: must be one of {', '.join(PROJECTIONS)}")
    labels, colours, visible = np.asarray(labels), np.asarray(colours), np.asarray(visible, bool)
    if labels.shape[:-1] != visible.shape or colours.shape != visible.shape + (3,):
        raise ValueError(
            "labels [..., L], colours [..., 3] and visible [...] must agree; "
            f"found shapes {labels.shape}, {colours.shape} and {visible.shape}"
        )
    labels, colours = labels[visible], colours[visible]  # [M, L], [M, 3]
    if longest is None:
        longest = np.linalg.norm(labels, axis=-1).max(initial=1e-12)
    totals = _totals(labels, colours, size, basis, longest, projection)
    return _mean_colours(totals, totals[3] > 0)


def unfold_each(images: np.ndarray, labels: LabelMap, masks: np.ndarray, **view: Any) -> list[np.ndarray]:
    """Unfolds images one by one.

    Args:
      images, labels, masks: as `check` returns them.
      **view: of `unfold`.

    Returns:
      N pictures as of `unfold`.
    """
    return [
        unfold(cells.labels_of_pixels(values, labels.stride, mask.shape), image, mask, **view)
        for image, values, mask in zip(images, labels.values, masks)
    ]


def check(images: np.ndarray, labels: LabelMap, masks: np.ndarray) -> tuple[np.ndarray, LabelMap, np.ndarray]:
    """Checks images, their labels and their masks; returns them with the pixels masked that no cell covers.

    Raises:
      ValueError: if the shapes do not agree, or images are not in [0, 1].
    """
    images = checks.check_images("images", images)
    labels, masks = checks.check_labels("labels", labels, images), checks.check_masks(masks, images).copy()
    height, width = labels.covered
    masks[:, height:] = masks[:, :, width:] = False
    return images, labels, masks


def colour_basis(labels: np.ndarray, on_object: np.ndarray) -> np.ndarray | None:
    """Chooses how labels of more than three numbers are seen as colours.

    Args:
      labels: [N, h, w, L].
      on_object: bool [N, h, w], which cells show the object.

    Returns:
      float32 [L, 3] as `label_sphere.colour_basis`, found on the object; None for L <= 3, which need none.
    """
    if labels.shape[-1] <= 3:
        return None
    return _colour_basis(labels[on_object] if on_object.any() else labels)


def upright_view(labels: LabelMap, masks: np.ndarray) -> dict[str, Any]:
    """Chooses how label space is seen from the middle of the object, upright.

    Args:
      labels: of N images.
      masks: [N, H, W], where the object is (bool or 0/1).

    Returns:
      Arguments of `MeanObject`: `basis` [L, 3], for L = 2 `longest`. Where there is no object, all cells are seen as
      one; where the labels tell neither a middle nor up from down, the basis is not turned.
    """
    on_object, length = cells.at_centres(masks, labels), labels.length
    on_object = on_object if on_object.any() else np.ones_like(on_object)
    places = np.broadcast_to(geometry.cell_centres(*labels.cells, labels.stride), [*on_object.shape, 2])[on_object]
    values = labels.values[on_object]
    if length == 2:
        return {"longest": np.linalg.norm(values, axis=-1).max()}
    # What surrounds the object has more cells than it, and its labels lie on the far side of the sphere.
    inner = np.linalg.norm(places - places.mean(axis=0), axis=-1) < _INNER * min(labels.covered)
    values, places = (values[inner], places[inner]) if inner.any() else (values, places)
    basis = np.eye(3, dtype=np.float32) if length == 3 else _colour_basis(values)
    if not np.ptp(values, axis=0).any():
        return {"basis": basis}  # the labels are all alike
    try:
        return {"basis": basis @ label_sphere.upright_rotation(values @ basis, places).T}
    except ValueError:
        return {"basis": basis}


def on_hemispheres(latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns (across, down), in [0, 1], of places on the two discs, which touch where the longitude is pi/2."""
    behind = np.abs(longitude) > np.pi / 2
    x, y, z = np.moveaxis(label_sphere.from_latitude_longitude(latitude, longitude), -1, 0)
    shrink = 1 / np.sqrt(1 + np.abs(x))
    return np.where(behind, 0.75 - 0.25 * y * shrink, 0.25 + 0.25 * y * shrink), 0.5 - 0.5 * z * shrink


def _colour_basis(labels):
    """`label_sphere.colour_basis`; of labels that are all zero, any will do."""
    return label_sphere.colour_basis(labels) if labels.any() else np.eye(labels.shape[-1], 3, dtype=np.float32)


def _totals(labels, colours, size, basis, longest, projection="equirectangular"):
    """Returns the sums of the colours, then the counts, of the pixels at each place of the map, [4, size, width]."""
    projected = label_sphere.project(labels, basis)
    values = np.stack([*colours.T, np.ones(len(colours))])  # [4, M]
    if labels.shape[-1] > 2:
        latitude, longitude = label_sphere.latitude_longitude(projected)
        if projection == "hemispheres":
            return _splat(*on_hemispheres(latitude, longitude), values, size, 2 * size)
        return _splat(longitude / (2 * np.pi) + 0.5, 0.5 - latitude / np.pi, values, size, 2 * size)
    across, down = (labels / (PLANE_LIMIT * longest) * [0.5, -0.5] + 0.5).T
    inside = np.maximum(abs(across - 0.5), abs(down - 0.5)) <= 0.5
    return _splat(across[inside], down[inside], values[:, inside], size, size)


def _splat(across, down, values, height, width):
    """Adds up a dot of `values` [C, M] per place in [0, 1]^2, wrapping left to right: [C, height, width]."""
    radius = max(1, height // 90)
    dy, dx = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = np.hypot(dx, dy) <= radius + 0.5
    dx, dy = dx[disc], dy[disc]  # [D]
    columns = np.clip(across * width, 0, width - 1).astype(int)[:, np.newaxis] + dx  # [M, D]
    rows = np.clip(down * height, 0, height - 1).astype(int)[:, np.newaxis] + dy
    drawn = (rows >= 0) & (rows < height)
    places = (rows * width + columns % width)[drawn]
    dots = (np.broadcast_to(value[:, np.newaxis], rows.shape)[drawn] for value in values)
    totals = np.stack([np.bincount(places, dot, height * width) for dot in dots])
    return totals.reshape(-1, height, width)


def _mean_colours(totals, shown):
    """Turns sums of colours, then counts, [4, h, w] into a picture of the places to be shown."""
    mean = 255 * totals[:3] / np.where(shown, totals[3], 1)
    return np.uint8(np.rint(np.where(shown, mean, BACKGROUND))).transpose(1, 2, 0)
