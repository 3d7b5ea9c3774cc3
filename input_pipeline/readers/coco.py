"""Landmarks from COCO JSON, and boxes about their objects."""

import os

import numpy as np

from dense_labels import progress
from dense_labels.config import DataConfig
from dense_labels.registry import READERS
from input_pipeline.readers import coco_parts, landmark_files
from input_pipeline.readers.coco_parts import Entry
from input_pipeline.readers.pictures import Pictures


@READERS.register(
    "coco",
    "pictures with key points in a COCO file",
    keys=(*landmark_files.KEYS, "data.whole_pictures", "data.boxes"),
    check=landmark_files.check,
    annotations=".json",
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
    if data.boxes and data.whole_pictures:
        raise ValueError(
            f"config.data.boxes={data.boxes} shows boxes about the objects, and config.data.whole_pictures=True whole "
            "pictures; leave one of them out"
        )
    if data.boxes and not os.path.isfile(os.path.expanduser(data.boxes)):
        raise ValueError(f"config.data.boxes={data.boxes}: there is no such file; give one that is there, or none")
    boxed = bool(data.boxes)
    splits = landmark_files.read_splits(data, lambda annotations: read_file(data.dir, annotations, boxed=boxed))
    if len({_are_centres(pictures) for pictures in splits.values()}) > 1:
        whole, others = ("annotations", "annotations_test")[:: 1 if _are_centres(splits["annotated"]) else -1]
        progress.warn(
            f"the key points of config.data.{whole} are whole numbers, which count pixels at their centres, so half a "
            f"pixel is added; those of config.data.{others} are not, so none is: if one program wrote both files, they "
            "differ by half a pixel, and should be written alike"
        )
    return splits


def _are_centres(pictures):
    """Whether all landmarks lie at centres of pixels, as whole numbers in the file do."""
    return bool((pictures.landmarks[pictures.annotated > 0] % 1 == 0.5).all())


def read_file(dir: str | os.PathLike, annotations: str | os.PathLike, *, boxed: bool = False) -> Pictures:
    """Reads the annotations that have key points, and leaves out pictures and annotations without any.

    Convention: COCO's own key points are whole numbers that count pixels from 0 at their centres, so where all of a
    file are whole, half a pixel is added; fractional ones are continuous pixels already. A landmark is annotated where
    v is 1 or 2.

    The boxes are None, the whole pictures, where no picture has two annotations with key points, unless they are asked
    for. Else they are squares about each annotation's bbox, see `landmark_files.square_around`.

    Errors are divided by the eye distance where there are landmarks left_eye and right_eye, see
    `landmark_files.add_normalisers`; else by the box size, sqrt(w h) of the bbox, where all annotations have one; else
    by the picture width.

    Args:
      dir: folder that `file_name` starts from.
      annotations: path of the JSON file.
      boxed: whether boxes are asked for.

    Returns:
      `Pictures`, one for each annotation, in the order of the file.

    Raises:
      ValueError: naming the file and its entry that is missing or wrong, or the picture that is not there.
    """
    parts = coco_parts.checked(coco_parts.parse(annotations), annotations, coco_parts.NEEDED)
    category = _category(parts["categories"], annotations)
    names = tuple(category["keypoints"])
    entries, points = _entries(parts, category, annotations)
    annotated = points[..., 2] > 0
    half = 0.0 if (points[annotated][:, :2] % 1).any() else 0.5
    boxed |= len({entry.annotation["image_id"] for entry in entries}) < len(entries)
    pictures = Pictures(
        tuple(coco_parts.picture_of(dir, entry) for entry in entries),
        boxes=landmark_files.square_around(coco_parts.boxes_of(entries)) if boxed else None,
        landmarks=np.where(annotated[..., np.newaxis], points[..., :2] + half, 0).astype(np.float32),
        annotated=annotated.astype(np.float32),
        landmark_names=names,
    )
    return landmark_files.add_normalisers(
        pictures, landmark_files.eyes(names), "eye distance", otherwise=lambda: _sizes(entries, annotations)
    )


def _category(categories, file):
    """The one category that has key points."""
    with_points = [each for each in categories if isinstance(each.get("keypoints"), list) and each["keypoints"]]
    if len(with_points) != 1:
        raise ValueError(
            f"{file}: one category with keypoints is expected; {len(with_points)} of its categories have any"
            + ("; config.data.name=boxes trains on boxes alone" if not with_points else "")
        )
    names = with_points[0]["keypoints"]
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise ValueError(f"{file}: keypoints of a category must be names, no two alike; found {names}")
    return with_points[0]


def _entries(parts, category, file):
    """The annotations that have key points, and these: float64 [N, K, 3], x, y and v."""
    images = coco_parts.images_by_id(parts["images"], file)
    entries, points = [], []
    for index, annotation in enumerate(parts["annotations"]):
        if annotation["category_id"] != category["id"] or not annotation.get("keypoints"):
            continue
        where = f"{file}: annotations[{index}]"
        values = coco_parts.numbers(annotation, "keypoints", 3 * len(category["keypoints"]), where).reshape([-1, 3])
        if annotation["image_id"] not in images:
            raise ValueError(f"{where}: there is no image whose id is {annotation['image_id']}")
        if (values[:, 2] > 0).any():
            entries.append(Entry(where, annotation, images[annotation["image_id"]]))
            points.append(values)
    if not entries:
        raise ValueError(f"{file} has no annotation with keypoints")
    return entries, np.stack(points)


def _sizes(entries, file):
    """What errors are divided by where there are no eyes, and its name."""
    if all("bbox" in entry.annotation for entry in entries):
        boxes = coco_parts.boxes_of(entries)
        return np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)), "box size"
    widths = [entry.image.get("width") for entry in entries]
    for entry, width in zip(entries, widths):
        if not isinstance(width, (int, float)) or width <= 0:
            raise ValueError(f"{file}: the image whose id is {entry.image['id']} has no usable width")
    return widths, "picture width"
