"""Landmarks in CVAT's XML 1.1, of images and of videos: points and skeletons, told apart by their labels.

Convention: continuous pixels, (0, 0) the outer top-left corner of the picture, as CVAT's "XML annotation
format" has it for boxes and points alike.

The elements of a skeleton stand in any order, and are told apart by their label. `outside` is not annotated; `occluded`
is annotated and hidden. A shape `points` must be a single point: several in one shape have no names. Of the tracks of a
video key frames are read, which a person set; what CVAT filled in between is passed over, of a skeleton element by
element.
"""

import os
import re
from typing import NamedTuple
from xml.etree import ElementTree

from dense_labels import progress
from dense_labels.config import DataConfig
from dense_labels.registry import READERS
from input_pipeline.readers import annotated, landmark_files
from input_pipeline.readers.annotated import Found, Object
from input_pipeline.readers.formats import frames
from input_pipeline.readers.pictures import Pictures

_FRAME = re.compile(r"frame_(\d{6,12})", re.ASCII)
_LEAVE = "annotate a picture once, or give the file and the pictures of one task alone"


@READERS.register(
    "cvat",
    "pictures with points or skeletons in CVAT's XML 1.1",
    keys=annotated.KEYS,
    check=landmark_files.check,
    annotations=".xml",
    lists_landmarks=False,
)
def read(data: DataConfig) -> dict[str, Pictures]:
    """Reads the files of a configuration; see `read_file`."""
    return annotated.read_splits(data, read_file)


def read_file(
    dir: str | os.PathLike, annotations: str | os.PathLike, *, boxed: bool = False, category: str = ""
) -> Pictures:
    """Reads the skeletons and single points of each image, or of each key frame of tracks.

    Each skeleton is an object of the kind that its label names. Single points are one object, or one for each group
    (`group_id`). Frames of a video are found by their numbers, see `frames.Frames`. Tracks of a task of pictures, which
    counts these in its own order, are refused.

    Args:
      dir: folder that names of pictures start from.
      annotations: path of the XML file.
      boxed: whether boxes about the landmarks are asked for.
      category: label of the skeletons, where there are several.

    Returns:
      `Pictures`, one for each object, in the order of the file.

    Raises:
      ValueError: naming the file and its image or track that is wrong, or the picture that is not there.
    """
    root = _parse(annotations)
    tasks = _tasks(root)
    objects = _of_images(root, annotations, dir, tasks) + _tracked(root, annotations, dir, tasks)
    labels = _labels(root, objects)
    return annotated.pictures(annotations, Found(objects, labels), boxed=boxed, category=category)


class _Refused(ElementTree.TreeBuilder):
    """Builds a tree of a file without a document type, whose entities could fill the memory."""

    def doctype(self, name, pubid, system):
        raise ValueError("a document type (DOCTYPE) is not read")


def _parse(file):
    text = landmark_files.read_text(file)
    try:
        parser = ElementTree.XMLParser(target=_Refused())
        parser.feed(text)
        root = parser.close()
    except (ElementTree.ParseError, ValueError) as error:
        raise ValueError(f"{file} is not XML that can be read: {error}") from error
    if root.tag != "annotations":
        raise ValueError(progress.printable(f"{file}: annotations are expected, as CVAT writes them; found {root.tag}"))
    return root


def _of_images(root, file, dir, tasks):
    """The objects in images: pictures by their names, frames of a video, which CVAT calls frame_NUMBER, by these."""
    found, names, numbered = [], {}, {}
    for index, image in enumerate(root.findall("image")):
        where, name = f"{file}: image {index}", image.get("name") or ""
        claimed = _claimed(image.get("height"), image.get("width"))
        objects = _objects_of([*image.findall("skeleton"), *image.findall("points")], where)
        found += [each._replace(claimed=claimed) for each in objects]
        if objects and (frame := _FRAME.fullmatch(name)):
            numbered[where] = int(frame[1]), tasks.get(image.get("task_id"), tasks.get("")) or _Task()
        elif objects:
            names[where] = name
    paths = dict(zip(names, landmark_files.find_pictures(dir, list(names.values()), list(names))))
    if any(task.of_video for _, task in numbered.values()):
        progress.warn(
            f'{file}: "CVAT for images" does not say which frames of a video a person annotated; if they are of '
            'tracks, what CVAT filled in counts as annotated here: export it as "CVAT for video" then'
        )
    if numbered:
        known = _frames(dir, tasks)
        paths |= {where: known.find(number, task.video, where) for where, (number, task) in numbered.items()}
    landmark_files.check_found(list(paths), list(paths.values()), _LEAVE)
    return [each._replace(path=paths[each.where]) for each in found]


def _labels(root, objects):
    """Kind of object -> its landmarks: in the order that the meta data give, which only files without them lack."""
    labels: dict[str, list[str]] = {}
    for label in root.iterfind("meta//label"):
        kind = label.findtext("parent") or ""
        if label.findtext("type") != "skeleton" and label.findtext("name"):
            labels.setdefault(kind, []).append(label.findtext("name"))
    used: dict[str, set[str]] = {}
    for each in objects:
        used.setdefault(each.kind, set()).update(each.points)
    ordered = {}
    for kind, names in used.items():
        given = [name for name in dict.fromkeys(labels.get(kind, ())) if kind or name in names]
        ordered[kind] = given + [name for name in annotated.in_order(names) if name not in given]
    return ordered


