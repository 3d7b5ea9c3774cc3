"""What annotations say, held against the pictures themselves: one check for every reader, those yet to come as well.

An annotation can be well formed and yet be of another picture: one that was resized or turned since, one that counts in
other units, or two where one is meant. What contradicts itself is refused, or left out with a word.
"""

import dataclasses
import os
from collections.abc import Mapping

import numpy as np

from dense_labels import progress
from input_pipeline.readers.normalisers import WIDTH
from input_pipeline.readers.pictures import Pictures
from input_pipeline.storage import decoding, orientation

FAR = 0.5  # of the longer side of the picture: landmarks further outside are mistakes, not cut off
_MANY = 0.25  # of the landmarks, or of boxes that would lie inside if they were written in another way
_BEYOND, _ROUNDED = 0.02, 2  # of the side; pixels: how far beyond its picture a box may end
_SMALLEST = 8  # pixels: in smaller pictures shares of a side could be pixels
_LARGE = 250  # pixels: in smaller pictures percent could be pixels
_LOOKED_AT = 1000  # pictures, for their EXIF orientation
_STAND_INS = 0.0, -1.0, 0.5, -0.5, -1.5  # x and y that programs write where there is none, half a pixel added or off


def check_one_answer(splits: Mapping[str, Pictures]) -> None:
    """Refuses pictures that are annotated twice and shown whole: they would have two answers.

    Args:
      splits: name -> `Pictures`.

    Raises:
      ValueError: naming such a picture.
    """
    for pictures in splits.values():
        if pictures.landmarks is None or pictures.boxes is not None:
            continue
        files = [os.path.realpath(path) for path in pictures.paths]
        seen = set()
        for path, file in zip(pictures.paths, files):
            if file in seen:
                raise ValueError(
                    f"{path} has {files.count(file)} annotated objects, and whole pictures are shown, which have one "
                    "answer each; leave one object a picture, or train on boxes about the objects "
                    "(config.data.name=boxes, or coco without config.data.whole_pictures)"
                )
            seen.add(file)


def beyond_allowed(sides: np.ndarray) -> np.ndarray:
    """Returns by how many pixels boxes may end beyond pictures of such sides."""
    return np.maximum(_ROUNDED, _BEYOND * sides)


def checked(pictures: Pictures, sizes: np.ndarray) -> Pictures:
    """Holds what is known about pictures against their sizes.

    Args:
      pictures: `Pictures`.
      sizes: int [N, 2], (height, width) in pixels of the upright pictures, as they are read from disk.

    Returns:
      The pictures; landmarks that lie far outside are no longer annotated, nor are the others of an object whose box is
      about such a landmark too, and a warning says how many; no error is measured in their pictures, but in shares of a
      picture's width. Another warning says that pictures are turned or mirrored by their EXIF orientation, where the
      annotations say no sizes, or these are the same of the stored and of the upright picture.

    Raises:
      ValueError: in one line that names a picture: its size is another than the annotations say, most landmarks or
        boxes lie outside, or landmarks cannot be in pixels.
    """
    sizes = np.asarray(sizes)
    _check_claimed(pictures, sizes)
    _check_objects(pictures, sizes)
    has_landmarks = pictures.landmarks is not None and pictures.annotated.any()
    if has_landmarks:
        check_landmarks(pictures, sizes)
    if has_landmarks or pictures.objects is not None:
        _warn_of_turned(pictures, sizes, "landmarks" if has_landmarks else "boxes")
    return _without_far(pictures, sizes) if has_landmarks else pictures


def check_landmarks(pictures: Pictures, sizes: np.ndarray) -> None:
    """Refuses landmarks that cannot be in pixels of their pictures: shares of the sides, or many lie outside.

    Args:
      pictures, sizes: as of `checked`; a landmark is annotated.

    Raises:
      ValueError: in one line that names a picture.
    """
    _check_units(pictures, sizes)
    _check_stand_ins(pictures)
    _check_inside(pictures, sizes)


