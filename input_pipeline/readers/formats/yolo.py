"""Landmarks of a YOLO-pose data set: `data.yaml`, and a .txt file of labels for each picture.

Convention: all numbers are shares of the picture's width and height, from its outer top-left corner, as Ultralytics'
"Pose Estimation Datasets" has them; the size is read from the picture. A label file lies where the picture
does, with `labels` in the place of the last folder `images` (`img2label_paths` in ultralytics/data/utils.py). SLEAP
counts pixels from 0 at their centre in the data sets that it writes; half a pixel is added to those.

With `kpt_shape: [K, 3]` the third number says 0 for not labelled, 1 for hidden, 2 for visible. With [K, 2] nothing says
it: Ultralytics takes negative numbers for not labelled, and 0 0, which converters write there, is taken so here too.
"""

import os
import pathlib

from dense_labels import progress
from dense_labels.config import DataConfig
from dense_labels.registry import READERS
from input_pipeline.readers import annotated, coco_parts, landmark_files
from input_pipeline.readers.annotated import Found, Object
from input_pipeline.readers.formats import pandas_files
from input_pipeline.readers.pictures import Pictures
from input_pipeline.storage import copies, decoding, listing

_SPLITS = ("train", "val", "test")
_MOST = 10_000  # landmarks
_HALF = 0.5  # pixels


def holds(path: str) -> bool:
    """Says whether a folder has a data.yaml, or a file is one, that speaks of key points."""
    return _speaks_of_key_points(_yaml_of(path))


def _yaml_of(path):
    if not os.path.isdir(path):
        return pathlib.Path(path)
    files = sorted([*pathlib.Path(path).glob("*.yaml"), *pathlib.Path(path).glob("*.yml")])
    files.sort(key=lambda file: file.stem != "data")
    return next(filter(_speaks_of_key_points, files), files[0] if files else pathlib.Path(path) / "data.yaml")


def _speaks_of_key_points(file):
    try:
        return "kpt_shape" in pandas_files.read_yaml(file)
    except ValueError:
        return False


@READERS.register(
    "yolo",
    "pictures with key points in a YOLO-pose data set",
    keys=annotated.KEYS,
    check=landmark_files.check,
    annotations=("folder", ".yaml", ".yml"),
    holds=holds,
)
def read(data: DataConfig) -> dict[str, Pictures]:
    """Reads the data sets of a configuration; see `read_file`."""
    return annotated.read_splits(data, read_file)


def read_file(
    dir: str | os.PathLike, annotations: str | os.PathLike, *, boxed: bool = False, category: str = ""
) -> Pictures:
    """Reads all pictures of a data set that have labels, those of train, val and test together.

    The landmarks have the names of `kpt_names`, or of `node_names` as SLEAP writes them, where the file has them.

    Args:
      dir: folder of the pictures, where the data set has none itself.
      annotations: path of data.yaml, or of its folder.
      boxed: whether boxes about the objects are asked for.
      category: name of a class, where there are several.

    Returns:
      `Pictures`, one for each object, in order of the pictures' paths.

    Raises:
      ValueError: naming the file and its line that is wrong, or the picture that is not there.
    """
    file = _yaml_of(os.fspath(annotations))
    settings = pandas_files.read_yaml(file)
    shape = settings.get("kpt_shape")
    if not isinstance(shape, list) or len(shape) != 2 or shape[1] not in (2, 3) or not _is_count(shape[0]):
        raise ValueError(f"{file}: kpt_shape must be [landmarks, 2 or 3]; found {str(shape)[:40]}")
    classes = _classes(settings, file)
    objects = []
    for labels, picture in _label_files(file, settings, dir):
        objects += _objects(labels, picture, shape, classes, _HALF if _is_of_sleap(settings) else 0.0)
    kinds = {each.kind for each in objects}
    named = {kind: _names(settings, shape[0], kind, classes, file) for kind in kinds}
    chosen = next(iter(named.values()), [])
    flips = settings.get("flip_idx")
    found = Found(
        objects,
        {kind: names or [str(k) for k in range(shape[0])] for kind, names in named.items()},
        named=bool(chosen),
        skeleton=_skeleton(settings.get("skeleton"), chosen) if _is_of_sleap(settings) else (),
        flip_pairs=_flip_pairs(flips, chosen or [str(k) for k in range(shape[0])]),
    )
    found = found._replace(objects=[_renamed(each, found.names[each.kind]) for each in objects])
    return annotated.pictures(annotations, found, boxed=boxed, category=category)


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST


