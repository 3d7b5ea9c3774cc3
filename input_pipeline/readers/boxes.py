"""Boxes about objects, whoever drew them: a COCO file, or the list of a detector's results."""

import math
import os

from dense_labels import progress
from dense_labels.config import Config, DataConfig
from dense_labels.registry import READERS
from input_pipeline.readers import coco_parts, landmark_files
from input_pipeline.readers.coco_parts import Entry
from input_pipeline.readers.pictures import STILL_KEYS, Pictures, taken_for_any


def check(config: Config) -> None:
    """Refuses a configuration without boxes.

    Raises:
      ValueError: if `data.boxes` is empty.
    """
    if not config.data.boxes:
        raise ValueError("config.data.name='boxes' needs config.data.boxes, a COCO file or a detector's results")


@READERS.register(
    "boxes",
    "boxes about objects in a COCO file or a list of a detector's results, each a training picture; no landmarks",
    keys=(*STILL_KEYS, "data.boxes", "data.images", "data.category", "data.min_score"),
    check=check,
    unannotated=True,
    boxed=True,
)
def read(data: DataConfig) -> dict[str, Pictures]:
    """Reads the boxes of a configuration; see `read_file`."""
    return {
        "train": read_file(data.dir, data.boxes, images=data.images, category=data.category, min_score=data.min_score)
    }


def read_file(
    dir: str | os.PathLike,
    file: str | os.PathLike,
    *,
    images: str | os.PathLike = "",
    category: str = "",
    min_score: float = 0.0,
) -> Pictures:
    """Reads boxes about objects: each is a picture of its own.

    A file holds COCO's parts, or, as detectors write their results, a list of `{image_id, category_id, bbox, score}`.
    Crowds (`iscrowd`) are left out: their boxes are about no single object.

    Args:
      dir: folder that `file_name` starts from.
      file: path of the JSON file.
      images: path of a JSON file with COCO's images, which a list of results needs; a file that has its own is not
        given any.
      category: name or id of the objects; "" where all boxes are of one.
      min_score: boxes whose score is lower are left out; those without a score are not.

    Returns:
      `Pictures` without landmarks, in the order of the file; the boxes are squares about each bbox, see
      `landmark_files.square_around`.

    Raises:
      ValueError: naming the file and its entry that is missing or wrong, or the picture that is not there; or if there
        is no box to use, those that there are need a category, `images` goes with a file that has its own, or
        `min_score` is not finite.
    """
    parts, where = _with_boxes(file, images)
    if not math.isfinite(min_score):
        raise ValueError(f"min_score={min_score}: must be a finite number")
    if min_score and parts["annotations"] and not any("score" in box for box in parts["annotations"]):
        progress.warn(f"{file} has no scores: min_score={min_score} leaves out none of its boxes")
    known = coco_parts.images_by_id(parts["images"], images or file)
    entries = []
    for index, box in enumerate(parts["annotations"]):
        place = where.format(index)
        if box.get("iscrowd") or "bbox" not in box or _score(box, place) < min_score:
            continue
        if str(box["image_id"]) not in known:
            raise ValueError(f"{place}: there is no image whose id is {box['image_id']}")
        entries.append(Entry(place, box, known[str(box["image_id"])]))
    if not entries:
        least = f" and a score of at least {min_score}" if min_score else ""
        raise ValueError(f"{file} has no annotation with a bbox{least}")
    entries = _of_category(entries, parts.get("categories", []), category, file)
    objects = coco_parts.boxes_of(entries)
    return Pictures(
        coco_parts.pictures_of(dir, entries),
        boxes=landmark_files.square_around(objects),
        claimed=coco_parts.claimed_sizes(entries),
        objects=objects.astype("float32"),
    )


def _with_boxes(file, images):
    """Images and annotations of a COCO file or of a list of results, and how messages name one of these."""
    content = coco_parts.parse(file)
    if not isinstance(content, list):
        if images:
            raise ValueError(
                f"{file} is no list of results and has images of its own; leave out --images, or config.data.images of "
                "a training"
            )
        return coco_parts.checked(content, file, ("images", "annotations")), f"{file}: annotations[{{}}]"
    if not images:
        raise ValueError(
            f"{file} is a list of results; give a COCO file of their pictures: --images, or config.data.images of a "
            "training"
        )
    coco_parts.check_entries(content, coco_parts.NEEDED["annotations"], f"{file}: entry {{}}")
    parts = coco_parts.checked(coco_parts.parse(images), images, ("images",))
    return {**parts, "annotations": content}, f"{file}: entry {{}}"


def _score(box, where):
    score = box.get("score", math.inf)
    if not isinstance(score, (int, float)) or math.isnan(score):
        raise ValueError(f"{where}: score must be a number")
    return score


def _of_category(entries, categories, wanted, file):
    """The entries of one category, by its name or id; refuses those of several where none is named."""
    listed = categories if isinstance(categories, list) else []
    names = {str(each.get("id")): each.get("name") for each in listed if isinstance(each, dict)}
    ids = [str(entry.annotation["category_id"]) for entry in entries]
    of = [str(names.get(each, each)) for each in ids]
    some = progress.some(sorted(set(of)))
    if not wanted and len(set(of)) > 1:
        raise ValueError(
            f"{file} has boxes of {len(set(of))} categories ({some}); name one: --category, or config.data.category of "
            "a training"
        )
    wanted = "" if taken_for_any(set(of)) else wanted
    chosen = [entry for name, each, entry in zip(of, ids, entries) if wanted in ("", name, each)]
    if not chosen:
        raise ValueError(f"{file} has no box of the category {wanted!r}; it has those of {some}")
    return chosen