def _check_claimed(pictures, sizes):
    """The sizes that the annotations say."""
    if pictures.claimed is None:
        return
    other = (pictures.claimed > 0).all(axis=1) & (pictures.claimed != sizes).any(axis=1)
    if not other.any():
        return
    first = np.flatnonzero(other)[0]
    (height, width), (said_height, said_width) = sizes[first], pictures.claimed[first]
    turned = (height, width) == (said_width, said_height)
    todo = (
        "annotate the picture as viewers show it, turned as its EXIF orientation says, or correct width and height"
        if turned
        else "annotate these pictures, or give those that were annotated"
    )
    differ = len({pictures.paths[row] for row in np.flatnonzero(other)})
    raise ValueError(
        f"{pictures.paths[first]} is {width} x {height} pixels, its annotations are of {said_width} x {said_height} "
        f"({differ} of {len(set(pictures.paths))} pictures differ): {todo}"
    )


def _check_objects(pictures, sizes):
    """The boxes of the objects themselves: pictures contain them, but for those that are cut off."""
    if pictures.objects is None:
        return
    boxes, sides = pictures.objects, sizes[:, ::-1]
    if len(boxes) and np.abs(boxes).max() <= 1.5 and sizes.min() > _SMALLEST:
        raise ValueError(
            f"{pictures.paths[0]}: all boxes lie within the first pixel, as shares of the picture's sides do; give "
            "them in pixels"
        )
    beyond = (boxes[:, 2:] - sides > beyond_allowed(sides)).any(axis=1)
    extents = boxes[:, 2:] - boxes[:, :2]
    by_corners = (
        (extents > boxes[:, :2]) & (extents <= sides + _ROUNDED)
    ).all()  # width and height as right and bottom
    if beyond.mean() <= (_MANY if by_corners else 0.5):
        return
    first = np.flatnonzero(beyond)[0]
    (left, top, right, bottom), (height, width) = boxes[first], sizes[first]
    what = "a bbox is left, top, width, height; these look like left, top, right, bottom"
    raise ValueError(
        f"{pictures.paths[first]} is {width} x {height} pixels, and its box goes from ({left:g}, {top:g}) to "
        f"({right:g}, {bottom:g}); {beyond.sum()} of {len(beyond)} boxes end beyond their pictures: "
        f"{what if by_corners else 'boxes must be in pixels of these very pictures'}"
    )


def _check_units(pictures, sizes):
    """Landmarks in pixels, of pictures that are large enough to tell."""
    known = pictures.landmarks[pictures.annotated > 0]
    largest = np.abs(known).max()
    if largest <= 1.5 and len(known) > 1 and sizes.min() > _SMALLEST:  # 1 and the half pixel of whole numbers
        raise ValueError(
            f"{pictures.paths[0]}: all landmarks lie within the first pixel, as shares of the picture's sides do; give "
            "them in pixels"
        )
    if 50 < largest <= 100 and sizes.min() >= _LARGE:
        progress.warn(
            f"all landmarks lie within 100 pixels of the top left corner of pictures of {sizes.min()} pixels and more; "
            "if they are in percent, give them in pixels"
        )


def _check_stand_ins(pictures):
    """Landmarks at numbers that stand for no place: a person puts two of them to the same corner hardly ever."""
    for number in _STAND_INS:
        found = (pictures.annotated > 0) & (pictures.landmarks == number).all(axis=-1)
        if found.sum() > 1:
            row, k = np.argwhere(found)[0]
            raise ValueError(
                f"{pictures.paths[row]}: {_name(pictures, k)} lies at ({number:g}, {number:g}), and so do "
                f"{found.sum()} landmarks: programs write this where there is none; leave those out, in CSV as two "
                "empty cells"
            )