def _classes(settings, file):
    """Number of a class -> its name; without names class_0 and so on, as Ultralytics calls them."""
    names, count = settings.get("names"), settings.get("nc")
    if names is None and _is_count(count):
        names = [f"class_{k}" for k in range(count)]
    listed = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(listed, dict) or not all(isinstance(key, int) for key in listed):
        raise ValueError(f"{file}: names must be a list of the classes, or number: name; or nc their number")
    return {key: str(value) for key, value in listed.items()}


def _names(settings, count, kind, classes, file):
    """Names of the landmarks of a class; none where the file gives none."""
    key = "node_names" if _is_of_sleap(settings) else "kpt_names"
    names = settings.get(key)
    if isinstance(names, dict):
        names = next((names[key] for key, name in classes.items() if name == kind and key in names), None)
    if names is None:
        return []
    if not isinstance(names, list) or len(names) != count or len(set(map(str, names))) < count:
        raise ValueError(f"{file}: {key} must be {count} names, no two alike; found {str(names)[:80]}")
    return [str(name) for name in names]


def _is_of_sleap(settings):
    """Whether sleap-io has written a data set: it names landmarks otherwise, and counts from the centre of a pixel."""
    return "node_names" in settings and "kpt_names" not in settings


def _skeleton(pairs, names):
    """Pairs of names of lines between landmarks, which sleap-io numbers from 0."""
    pairs = [pair for pair in pairs if isinstance(pair, list)] if isinstance(pairs, list) else []
    known = range(len(names))
    numbered = [pair for pair in pairs if len(pair) == 2 and all(isinstance(k, int) and k in known for k in pair)]
    return [(names[a], names[b]) for a, b in numbered]


def _flip_pairs(flips, names):
    """Pairs of names of `flip_idx`: the landmark that takes the place of each in a mirror."""
    if not isinstance(flips, list) or sorted(map(str, flips)) != sorted(map(str, range(len(names)))):
        return []
    return [(names[k], names[int(other)]) for k, other in enumerate(flips) if k < int(other)]


def _renamed(each, names):
    points = {names[int(k)]: point for k, point in each.points.items()}
    hidden = None if each.hidden is None else frozenset(names[int(k)] for k in each.hidden)
    return each._replace(points=points, hidden=hidden)


def _label_files(file, settings, dir):
    """(Path of a label file, path of its picture) of all splits."""
    root = file.parent / str(settings.get("path") or "")
    root = root if root.is_dir() else file.parent
    settings = {"val": settings.get("validation"), **settings}  # which Ultralytics takes for val where there is none
    places = [_place(root, place) for split in _SPLITS for place in _listed(settings.get(split))]
    tops = [os.path.realpath(place) for place in places if place.is_dir()]
    pairs = _of_originals([each for place in places for each in _pairs(place, dir, tops) if each[0].is_file()])
    found = {picture: labels for labels, picture in pairs}
    labels = [str(labels) for labels, _ in pairs]
    landmark_files.check_found(labels, [picture for _, picture in pairs], "leave one of these files of labels")
    _say_shared(file, pairs)
    if not found:
        raise ValueError(f"{file}: no picture of train, val or test has a label file; they are looked for in {root}")
    return [(found[picture], picture) for picture in sorted(found)]


def _say_shared(file, pairs):
    """Warns of pictures whose labels are one file, as those of a.jpg and a.png are."""
    first = {}
    shared = [(first[labels], picture) for labels, picture in pairs if first.setdefault(labels, picture) != picture]
    if shared:
        progress.warn(
            f"{file}: {' and '.join(map(str, shared[0]))} have one file of labels, which is read for both; leave "
            f"one of them if it shows something else ({len(shared)} such pairs)"
        )


def _listed(value):
    return [str(each) for each in (value if isinstance(value, list) else [value]) if each]


def _place(root, name):
    """Where the folder, list or labels of a split are; without its ../ too, as Ultralytics has it for Roboflow."""
    places = [root / name, root / name.removeprefix("../")]
    return next((each for each in places if each.exists() or labels_of(each / "any").parent.is_dir()), places[0])


