"""Landmarks in labelme's JSON files, one beside each picture: shapes of the type `point`, told apart by their label.

Convention: continuous pixels, (0, 0) the outer top-left corner of the picture: labelme keeps where the mouse was in
the picture, which it paints from there on (`Canvas.transformPos` in labelme/widgets/canvas.py), with its fractions.

Points of one `group_id` are an object; a rectangle of that group is its box, and its label the kind of object. Of
several rectangles it is the only one that holds all of the points: others, such as about a scale bar, are passed over.
A flag `hidden` or `occluded` of a point says that something hides it; labelme has none of its own, so
that a file in which no point has such a flag, set or not, does not say it.
"""

import os

from dense_labels import progress
from dense_labels.config import DataConfig
from dense_labels.registry import READERS
from input_pipeline.readers import annotated, coco_parts, landmark_files
from input_pipeline.readers.annotated import Found, Object
from input_pipeline.readers.pictures import Pictures
from input_pipeline.storage import listing

_HIDDEN = ("hidden", "occluded")
_Labelled = tuple[str, tuple[float, float, float, float]]  # a rectangle: left, top, right, bottom


def holds(path: str) -> bool:
    """Says whether a JSON file is one of labelme, or one in a folder is."""
    if os.path.isdir(path):
        return any(holds(name) for name in listing.files_below(path) if name.lower().endswith(".json"))
    try:
        content = coco_parts.parse(path)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and {"shapes", "imagePath"} <= set(content)


@READERS.register(
    "labelme",
    "pictures with points in labelme's JSON files",
    keys=annotated.KEYS,
    check=landmark_files.check,
    annotations=(".json", "folder"),
    holds=holds,
    lists_landmarks=False,
    orders_landmarks=False,
)
def read(data: DataConfig) -> dict[str, Pictures]:
    """Reads the files or folders of a configuration; see `read_file`."""
    return annotated.read_splits(data, read_file)


def read_file(
    dir: str | os.PathLike, annotations: str | os.PathLike, *, boxed: bool = False, category: str = ""
) -> Pictures:
    """Reads a file, or all .json files in a folder; the names of landmarks are sorted, for they have no order.

    Pictures are looked for beside their file, then in `dir`.

    Args:
      dir: folder that names of pictures start from.
      annotations: path of the file or folder.
      boxed: whether boxes about the objects are asked for.
      category: label of the rectangles about objects, where there are several.

    Returns:
      `Pictures`, one for each object.

    Raises:
      ValueError: naming the file that is wrong, or the picture that is not there.
    """
    files = [os.fspath(annotations)]
    if os.path.isdir(annotations):
        files = [path for path in listing.files_below(annotations) if path.lower().endswith(".json")]
    root = os.path.dirname(files[0]) if files[0] == os.fspath(annotations) else os.fspath(annotations)
    found, names, kinds = [], {}, {}
    for file in files:
        content = coco_parts.parse(file)
        if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
            raise ValueError(f"{file}: shapes are expected, as labelme writes them; leave only its files in the folder")
        if not isinstance(content.get("imagePath"), str):
            raise ValueError(f"{file}: imagePath must name the picture")
        if of_file := _objects(content, file):
            name = os.path.join(os.path.relpath(os.path.dirname(file), root), content["imagePath"])
            names[file] = os.path.normpath(name)
            found += of_file
    paths = landmark_files.find_pictures(dir, list(names.values()), list(names), root)
    if not os.path.isdir(annotations) and not any(os.path.dirname(each.replace("\\", "/")) for each in names.values()):
        _check_only_one(paths, root, dir, annotations)
    by_file = dict(zip(names, paths))
    objects = [each._replace(path=by_file[each.where]) for each in found]
    for each in objects:
        kinds.setdefault(each.kind, set()).update(each.points)
    landmark_files.check_found(list(names), paths, "leave one of these files")
    return annotated.pictures(
        annotations,
        Found(objects, {kind: annotated.in_order(each) for kind, each in kinds.items()}),
        boxed=boxed,
        category=category,
    )


