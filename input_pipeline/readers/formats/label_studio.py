"""Landmarks in the JSON export of Label Studio: one of `KeyPointLabels` each, told apart by its label.

Convention: x and y are percent of the width and height of the picture, from its outer top-left corner; the file says
both sides, `original_width` and `original_height`. So the documentation of the tag KeyPointLabels has it
(labelstud.io/tags/keypointlabels). A picture that was turned in the tool
(`image_rotation`) is refused: the documentation does not say which sides its percent are of.

Of a task the newest annotation that was not cancelled is read; the short export JSON-MIN, which is read too, has an
entry for each. Two tasks of one picture are refused, and so is a task whose key points lie on two pictures. Where no
task of a file has an annotation, the last predictions are read, and that is said: so the file that predictions are
written to comes back. Where some tasks have one, the predictions of the others are passed over, and counted.
Label Studio says nothing of objects: several key points of one label in a picture are refused, unless each lies in a
rectangle of its own (`parentID`), which makes them objects in boxes. JSON-MIN leaves out in which rectangle a key point
lies, so it is refused where a task has several; it does not say that a picture was turned, either.
"""

import functools
import os
import re
from typing import Any
from urllib import parse

from dense_labels import progress
from dense_labels.config import DataConfig
from dense_labels.registry import READERS
from input_pipeline.readers import annotated, coco_parts, landmark_files
from input_pipeline.readers.annotated import Found, Object
from input_pipeline.readers.pictures import Pictures
from input_pipeline.storage import listing

_LABELS, _BOXES = "keypointlabels", "rectanglelabels"
_MARKED = ("annotations", "completions")  # keys of a task; the second of old versions
_UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")  # what Label Studio calls a file that it was given


def holds(path: str) -> bool:
    """Says whether a JSON file is a list of tasks, in the long or the short form."""
    try:
        content = coco_parts.parse(path)
    except (ValueError, RecursionError):
        return False
    tasks = [task for task in content if isinstance(task, dict)] if isinstance(content, list) else []
    return any(isinstance(task.get("data"), dict) or _short_values(task) for task in tasks)


@READERS.register(
    "label_studio",
    "pictures with key points in a JSON export of Label Studio",
    keys=annotated.KEYS,
    check=landmark_files.check,
    annotations=".json",
    holds=holds,
    lists_landmarks=False,
    orders_landmarks=False,
)
def read(data: DataConfig) -> dict[str, Pictures]:
    """Reads the files of a configuration; see `read_file`."""
    return annotated.read_splits(data, read_file)


def read_file(
    dir: str | os.PathLike, annotations: str | os.PathLike, *, boxed: bool = False, category: str = ""
) -> Pictures:
    """Reads the key points of each task; their names are sorted, for the file has no order of its own.

    Uploaded pictures, `upload/3/1a2b3c4d-NAME`, are found as NAME too, or as a name of which Label Studio makes NAME:
    with other characters than letters, digits, `-`, `_` and `.`, and with spaces for `_`.

    Args:
      dir: folder that names of pictures start from.
      annotations: path of the JSON file.
      boxed: whether boxes about the landmarks are asked for.
      category: label of the rectangles, where key points lie in rectangles of several.

    Returns:
      `Pictures`, one for each task that has key points, or for each rectangle that has.

    Raises:
      ValueError: naming the file and its task that is wrong, or the picture that is not there.
    """
    tasks = coco_parts.parse(annotations)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise ValueError(f"{annotations}: an export of Label Studio is a list of tasks with data and annotations")
    found, names, keys = [], {}, _keys(tasks, annotations)
    for index, task in _last_of_each(tasks):
        where = f"{annotations}: task {index}"
        results = _results(task, keys, where)
        if any(_LABELS in result["value"] for result in results):
            names[where] = _plain(_picture(task, results, where))
            found += _objects(results, where)
    paths = landmark_files.find_pictures(dir, _stored(names, dir), list(names))
    landmark_files.check_found(list(names), paths, "leave one of these tasks, or give pictures different names")
    by_task = dict(zip(names, paths))
    objects = [each._replace(path=by_task[each.where]) for each in found]
    landmarks: dict[str, set[str]] = {}
    for each in objects:
        landmarks.setdefault(each.kind, set()).update(each.points)
    content = Found(objects, {kind: annotated.in_order(each) for kind, each in landmarks.items()})
    return annotated.pictures(annotations, content, boxed=boxed, category=category)