def _objects_of(shapes, where):
    """The objects of shapes of one image, without their path: skeletons, and single points by their group."""
    objects, loose = [], {}
    for shape in shapes:
        if shape.tag == "skeleton":
            points = shape.findall("points")
            objects.append(_object(points, where)._replace(kind=shape.get("label") or "skeleton"))
        else:
            loose.setdefault(shape.get("group_id") or "", []).append(shape)
    if len(loose) > 1 and "" in loose:
        raise ValueError(f"{where}: some points are in a group and some in none; group those of each object")
    objects += [_object(points, where) for points in loose.values()]
    return [each for each in objects if each.points]


def _object(elements, where):
    """The points that lie in the picture and that a person set, by their labels."""
    points, hidden = {}, set()
    for element in elements:
        name, text = element.get("label"), element.get("points") or ""
        if not name:
            raise ValueError(f"{where}: a point has no label")
        if element.get("outside") == "1" or element.get("keyframe") == "0":
            continue
        pairs = text.split(";")
        if len(pairs) != 1:
            raise ValueError(
                progress.printable(
                    f"{where}: {name} is a shape of {len(pairs)} points, which have no names of their own;"
                )
                + " use a skeleton, or a label for each landmark"
            )
        values = pairs[0].split(",")
        if len(values) != 2 or name in points:
            what = "has several points" if name in points else "is no point x,y"
            raise ValueError(progress.printable(f"{where}: {name} {what}; group the points of each object"))
        points[name] = tuple(annotated.number(value, f"{where}: {name}") for value in values)
        if element.get("occluded") == "1":
            hidden.add(name)
    return Object(where, "", points, frozenset(hidden))


class _Task(NamedTuple):
    """What the meta data say of a task, which is alone or in a project."""

    id: str = ""
    video: str = ""  # name of it; "" where there is none
    of_pictures: bool = False  # whether its frames are pictures in their order
    of_video: bool = False
    claimed: tuple[int, int] = (0, 0)  # (height, width)
    length: int = 0  # in frames; 0: not known


def _tasks(root):
    """Id -> task; the only one also as "", for its tracks do not say of which task they are."""
    tasks = {}
    video, size = root.findtext("meta/source") or "", root.find("meta/original_size")
    for element in [*root.iterfind("meta//task"), *root.iterfind("meta/job")]:
        own = element.find("original_size")
        tasks[element.findtext("id") or ""] = _Task(
            element.findtext("id") or "",
            element.findtext("source") or video,
            element.findtext("mode") == "annotation",
            element.findtext("mode") == "interpolation",
            _size(size if own is None else own),
            _length(element),
        )
    return tasks if len(tasks) > 1 else tasks | {"": next(iter(tasks.values()), _Task("", video, claimed=_size(size)))}


def _frames(dir, tasks):
    return frames.Frames(dir, {each.video: each.length for each in tasks.values()})


def _tracked(root, file, dir, tasks):
    """The objects in key frames of tracks."""
    objects, places, known = [], [], None
    for (where, number, task), shapes in _key_frames(root, file, tasks).items():
        found = _objects_of(shapes, where)
        if found and task.of_pictures:
            raise ValueError(
                f"{where}: is of a task of pictures (mode annotation), whose tracks count pictures and do not name "
                'them; export it from CVAT as "CVAT for images", where what CVAT filled in counts as annotated'
            )
        if found:
            known = known or _frames(dir, tasks)
            path = known.find(number, task.video, where)
            places += [f"{file}: frame {number} of task {task.id}"] * len(found)
            objects += [each._replace(path=path, claimed=task.claimed) for each in found]
    landmark_files.check_found(places, [each.path for each in objects], _LEAVE)
    return objects


def _key_frames(root, file, tasks):
    """The shapes of each key frame: a skeleton alone, single points of one frame together."""
    grouped: dict[tuple[str, int, _Task], list[ElementTree.Element]] = {}
    for index, track in enumerate(root.findall("track")):
        where, task = f"{file}: track {index}", tasks.get(track.get("task_id"), tasks.get(""))
        if task is None:
            raise ValueError(f"{where}: must have the task_id of a task in meta: {', '.join(tasks)}")
        for shape in [*track.findall("skeleton"), *track.findall("points")]:
            for element in shape.findall("points"):  # each has key frames of its own
                element.set("keyframe", element.get("keyframe") or shape.get("keyframe") or "1")
            filled_in = shape.tag == "points" and shape.get("keyframe") == "0"
            if not filled_in and shape.get("outside") != "1":
                shape.set("label", track.get("label") or "")
                number = int(annotated.number(shape.get("frame"), f"{where}: frame"))
                group = where if shape.tag == "skeleton" else f"{file}: frame {number}"
                shape.set("group_id", track.get("group_id") or "")
                grouped.setdefault((group, number, task), []).append(shape)
    return grouped


def _size(element):
    """(height, width) of an element original_size."""
    return (0, 0) if element is None else _claimed(element.findtext("height"), element.findtext("width"))


def _length(task):
    """How many frames the video of a task has; 0 of a part of one."""
    size, first = task.findtext("size") or "", task.findtext("start_frame") or "0"
    whole = first == "0" and not task.findtext("frame_filter") and task.tag == "task"
    return int(size) if whole and size.isascii() and size.isdigit() and len(size) < 10 else 0


def _claimed(height, width):
    sides = [
        int(side) if side and side.isascii() and side.isdigit() and len(side) < 10 else 0 for side in (height, width)
    ]
    return sides[0], sides[1]