def _check_only_one(paths, root, dir, file):
    """Refuses a file alone, without its folder, whose picture is not beside it and has the name of others."""
    for path in paths:
        if os.path.realpath(os.path.dirname(path)) == os.path.realpath(root) or not os.path.isdir(dir):
            continue
        name = os.path.basename(path)
        alike = [each for each in listing.files_below(dir) if os.path.basename(each) == name]
        if len(alike) > 1:
            raise ValueError(
                f"{file}: {len(alike)} pictures in {dir} are called {name}, and a file alone does not say which is "
                "meant; give the folder of all these files"
            )


def _objects(content, file):
    """The objects of a file, without their path: the points of each group."""
    groups: dict[object, dict[str, tuple[float, float]]] = {}
    boxes: dict[object, list[_Labelled]] = {}
    hidden: dict[object, frozenset[str]] = {}
    for index, shape in enumerate(content["shapes"]):
        where = f"{file}: shapes[{index}]"
        if not isinstance(shape, dict) or not isinstance(shape.get("label"), str):
            raise ValueError(f"{where}: a shape with a label is expected")
        group, kind = _group(shape, where), shape.get("shape_type")
        if kind == "rectangle":
            boxes.setdefault(group, []).append((shape["label"], _corners(_points(shape, (2, 4), where))))
        if kind != "point":
            continue
        points, name = groups.setdefault(group, {}), shape["label"]
        if name in points:
            raise ValueError(
                f"{where}: there is a point {progress.printable(name)} already; give those of each object a group_id"
            )
        points[name] = _points(shape, (1,), where)[0]
        flags = shape.get("flags") if isinstance(shape.get("flags"), dict) else {}
        if not flags.keys().isdisjoint(_HIDDEN):
            hidden[group] = hidden.get(group, frozenset()) | {name for flag in _HIDDEN if flags.get(flag) is True}
    if len(groups) > 1 and None in groups:
        raise ValueError(f"{file}: some points have a group_id and some none; give each object one")
    size = {"height": content.get("imageHeight"), "width": content.get("imageWidth")}
    claimed = coco_parts.claimed_sizes([coco_parts.Entry(file, {}, size)])[0]
    return [
        Object(file, "", points, hidden.get(group), *_box(rectangles, points, file), tuple(claimed))
        for group, points in groups.items()
        for rectangles in [_rectangles(boxes, group, points, len(groups) == 1)]
    ]


def _corners(points):
    """Left, top, right and bottom of a rectangle by two corners, or by four, as X-AnyLabeling has them."""
    x, y = zip(*points)
    return min(x), min(y), max(x), max(y)


def _rectangles(boxes, group, points, alone):
    """The rectangles of a group; of the only object also those that hold points of it, if a group is missing."""
    if group in boxes or not alone or len(boxes) > 1:
        return boxes.get(group, [])
    return [each for other, some in boxes.items() if None in (group, other) for each in some if _inside(each, points)]


def _inside(rectangle, points):
    """How many points lie in a rectangle."""
    left, top, right, bottom = rectangle[1]
    return sum(left <= x <= right and top <= y <= bottom for x, y in points.values())


def _box(rectangles, points, file):
    """Label and box of an object: of its only rectangle, or of the only one of several that holds all of its points."""
    if not rectangles:
        return "", None
    least = len(points) if len(rectangles) > 1 else 1
    holding = [each for each in rectangles if _inside(each, points) >= least]
    if len(holding) == 1:
        [(label, (left, top, right, bottom))] = holding
        return label, (left, top, right, bottom) if right > left and bottom > top else None
    labels, names = (", ".join(map(progress.printable, each)) for each in ([label for label, _ in rectangles], points))
    raise ValueError(
        f"{file}: exactly one of its rectangles ({labels}) must hold the points of an object ({names}); give these and "
        "their rectangle a group_id of their own"
    )


def _group(shape, where):
    group = shape.get("group_id")
    if group is not None and not isinstance(group, (int, str)):
        raise ValueError(f"{where}: group_id must be a number, or null")
    return group


def _points(shape, counts, where):
    points = shape.get("points")
    if not isinstance(points, list) or len(points) not in counts:
        words = " or ".join(map(str, counts))
        raise ValueError(f"{where}: a {shape.get('shape_type')} has {words} points [x, y]")
    for point in points:
        if not isinstance(point, list) or len(point) != 2:
            raise ValueError(f"{where}: a point is [x, y]")
    return [tuple(annotated.number(value, where) for value in point) for point in points]
