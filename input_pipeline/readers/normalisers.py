"""What landmark errors are divided by: the distance of two landmarks, a size of boxes, or the width of the picture."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from dense_labels import progress
from input_pipeline.readers.pictures import Pictures
from input_pipeline.storage import decoding

EYES, WIDTH = "eye distance", "picture width"
_LEAST_SHARE = 0.15  # of what is annotated: a smaller distance says nothing about the size of the object
_LEAST_KNOWN = 0.5  # of the annotated pictures: a distance that fewer have is none to divide the errors of all by
_SMALL = 1 / 3  # of the usual size: a smaller box about few landmarks says nothing of the object
_LINE = 0.2  # of the longer side: how short the other one of a box about a line is
_NEAR = 0.02  # pixels: how far a box that was made of landmarks may be off, which files round


def picture_widths(paths: Sequence[str]) -> list[int]:
    """Reads the widths of pictures; 0 for a damaged one, about which `resized.prepare` has more to say."""
    sizes = decoding.read_sizes(paths)
    return [sizes[path][1] for path in paths]


def eyes(names: Sequence[str]) -> tuple[int, int] | None:
    """Returns the indices of left_eye and right_eye among landmark names, or None if one is not there."""
    return (names.index("left_eye"), names.index("right_eye")) if {"left_eye", "right_eye"} <= set(names) else None


def eye_distances(landmarks: np.ndarray, what: str) -> np.ndarray:
    """Measures the distance of the eyes, the first two landmarks, of published data; says where it is 0.

    An evaluation passes over pictures whose eyes lie at one place, for their errors cannot be divided by it.

    Args:
      landmarks: float32 [N, K, 2].
      what: name of the data set, for the note.

    Returns:
      float32 [N], in pixels.
    """
    distances = np.linalg.norm(landmarks[:, 0] - landmarks[:, 1], axis=-1)
    if alike := int((distances == 0).sum()):
        where = f"of {alike} of {len(distances)} pictures lie at one place"
        progress.note(f"{what}: both eyes {where}; no error is measured in them")
    return distances


def add(
    pictures: Pictures,
    ends: tuple[int, int] | None,
    name: str,
    otherwise: Callable[[], tuple[np.ndarray | Sequence[float], str]],
) -> Pictures:
    """Fills in what errors are divided by: the distance between two landmarks, or else a size.

    The distance is taken where at least half of the annotated pictures have both landmarks, and it is no small part of
    what is annotated: eyes are a good measure of a face, not of a body. Pictures that lack one of the landmarks get 0:
    their errors cannot be measured so, and an evaluation passes over them.

    Args:
      pictures: `Pictures` with landmarks.
      ends: indices of the two landmarks, or None if there are no such landmarks.
      name: what their distance is called.
      otherwise: function without arguments that returns (sizes [N] in pixels, what they are called).

    Returns:
      `Pictures`.

    Raises:
      ValueError: if the two landmarks of a picture lie at one place.
    """
    known = np.zeros(len(pictures), bool) if ends is None else (pictures.annotated[:, ends] > 0).all(axis=1)
    some = int((pictures.annotated > 0).any(axis=1).sum())
    if not known.any() or known.sum() < _LEAST_KNOWN * some:
        why = f"{known.sum()} of {some} annotated images have" if known.any() else ""
        return _by_size(pictures, otherwise, name, why)
    distances = np.linalg.norm(pictures.landmarks[:, ends[0]] - pictures.landmarks[:, ends[1]], axis=-1)
    for index in np.flatnonzero(known & (distances == 0)):
        raise ValueError(
            f"{pictures.paths[index]}: the {name}, by which errors are divided, is 0; correct its landmarks"
        )
    share = np.median(distances[known] / _extents(pictures)[known])
    if share < _LEAST_SHARE:
        return _by_size(pictures, otherwise, name, f"is only {share:.0%} of what is annotated")
    if known.sum() < some:
        progress.note(f"no error is measured in {some - known.sum()} of {some} annotated images: no {name} is known")
    return dataclasses.replace(pictures, normalisers=np.where(known, distances, 0).astype(np.float32), normaliser=name)


def _by_size(pictures, otherwise, name, why):
    """Fills in a size, and says why it is not the distance of that name, where there is one."""
    sizes, other = otherwise()
    if why:
        progress.note(f"errors are divided by the {other}, not by the {name}, which {why}")
    return dataclasses.replace(pictures, normalisers=np.asarray(sizes, np.float32), normaliser=other)


def by_width(pictures: Pictures) -> Pictures:
    """Returns the same pictures, whose errors are divided by their widths."""
    widths = np.asarray(picture_widths(pictures.paths), np.float32)
    return dataclasses.replace(pictures, normalisers=widths, normaliser=WIDTH)


def _outermost(pictures):
    """The least and greatest x, y of the annotated landmarks of each picture, each [N, 2]; infinite without any."""
    known = pictures.annotated[..., np.newaxis] > 0
    low = np.where(known, pictures.landmarks, np.inf).min(axis=1)
    return low, np.where(known, pictures.landmarks, -np.inf).max(axis=1)


def _extents(pictures):
    """Longer side of the bounding box of the annotated landmarks of each picture, [N]; those without any have 1."""
    low, high = _outermost(pictures)
    extents = (high - low).max(axis=1)
    return np.where(np.isfinite(extents) & (extents > 0), extents, 1)


def box_sizes(pictures: Pictures) -> tuple[np.ndarray, str] | None:
    """Returns the size of the box about each object, sqrt(w h), [N] in pixels, and what it is called.

    Boxes that are about the landmarks alone are `grown`. None where there are no boxes, or their sizes say nothing, as
    those about single landmarks.
    """
    boxes = pictures.objects
    if boxes is not None and own_boxes(pictures) is None:
        boxes = grown(boxes, pictures.annotated)
    return None if boxes is None else (np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)), "box size")


def usual_boxes(pictures: Pictures) -> np.ndarray:
    """Returns the boxes about the objects [N, 4]; those about the landmarks alone are `grown`, where they can be."""
    found = grown(pictures.objects, pictures.annotated) if own_boxes(pictures) is None else None
    return pictures.objects if found is None else found


def grown(boxes: np.ndarray, annotated: np.ndarray) -> np.ndarray | None:
    """Grows boxes about few landmarks, or about a line, that are small beside the usual ones: to squares of that size.

    The usual size is the median of the objects of which half of the landmarks are annotated, two at least. A box about
    as many stays, for its object may be small; one about two that lie along x or y is made square, for its area says
    how the object is turned.

    Args:
      boxes: [N, 4], left, top, right, bottom.
      annotated: [N, K].

    Returns:
      float64 [N, 4], around the same centres; None where no object has two landmarks.
    """
    boxes, counts = np.asarray(boxes, np.float64), (annotated > 0).sum(axis=1)
    if counts.max() < 2:
        return None
    sides = boxes[:, 2:] - boxes[:, :2]
    longer, many = sides.max(axis=1), counts >= max(2, annotated.shape[1] / 2)
    is_line = sides.min(axis=1) < _LINE * longer
    between_two = is_line & (counts == 2)
    sizes = np.sqrt(np.prod(sides, axis=1))
    usual = np.median(np.where(between_two, longer, sizes)[many if many.any() else counts >= 2])
    small = (sizes < _SMALL * usual) & (~many | is_line)
    half = np.where(small, np.maximum(usual, longer), longer)[:, np.newaxis] / 2
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    squares = np.concatenate([centres - half, centres + half], axis=1)
    return np.where((small | between_two)[:, np.newaxis], squares, boxes)


def own_boxes(pictures: Pictures) -> np.ndarray | None:
    """Returns the boxes about the objects, unless they are those about their landmarks, which say nothing of their own.

    They are, where more than half of all sides, and two of each box at least, lie at the outermost landmarks, or half a
    pixel off, as where landmarks count pixels at their centres: programs put them there exactly, and people do not. Not
    all need lie there still, for a landmark that is corrected afterwards leaves its box as it was.

    Args:
      pictures: N rows, with landmarks.

    Returns:
      float32 [N, 4], left, top, right, bottom in continuous pixels; None where there are no such boxes.
    """
    if pictures.objects is None:
        return None
    low, high = _outermost(pictures)
    ends = (high, np.maximum(high, low + 1))  # readers make boxes of a pixel at least
    off = [np.abs(pictures.objects - np.concatenate([low, end], axis=1)) for end in ends]
    made = [(each <= _NEAR) | (np.abs(each - 0.5) <= _NEAR) for each in off]
    at_landmarks = made[0] | made[1]  # [N, 4]
    return None if at_landmarks.mean() > 0.5 and (at_landmarks.sum(axis=1) >= 2).all() else pictures.objects