def _keys(tasks, file) -> tuple[str, ...]:
    """What is read of tasks: annotations or, where none has any, predictions; says which predictions are not read."""
    unmarked = [task for task in tasks if not any(task.get(key) for key in _MARKED)]
    predicted = sum(bool(task.get("predictions")) for task in unmarked)
    if predicted and len(unmarked) == len(tasks):
        progress.note(f"{file}: no task has annotations, so the predictions are read")
        return ("predictions",)
    if predicted:
        progress.note(
            f"{file}: annotations alone are read; {predicted} tasks that have none, but predictions, are passed over"
        )
    return _MARKED


def _last_of_each(tasks):
    """Index and task; of the entries that JSON-MIN has for the annotations of one task, that of the last."""
    last: dict[object, int] = {}
    for index, task in enumerate(tasks):
        known = "data" not in task and task.get("id") is not None
        key = f"{task['id']} {task.get('image', task.get('img'))}" if known else index
        if _made(task) >= _made(tasks[last.get(key, index)]):
            last[key] = index
    return [(index, tasks[index]) for index in last.values()]


def _made(task):
    """When an annotation was made, or an entry of JSON-MIN, where it says it: neither export has them in order."""
    number = task.get("annotation_id", task.get("id"))
    return str(task.get("created_at") or ""), number if isinstance(number, int) else 0


def _short_values(task, kind=_LABELS):
    """What a task of JSON-MIN has of a kind: it has a list for each tag, such as KeyPointLabels."""
    lists = (value for value in task.values() if isinstance(value, list))
    return [each for value in lists for each in value if isinstance(each, dict) and kind in each]


def _results(task, keys, where) -> list[dict[str, Any]]:
    """What was drawn in a task, of its last annotation that counts, each with a dictionary `value`."""
    if "data" not in task:
        points = _short_values(task)
        if points and (count := len(_short_values(task, _BOXES))) > 1:
            raise ValueError(
                f"{where}: JSON-MIN does not say in which of its {count} rectangles a key point lies; export it as JSON"
            )
        return [{**each, "value": each} for each in points]
    marks = next((task[key] for key in keys if task.get(key)), [])
    if not isinstance(marks, list) or not all(isinstance(each, dict) for each in marks):
        raise ValueError(f"{where}: annotations must be a list")
    counted = [each for each in marks if not each.get("was_cancelled") and not each.get("skipped")]
    results = max(reversed(counted), key=_made).get("result") if counted else []  # of those of one time the last
    if not isinstance(results, list) or not all(isinstance(each, dict) for each in results):
        raise ValueError(f"{where}: result must be a list of what was drawn")
    return [each for each in results if isinstance(each.get("value"), dict)]


def _picture(task, results, where):
    """Name of the picture of a task: that of the key that key points are said to be on, the only one, image or img."""
    data = task.get("data", task)
    texts = {key: value for key, value in data.items() if isinstance(value, str)} if isinstance(data, dict) else {}
    names = {key: value for key, value in texts.items() if listing.is_picture(_plain(value))}
    tags = {str(each.get("to_name")) for each in results if _LABELS in each["value"]}
    said = [texts[tag] for tag in tags if texts.get(tag)]
    if len(tags) > 1 or (len(names) > 1 and not said):
        raise ValueError(
            f"{where}: has several pictures ({', '.join(names)}), and its key points do not say by these names that "
            "they are all on one; make a task for each picture"
        )
    found = [*said, *names.values(), *(texts[key] for key in ("image", "img") if texts.get(key))]
    if not found:
        raise ValueError(f"{where}: its data must name one picture, as image")
    return found[0]


def _plain(name):
    """Name of a picture without where Label Studio serves it from."""
    address = parse.urlsplit(name) if "://" in name or name.startswith("/data/") else None
    if address is None:
        return name
    local = parse.parse_qs(address.query).get("d")
    return parse.unquote(local[0] if local else address.path.removeprefix("/data/"))


