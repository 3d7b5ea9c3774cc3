"""PASCAL3D+ (Xiang et al., WACV 2014): key points of objects of twelve classes in photographs of PASCAL VOC 2012."""

import collections
import os

import numpy as np

from dense_labels.config import DataConfig
from dense_labels.registry import READERS
from input_pipeline.readers import landmark_files
from input_pipeline.readers.pictures import STILL_KEYS, Pictures

CLASSES = (
    *("aeroplane", "bicycle", "boat", "bottle", "bus", "car"),
    *("chair", "diningtable", "motorbike", "sofa", "train", "tvmonitor"),
)
_LISTS = os.path.join("PASCAL", "VOCdevkit", "VOC2012", "ImageSets", "Main")
_SPLITS = {"train": "train.txt", "val": "val.txt"}
_VISIBLE = 1  # a status; 2: hidden by the object itself, 3: by another, 4: outside the picture, 5: not known

_Object = collections.namedtuple("_Object", "where picture kind box points")


@READERS.register("pascal3d", "PASCAL3D+: objects of twelve classes with key points", keys=STILL_KEYS, boxed=True)
def read(data: DataConfig) -> dict[str, Pictures]:
    """Reads the objects of the VOC part of the data set, each a picture of its own, cut out by its box.

    "train" and "annotated" are both the objects of VOC's "train" list, "test" is those of "val", as in section 4.3 of
    the CVPR 2018 paper. Each class has landmarks of its own, named CLASS/ANCHOR; of an object those of its class are
    annotated that are visible (status 1): not those that its own body, another one or the picture's border hides,
    whether or not the file gives them a place. Objects without a visible one are left out. Errors are divided by the
    longer side of the box.

    Convention: all is in MATLAB's pixels, counted from 1 at the centre of the first, so half a pixel is taken off the
    points; a box is given by the first and the last pixel in it, so one is taken off its left and top alone.

    Args:
      data: `dir` is the folder of the release. It holds Annotations/CLASS_pascal/NAME.mat, whose `record` has
        `filename` and `objects`, each with `class`, `bbox` and `anchors`; Images/CLASS_pascal/FILENAME; and
        PASCAL/VOCdevkit/VOC2012/ImageSets/Main with train.txt and val.txt. Classes that have no annotations are not
        read.

    Returns:
      Dictionary split -> `Pictures` with `classes`, which count those that are read in order of the alphabet.

    Raises:
      ValueError: naming the file that is missing or damaged, and what of it.
    """
    dir = os.path.expanduser(data.dir)
    kinds = [kind for kind in CLASSES if os.path.isdir(_annotations(dir, kind))]
    if not kinds:
        raise ValueError(f"{dir} holds no folder Annotations/CLASS_pascal; give that of the PASCAL3D+ release")
    objects = {split: _objects(dir, kinds, split) for split in _SPLITS}
    names = sorted({(each.kind, name) for found in objects.values() for each in found for name in each.points})
    train, test = (_pictures(objects[split], kinds, names) for split in _SPLITS)
    return {"train": train, "annotated": train, "test": test}


def _annotations(dir, kind):
    return os.path.join(dir, "Annotations", f"{kind}_pascal")


def _objects(dir, kinds, split):
    """The objects of a split that have a visible landmark, class by class."""
    path = os.path.join(dir, _LISTS, _SPLITS[split])
    names = [line.split()[0] for line in landmark_files.read_text(path).splitlines() if line.strip()]
    found = []
    for kind in kinds:
        known = set(os.listdir(_annotations(dir, kind)))
        for name in names:
            if f"{name}.mat" in known:
                found += _of_picture(dir, kind, os.path.join(_annotations(dir, kind), f"{name}.mat"))
    found = [each for each in found if any(point is not None for point in each.points.values())]
    if not found:
        raise ValueError(f"{path}: none of its pictures has an object with a visible landmark in {dir}/Annotations")
    return found


def _of_picture(dir, kind, path):
    record = landmark_files.read_matlab(path, "record", structs=True)
    if not isinstance(record, dict) or not {"filename", "objects"} <= set(record):
        raise ValueError(f"{path}: record must be a struct with filename and objects")
    picture = os.path.join(dir, "Images", f"{kind}_pascal", str(record["filename"]))
    if not os.path.isfile(picture):
        raise ValueError(f"{path}: there is no picture {picture}")
    objects = record["objects"] if isinstance(record["objects"], list) else [record["objects"]]
    found = []
    for number, each in enumerate(objects, 1):
        where = f"{path}: objects({number})"
        if not isinstance(each, dict) or "class" not in each:
            raise ValueError(f"{where}: a struct with class, bbox and anchors is expected")
        if each["class"] == kind and isinstance(each.get("anchors"), dict):  # it is empty where nobody annotated any
            found.append(_Object(where, picture, kind, _box(where, each), _points(where, each["anchors"])))
    return found


def _box(where, each):
    box = _numbers(each.get("bbox"))
    if box.shape != (4,) or not np.isfinite(box).all() or not (box[:2] <= box[2:]).all():
        raise ValueError(f"{where}: bbox must be left, top, right and bottom; found {box.tolist()}")
    return box - [1, 1, 0, 0]


def _points(where, anchors):
    """Name -> place, None where it is not visible."""
    points = {}
    for name, anchor in anchors.items():
        if not isinstance(anchor, dict) or not {"location", "status"} <= set(anchor):
            raise ValueError(f"{where}: anchors.{name} must be a struct with location and status")
        points[name] = None
        if np.array_equal(_numbers(anchor["status"]), [_VISIBLE]):
            points[name] = _numbers(anchor["location"]) - 0.5
            if points[name].shape != (2,) or not np.isfinite(points[name]).all():
                raise ValueError(f"{where}: anchors.{name}.location must be x and y where status is {_VISIBLE}")
    return points


def _numbers(values):
    """float64 [n] of what may be numbers; of no size where it is something else."""
    try:
        return np.asarray(values, np.float64).ravel()
    except (TypeError, ValueError):
        return np.empty(0)


def _pictures(objects, kinds, names):
    column = {name: k for k, name in enumerate(names)}
    landmarks = np.zeros([len(objects), len(names), 2], np.float32)
    annotated = np.zeros([len(objects), len(names)], np.float32)
    for row, each in enumerate(objects):
        for name, point in each.points.items():
            if point is not None:
                landmarks[row, column[each.kind, name]] = point
                annotated[row, column[each.kind, name]] = 1
    boxes = np.array([each.box for each in objects], np.float32)
    return Pictures(
        paths=tuple(each.picture for each in objects),
        boxes=boxes,
        landmarks=landmarks,
        annotated=annotated,
        normalisers=np.max(boxes[:, 2:] - boxes[:, :2], axis=1),
        normaliser="longer side of the box",
        landmark_names=tuple("/".join(name) for name in names),
        classes=np.array([kinds.index(each.kind) for each in objects], np.int64),
    )
