"""Landmarks from COCO JSON, and boxes about their objects."""

import dataclasses
import os
from collections.abc import Mapping

import numpy as np

from dense_labels import progress
from dense_labels.config import DataConfig
from dense_labels.registry import READERS
from input_pipeline.readers import coco_parts, landmark_files, normalisers
from input_pipeline.readers.annotated import KEYS, read_splits
from input_pipeline.readers.coco_parts import Entry
from input_pipeline.readers.pictures import Pictures, taken_for_any


@READERS.register(
    "coco",
    "pictures with key points in a COCO file",
    keys=KEYS,
    check=landmark_files.check,
    annotations=".json",
    marks_unplaced=True,
)
def read(data: DataConfig) -> dict[str, Pictures]:
    """Reads the COCO files of a configuration; see `read_file`.

    Args:
      data: where it names `boxes`, as of a training that saw boxes, so are the pictures boxes; which, the annotations
        say themselves.

    Returns:
      Dictionary split -> `Pictures`.

    Raises:
      ValueError: as `read_file`, or if there is no file of boxes, or whole pictures are asked for as well.
    """
    if data.boxes and not os.path.isfile(os.path.expanduser(data.boxes)):
        raise ValueError(
            f"config.data.boxes={data.boxes}: there is no such file; give one that is there, or none (to eval_main.py "
            "give --annotations, which have boxes of their own)"
        )
    splits = read_splits(data, read_file)
    if "test" in splits:
        both = (splits["annotated"], splits["test"])
        warn_of_halves(dict(zip(("config.data.annotations", "config.data.annotations_test"), both)))
    return splits


def warn_of_halves(files: Mapping[str, Pictures]) -> None:
    """Says where the key points of one file are whole numbers and those of another are not.

    Args:
      files: name of a file, for the message -> what was read from it; two of them.
    """
    centres = {_are_centres(pictures): name for name, pictures in files.items()}
    if len(centres) > 1:
        progress.warn(
            f"the key points of {centres[True]} are whole numbers, which count pixels at their centres, so half a "
            f"pixel is added; those of {centres[False]} are not, so none is: if one program wrote both files, they "
            "differ by half a pixel, and should be written alike"
        )


def _are_centres(pictures):
    """Whether all landmarks lie at centres of pixels, as whole numbers in the file do."""
    return bool((pictures.landmarks[pictures.annotated > 0] % 1 == 0.5).all())


def read_file(
    dir: str | os.PathLike, annotations: str | os.PathLike, *, boxed: bool = False, category: str = ""
) -> Pictures:
    """Reads the annotations that have key points, and leaves out pictures and annotations without any.

    Landmarks have the names that the category gives them; where it gives none, they are numbered.

    Convention: COCO's own key points are whole numbers that count pixels from 0 at their centres, so where all of a
    file are whole, half a pixel is added; fractional ones are continuous pixels already. A landmark is annotated where
    v is 1 or 2; elsewhere its numbers mean nothing, and may be null or NaN. It is hidden where v is 1, and where the
    annotation names it in `hidden_without_place`, which our own files have.

    The boxes are None, the whole pictures, where no picture has two annotations with key points, unless they are asked
    for. Else they are squares about each annotation's bbox, see `landmark_files.square_around`.

    Errors are divided by the eye distance where there are landmarks left_eye and right_eye, see
    `normalisers.add`; else by the box size, sqrt(w h) of the bbox, where all annotations have one with
    an area; else by the picture width.

    Args:
      dir: folder that `file_name` starts from.
      annotations: path of the JSON file.
      boxed: whether boxes are asked for.
      category: name or id of the objects, where several kinds have key points; or of the only kind, see
        `pictures.taken_for_any`.

    Returns:
      `Pictures`, one for each annotation, in the order of the file.

    Raises:
      ValueError: naming the file and its entry that is missing or wrong, such as a v that is not 0, 1 or 2, or the
        picture that is not there.
    """
    parts = coco_parts.checked(coco_parts.parse(annotations), annotations, coco_parts.NEEDED)
    chosen = _category(parts, category, annotations)
    names = _names(chosen, annotations)
    entries, points = _entries(parts, chosen, annotations)
    annotated = points[..., 2] > 0
    rounded = _contributor(parts) == "Label Studio"  # which rounds percent of the sides
    half = 0.0 if rounded or (points[annotated][:, :2] % 1).any() else 0.5
    boxed |= len({str(entry.annotation["image_id"]) for entry in entries}) < len(entries)
    objects = coco_parts.boxes_of(entries) if boxed or _have_boxes(entries) else None
    pictures = Pictures(
        coco_parts.pictures_of(dir, entries),
        landmarks=np.where(annotated[..., np.newaxis], points[..., :2] + half, 0).astype(np.float32),
        annotated=annotated.astype(np.float32),
        landmark_names=names,
        claimed=coco_parts.claimed_sizes(entries),
        objects=None if objects is None else objects.astype(np.float32),
        hidden=_hidden(entries, points, names).astype(np.float32),
        skeleton=_skeleton(chosen, points.shape[1]),
        category=chosen["name"] if isinstance(chosen.get("name"), str) else "",
    )
    if boxed:
        if normalisers.own_boxes(pictures) is None and normalisers.grown(pictures.objects, pictures.annotated) is None:
            progress.warn(
                f"{annotations}: boxes about one landmark each show hardly a pixel; give boxes of the objects"
            )
        shown = landmark_files.square_around(normalisers.usual_boxes(pictures))
        pictures = dataclasses.replace(pictures, boxes=shown)
    return normalisers.add(pictures, normalisers.eyes(names), normalisers.EYES, otherwise=lambda: _sizes(pictures))