def _stored(names, dir):
    """Names of pictures in a folder: of uploads, where need be, those from before Label Studio renamed them."""

    @functools.cache
    def uploads():
        found: dict[str, list[str]] = {}
        for path in listing.files_below(dir) if os.path.isdir(dir) else ():  # an upload has lost its folder
            if listing.is_picture(path):
                found.setdefault(_renamed(os.path.basename(path)), []).append(os.path.relpath(path, dir))
        return found

    return [_original(name, dir, uploads, where) for where, name in names.items()]


def _original(name, dir, uploads, where):
    *folders, last = name.split("/")
    uploaded = _UPLOADED.fullmatch(last) if "upload" in folders else None
    shorter = (os.path.join(dir, *folders[first:], last) for first in range(len(folders) + 1))
    if not uploaded or any(map(os.path.isfile, shorter)):
        return name
    found = uploads().get(uploaded[1], [uploaded[1]])
    if len(found) > 1:
        raise ValueError(f"{where}: {name} can be {found[0]} or {found[1]}; leave one of them in {dir}")
    return found[0]


def _renamed(name):
    """What an upload is called in Label Studio, as `get_valid_filename` of Django, by which it keeps files, has it."""
    return re.sub(r"[^-\w.]", "", name.strip().replace(" ", "_"))


def _objects(results, where):
    """The objects of a task, without their path: one, or one for each rectangle that has key points in it."""
    boxes = {each.get("id"): each for each in results if _BOXES in each["value"]}
    grouped: dict[Any, dict[str, tuple[float, float]]] = {}
    claimed = (0, 0)
    for each in (each for each in results if _LABELS in each["value"]):
        name, point, claimed = _key_point(each, where)
        points = grouped.setdefault(each.get("parentID") if each.get("parentID") in boxes else None, {})
        if name in points:
            raise ValueError(
                f"{where}: has several key points {progress.printable(name)}; leave one, or draw each "
                "in the rectangle of its object"
            )
        points[name] = point
    if len(grouped) > 1 and None in grouped:
        raise ValueError(f"{where}: some key points are in a rectangle and some in none; put all into one")
    return [
        Object(where, "", points, kind=_kind(boxes.get(box)), box=_box(boxes.get(box), where), claimed=claimed)
        for box, points in grouped.items()
    ]


def _key_point(result, where):
    """Label, x and y in pixels, and (height, width) of the picture."""
    value, labels = result["value"], result["value"][_LABELS]
    if not isinstance(labels, list) or len(labels) != 1 or not isinstance(labels[0], str):
        raise ValueError(f"{where}: a key point must have one label; found {progress.printable(str(labels)[:40])}")
    width, height = _sides(result, where)
    x, y = (annotated.number(value.get(axis), f"{where}: {axis} of {labels[0]}") for axis in "xy")
    return labels[0], (x / 100 * width, y / 100 * height), (height, width)


def _sides(result, where):
    """Width and height of the picture that percent are of."""
    if result.get("image_rotation"):
        raise ValueError(f"{where}: the picture was turned in Label Studio (image_rotation); turn it back, or the file")
    sides = [result.get(f"original_{side}") for side in ("width", "height")]
    if not all(isinstance(side, (int, float)) and 1 <= side < 1e9 for side in sides):
        raise ValueError(f"{where}: original_width and original_height are expected, which the percent are of")
    return int(sides[0]), int(sides[1])


def _kind(box):
    labels = box["value"][_BOXES] if box else None
    return str(labels[0]) if isinstance(labels, list) and labels else ""


def _box(box, where):
    if not box:
        return None
    width, height = _sides(box, where)
    x, y, w, h = (annotated.number(box["value"].get(key), f"{where}: {key}") for key in ("x", "y", "width", "height"))
    if box["value"].get("rotation") or w <= 0 or h <= 0:
        raise ValueError(f"{where}: rectangles must have an area and stand upright")
    return x / 100 * width, y / 100 * height, (x + w) / 100 * width, (y + h) / 100 * height