def _check_inside(pictures, sizes):
    """Landmarks of which three quarters lie in their pictures, or a pixel outside."""
    annotated = pictures.annotated > 0
    outside = annotated & (_beyond(pictures.landmarks, sizes) > 1)
    if outside.sum() <= _MANY * annotated.sum():
        return
    row, k = np.argwhere(outside)[0]
    exchanged = _beyond(pictures.landmarks[..., ::-1], sizes)
    hint = "; x and y may be exchanged" if not (annotated & (exchanged > 1)).any() else ""
    raise ValueError(
        f"{_of(pictures, row, k, sizes)}, and so do {outside.sum()} of {annotated.sum()} landmarks: annotations "
        f"must be in pixels of these very pictures{hint}"
    )


def _without_far(pictures, sizes):
    """The pictures without the landmarks that lie far outside."""
    annotated = pictures.annotated > 0
    far = annotated & (_beyond(pictures.landmarks, sizes) > FAR * sizes.max(axis=1, keepdims=True))
    if not far.any():
        return pictures
    row, k = np.argwhere(far)[0]
    if pictures.boxes is not None:  # which a landmark that lies in it has stretched
        corners = pictures.boxes[:, np.newaxis].reshape([-1, 1, 2, 2])
        in_box = ((pictures.landmarks >= corners[:, :, 0]) & (pictures.landmarks <= corners[:, :, 1])).all(axis=-1)
        far |= annotated & (far & in_box).any(axis=1, keepdims=True)
    progress.warn(
        f"{far.sum()} of {annotated.sum()} landmarks are taken for not annotated, for they lie far outside: "
        f"{_of(pictures, row, k, sizes)}"
    )
    left, landmarks = (annotated & ~far).astype(np.float32), np.where(far[..., np.newaxis], 0, pictures.landmarks)
    normalisers = pictures.normalisers
    if normalisers is not None and pictures.normaliser != WIDTH:  # they were taken from landmarks, maybe from these
        normalisers = np.where(far.any(axis=1), np.float32(0), normalisers)
    return dataclasses.replace(pictures, annotated=left, landmarks=landmarks, normalisers=normalisers)


def _warn_of_turned(pictures, sizes, what):
    """Says which pictures are turned where nothing tells whether the tool of the annotations showed them so."""
    row_of: dict[str, int] = {}  # the first of each picture, which may have several objects
    for row, path in enumerate(pictures.paths):
        row_of.setdefault(path, row)
    paths = list(row_of)[:_LOOKED_AT]
    found = map(decoding.read_orientation, paths)
    turned = [path for path, each in zip(paths, found) if _is_untold(pictures, sizes, row_of[path], each)]
    if turned:
        progress.warn(
            f"{turned[0]} is turned by its EXIF orientation ({len(turned)} of {len(paths)} annotated pictures), and "
            f"{what} are taken to be of the upright picture, as viewers show it; a tool that does not turn pictures "
            "gives other places"
        )


def _is_untold(pictures, sizes, row, stored):
    """Says whether a picture is stored in an EXIF orientation that the size in its annotations does not tell of."""
    said = pictures.claimed is not None and (pictures.claimed[row] > 0).all()
    height, width = sizes[row]
    return stored > 1 and not (said and height != width and orientation.exchanges_sides(stored))


def _beyond(landmarks, sizes):
    """How far landmarks [N, K, 2] lie outside their pictures, in pixels; 0 inside."""
    return np.maximum(0, np.maximum(-landmarks, landmarks - sizes[:, np.newaxis, ::-1])).max(axis=-1)


def _of(pictures, row, k, sizes):
    (x, y), (height, width) = pictures.landmarks[row, k], sizes[row]
    return f"{pictures.paths[row]}: {_name(pictures, k)} lies at ({x:g}, {y:g}), outside the {width} x {height} pixels"


def _name(pictures, k):
    return pictures.landmark_names[k] if pictures.landmark_names else f"landmark {k}"