def _contributor(parts):
    info = parts.get("info")
    return info.get("contributor") if isinstance(info, dict) else None


def _category(parts, wanted, file):
    """The category whose key points are read: the one that has any, or is asked for."""
    categories = {str(each["id"]): each for each in parts["categories"]}
    if len(categories) < len(parts["categories"]):
        raise ValueError(f"{file}: several categories have one id; give each an id of its own")
    named = [each for each in categories.values() if isinstance(each.get("keypoints"), list) and each["keypoints"]]
    used = {str(each["category_id"]) for each in parts["annotations"] if each.get("keypoints")}
    named = [each for each in named if str(each["id"]) in used] or named
    having = named or [categories.get(each, {"id": each}) for each in sorted(used)]
    chosen = [each for each in having if wanted in ("", str(each["id"]), each.get("name"))]
    if not chosen and taken_for_any([str(each.get("name") or "") for each in having]):
        return having[0]
    if len(chosen) == 1:
        return chosen[0]
    some = ", ".join(str(each.get("name", each["id"])) for each in having)
    if not having:
        raise ValueError(f"{file} has no key points; config.data.name=boxes trains on boxes alone")
    if wanted:
        raise ValueError(f"{file} has no key points of the category {wanted!r}; it has those of {some}")
    raise ValueError(
        f"{file} has key points of {len(having)} categories ({some}); name one: --category, or config.data.category of "
        "a training"
    )


def _names(category, file):
    """Names of the landmarks of a category; none where it gives none."""
    names = category.get("keypoints") or []
    usable = isinstance(names, list) and all(isinstance(name, (str, int)) for name in names)
    if not usable or len({str(name) for name in names}) < len(names):
        raise ValueError(f"{file}: keypoints of a category must be names, no two alike; found {names}")
    return tuple(str(name) for name in names)


def _skeleton(category, count):
    """Pairs of landmarks that a line joins, from 0; COCO counts them from 1."""
    pairs = category.get("skeleton")
    pairs = [pair for pair in pairs if isinstance(pair, list) and len(pair) == 2] if isinstance(pairs, list) else []
    return tuple((a - 1, b - 1) for a, b in pairs if all(type(k) is int and 0 < k <= count for k in (a, b)))


def _entries(parts, category, file):
    """The annotations that have key points, and these: float64 [N, K, 3], x, y and v."""
    images = coco_parts.images_by_id(parts["images"], file)
    count = len(category.get("keypoints") or ())
    entries, points = [], []
    for index, annotation in enumerate(parts["annotations"]):
        if str(annotation["category_id"]) != str(category["id"]) or not annotation.get("keypoints"):
            continue
        where = f"{file}: annotations[{index}]"
        count = count or _count(annotation, where)
        values = _key_points(annotation, count, where)
        if str(annotation["image_id"]) not in images:
            raise ValueError(f"{where}: there is no image whose id is {annotation['image_id']}")
        if (values[:, 2] > 0).any():
            entries.append(Entry(where, annotation, images[str(annotation["image_id"])]))
            points.append(values)
    if not entries:
        raise ValueError(f"{file} has no annotation with keypoints")
    return entries, np.stack(points)


def _count(annotation, where):
    """How many landmarks there are, where only an annotation says it."""
    points = annotation["keypoints"]
    if not isinstance(points, list) or len(points) % 3:
        raise ValueError(f"{where}: keypoints must be x, y and v of each landmark")
    return len(points) // 3


def _key_points(annotation, count, where):
    """x, y and v of each landmark, float64 [K, 3]; 0 where it is not annotated."""
    values = coco_parts.numbers(annotation, "keypoints", 3 * count, where, finite=False).reshape([-1, 3])
    coco_parts.check_marks(values[:, 2], where)
    known = values[:, 2] > 0
    for k in np.flatnonzero(known & ~np.isfinite(values).all(axis=1)):
        raise ValueError(f"{where}: keypoints must be numbers where v is above 0; landmark {k} is {values[k].tolist()}")
    return np.where(known[:, np.newaxis], values, 0)


def _hidden(entries, points, names):
    """Which landmarks something hides, bool [N, K]."""
    hidden = points[..., 2] == 1
    for row, entry in enumerate(entries):
        unplaced = entry.annotation.get("hidden_without_place")
        for name in unplaced if isinstance(unplaced, list) else ():
            if name in names:
                hidden[row, names.index(name)] |= points[row, names.index(name), 2] == 0
    return hidden


def _have_boxes(entries):
    """Whether every annotation has a bbox with an area; says of how many that is not so, if others have one."""
    without = [each.where for each in entries if not each.annotation.get("bbox")]  # some programs write null or []
    if not without:
        sides = [coco_parts.numbers(each.annotation, "bbox", 4, each.where)[2:] for each in entries]
        without = [each.where for each, (width, height) in zip(entries, sides) if width <= 0 or height <= 0]
    if 0 < len(without) < len(entries):
        progress.note(
            f"{len(without)} of {len(entries)} annotations have no bbox with an area, such as {without[0]}: none is "
            "used, and errors are not divided by their sizes"
        )
    return not without


def _sizes(pictures):
    """What errors are divided by where there are no eyes, and its name."""
    if (of_boxes := normalisers.box_sizes(pictures)) is not None:
        return of_boxes
    if (pictures.claimed > 0).all():
        return pictures.claimed[:, 1], normalisers.WIDTH
    return normalisers.picture_widths(pictures.paths), normalisers.WIDTH