def _of_originals(found):
    """(Path of the label file, picture): the one it was copied from, where it is the only copy that is there."""
    pictures = copies.originals([picture for _, picture, _ in found], [original for *_, original in found])
    return [(labels, picture) for (labels, *_), picture in zip(found, pictures)]


def _pairs(path, dir, tops):
    """(Path of the label file, picture, what it may be a copy of) of the pictures of a folder or a list.

    What a folder lacks is looked for in `dir`, but not below `tops`, the folders of all splits.
    """
    if path.is_file() and path.suffix == ".txt":
        names = [line.strip() for line in landmark_files.read_text(path).splitlines() if line.strip()]
        found = landmark_files.find_pictures(dir, names, [str(path)] * len(names), path.parent)
        return [(_labels_listed(name, path.parent) or labels_of(each), each, each) for name, each in zip(names, found)]
    own = listing.files_below(path) if path.is_dir() else []
    pictures = [name for name in own if listing.is_picture(name)]
    if not pictures and not path.is_dir() and not labels_of(path / "any").parent.is_dir():
        return []
    originals = [os.path.join(dir, os.path.relpath(each, path)) for each in pictures]
    originals = [each if _below(there, tops) else there for each, there in zip(pictures, originals)]
    pairs = [(labels_of(picture), picture, original) for picture, original in zip(pictures, originals)]
    labelled = {labels for labels, *_ in pairs}
    others = [each for each in listing.files_below(dir) if listing.is_picture(each)] if os.path.isdir(dir) else []
    named = [(labels_of(path / os.path.relpath(each, dir)), each, each) for each in others if not _below(each, tops)]
    return pairs + [each for each in named if each[0] not in labelled and each[0].is_file()]


def _below(path, tops):
    return any(os.path.realpath(path).startswith(os.path.join(top, "")) for top in tops)


def _labels_listed(name, root):
    """The label file at the place that a listed name tells, its first folders left out as need be; None: not there."""
    parts = labels_of(name.replace("\\", "/")).parts
    places = (root.joinpath(*parts[first:]) for first, part in enumerate(parts) if "labels" in parts[first:])
    return next((place for place in places if place.is_file()), None)


def labels_of(picture: str | os.PathLike) -> pathlib.Path:
    """Where the label file of a picture lies: below `labels` where the picture is below `images`, else beside it."""
    parts = pathlib.Path(picture).with_suffix(".txt").parts
    last = max((k for k, part in enumerate(parts) if part == "images"), default=None)
    return pathlib.Path(*parts) if last is None else pathlib.Path(*parts[:last], "labels", *parts[last + 1 :])


def _objects(labels, picture, shape, classes, half):
    """An object for each line: class, box about its centre, and the key points."""
    objects = []
    height, width = decoding.read_sizes([picture])[picture]
    for index, line in enumerate(landmark_files.read_text(labels).splitlines()):
        where, words = f"{labels}, line {index + 1}", line.split()
        if not words:
            continue
        if len(words) != 5 + shape[0] * shape[1]:
            raise ValueError(
                f"{where}: {5 + shape[0] * shape[1]} numbers are expected by kpt_shape; found {len(words)}"
            )
        values = [annotated.number(word, where) for word in words]
        if values[0] not in classes:
            raise ValueError(f"{where}: there is no class {words[0]} in names of data.yaml")
        x, y, w, h = values[1] * width, values[2] * height, values[3] * width, values[4] * height
        box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        rows = [values[k : k + shape[1]] for k in range(5, len(values), shape[1])]
        if any(abs(number) > 10 for row in rows for number in row[:2]):
            raise ValueError(
                f"{where}: shares of the picture's sides, from 0 to 1, are expected; these look like pixels"
            )
        coco_parts.check_marks([row[2] for row in rows if len(row) == 3], where, "the third number of a landmark")
        known = {str(k): row for k, row in enumerate(rows) if _is_known(row)}
        points = {k: (row[0] * width + half, row[1] * height + half) for k, row in known.items()}
        hidden = None if shape[1] == 2 else frozenset(k for k, row in known.items() if row[2] == 1)
        usable = box if w > 0 and h > 0 else None
        objects.append(Object(where, picture, points, hidden, classes[int(values[0])], usable))
    return objects


def _is_known(row):
    return row[2] > 0 if len(row) == 3 else min(row) >= 0 and max(row) > 0
