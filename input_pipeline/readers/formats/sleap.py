"""Landmarks of SLEAP: .slp files, and the .h5 files of its analysis.

Convention: SLEAP counts pixels from 0 at their centre, so half a pixel is added. Files older than format 1.1 count from
the corner; sleap-io, which reads .slp files, takes half a pixel off those (`format_id < 1.1` in sleap_io/io/slp.py). An
analysis is of what SLEAP shows. A point without a place or marked as not visible is not annotated.

The instances that a person labelled are read; where there are none, the predicted ones, and that is said. Beside those
of a person, predicted ones that these do not come from are passed over, and counted. In an analysis the predicted ones
have a score.
Frames of single images are found by their names, frames of a video by their numbers, see `frames.Frames`. An analysis
counts the frames of its video; where that is a list of images, it must name them all. Images inside a file (.pkg.slp)
are not read.
"""

import contextlib
import os

import numpy as np

from dense_labels import progress
from dense_labels.config import DataConfig
from dense_labels.registry import READERS
from input_pipeline.readers import annotated, landmark_files
from input_pipeline.readers.annotated import Found, Object
from input_pipeline.readers.formats import frames, hdf5_files
from input_pipeline.readers.pictures import Pictures
from input_pipeline.storage import listing

_HALF = 0.5
_MOST = 10**9  # values of a part of an analysis; a small file can say that it has any number
_ANALYSIS = {"tracks", "node_names"}
_ORDER = ("frame", "track", "node", "xy")
_WRITTEN = ("track", "xy", "node", "frame")  # how SLEAP orders the axes of an analysis that does not say it


def holds(path: str) -> bool:
    """Says whether a file is called .slp, or is an analysis."""
    if path.lower().endswith(".slp"):
        return True
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return set(file) >= _ANALYSIS
    except Exception:  # h5py raises almost anything at damaged files
        return False


@READERS.register(
    "sleap",
    "pictures with landmarks in SLEAP's .slp, or the .h5 of its analysis",
    keys=annotated.KEYS,
    check=landmark_files.check,
    annotations=(".slp", ".h5"),
    holds=holds,
)
def read(data: DataConfig) -> dict[str, Pictures]:
    """Reads the files of a configuration; see `read_file`."""
    return annotated.read_splits(data, read_file)


def read_file(
    dir: str | os.PathLike, annotations: str | os.PathLike, *, boxed: bool = False, category: str = ""
) -> Pictures:
    """Reads the instances of each frame, with skeleton and symmetries.

    Args:
      dir: folder that names of pictures start from.
      annotations: path of the file.
      boxed: whether boxes about the landmarks are asked for.
      category: name of a skeleton, where there are several.

    Returns:
      `Pictures`, one for each instance.

    Raises:
      ValueError: naming the file and what cannot be read of it, or the picture that is not there.
    """
    is_analysis = not os.fspath(annotations).lower().endswith(".slp")
    found = (_read_analysis if is_analysis else _read_slp)(os.fspath(annotations), dir)
    return annotated.pictures(annotations, found, boxed=boxed, category=category)


def _read_slp(file, dir):
    try:
        import sleap_io
    except ImportError as error:
        raise progress.not_installed(f"{file}: an .slp file", "sleap-io", "sleap") from error
    if not os.path.isfile(file):
        raise ValueError(f"{file}: there is no such file; give a file of landmarks")
    try:
        labels = _load(sleap_io, file)
        videos = {id(video): k for k, video in enumerate(labels.videos)}
        rows = [(videos[id(frame.video)], int(frame.frame_idx), _instances(frame)) for frame in labels.labeled_frames]
        files = [_files(video) for video in labels.videos]
        shapes = [_shape(video.backend_metadata) for video in labels.videos]
        skeletons = list(labels.skeletons)
        names = {_kind(each, skeletons): [str(name) for name in each.node_names] for each in skeletons}
        pairs = [pair for each in skeletons for pair in each.edge_names]
        flips = [pair for each in skeletons for pair in each.symmetry_names]
        instances = [[(_kind(one.skeleton, skeletons), kind, one.numpy()) for kind, one in row[2]] for row in rows]
    except Exception as error:  # it raises almost anything at damaged files
        words = progress.printable(" ".join(str(error).split())[:200] or type(error).__name__)
        raise ValueError(f"{file}: is no file of SLEAP that can be read ({words})") from error
    by_person = any(kind == "user" for row in instances for _, kind, _ in row)
    _say_what_is_read(file, by_person, sum(kind == "" for row in instances for _, kind, _ in row))
    kept = [
        (video, number, kind, names[kind], points)
        for (video, number, _), row in zip(rows, instances)
        for kind, by, points in row
        if by == "user" or not by_person
    ]
    return Found(_objects(kept, files, shapes, file, dir), names, skeleton=pairs, flip_pairs=flips)


def _load(sleap_io, file):
    hdf5_files.check(file)
    return sleap_io.load_slp(file, open_videos=False)


def _instances(frame):
    """The instances of a frame, and who made them; "used" is said of predicted ones that a person's come from."""
    used = {id(one.from_predicted) for one in frame.user_instances}
    predicted = [("used" if id(one) in used else "", one) for one in frame.predicted_instances]
    return [("user", one) for one in frame.user_instances] + predicted


def _say_what_is_read(file, by_person, predicted):
    """Says whether the predicted instances are read, and how many are not."""
    if predicted and not by_person:
        progress.note(f"{file}: nobody labelled an instance, so the predicted ones are read")
    elif predicted:
        progress.note(f"{file}: what a person labelled is read alone; {predicted} predicted instances are passed over")


def _files(video):
    """Path of a video, or the names of its images, which sleap-io before 0.6 leaves among what the file says of it."""
    name = video.backend_metadata.get("filenames") or video.filename
    return [str(each) for each in name] if isinstance(name, list) else str(name)


def _shape(about):
    """How many frames a video has, their height and width; 0 where the file does not say it."""
    shape = about.get("shape")
    shape = [*shape, 0, 0, 0][:3] if isinstance(shape, (list, tuple)) else [0, 0, 0]
    return [int(each) if isinstance(each, int) else 0 for each in shape]


def _kind(skeleton, skeletons):
    """Name of a skeleton among those of a file."""
    alone = len(skeletons) == 1
    return "" if alone else f"{skeleton.name or 'skeleton'}-{skeletons.index(skeleton)}"


def _objects(instances, videos, shapes, file, dir):
    """The objects of instances that have landmarks: of each the index of its video, the frame, kind, names, places.

    Of each video `shapes` has the number of frames, their height and width. Images of a list may be of other sizes.
    """
    objects, places = [], []
    for video, number, kind, names, points in instances:
        where = f"{file}, frame {number}"
        known = _placed(points, names, where)
        if known:
            claimed = tuple(shapes[video][1:]) if isinstance(videos[video], str) else (0, 0)
            objects.append(Object(where, "", known, kind=kind, claimed=claimed))
            places.append((video, number))
    paths = _paths(places, videos, [count for count, _, _ in shapes], file, dir)
    return [each._replace(path=path) for each, path in zip(objects, paths)]


def _placed(points, names, where):
    """Name -> x, y of the landmarks that have a place."""
    points = np.asarray(points, np.float64)
    if points.shape != (len(names), 2):
        raise ValueError(f"{where}: {len(names)} points x, y are expected")
    return {
        name: (annotated.number(float(x), where) + _HALF, annotated.number(float(y), where) + _HALF)
        for name, (x, y) in zip(names, points)
        if not np.isnan([x, y]).any()
    }


def _paths(places, videos, counts, file, dir):
    """The pictures of frames: by their names where a video is a list of images, else by their numbers."""
    wheres = [f"{file}, frame {number}" for _, number in places]
    images = {}
    for k, (index, number) in enumerate(places):
        video = videos[index]
        if isinstance(video, list):
            if not 0 <= number < len(video):
                raise ValueError(f"{wheres[k]}: its video has {len(video)} images")
            images[k] = video[number]
        elif video == "." or os.path.abspath(video) == os.path.abspath(file):  # which sleap-io puts for "."
            raise ValueError(f"{wheres[k]}: its pictures are inside the file (.pkg.slp); give one that names pictures")
    beside = os.path.dirname(os.path.abspath(file))
    named = landmark_files.find_pictures(dir, list(images.values()), [wheres[k] for k in images], beside)
    paths = dict(zip(images, named))
    if len(paths) < len(places):
        numbered = frames.Frames(dir, {video: n for video, n in zip(videos, counts) if isinstance(video, str)})
        rest = (k for k in range(len(places)) if k not in images)
        paths |= {k: numbered.find(places[k][1], videos[places[k][0]], wheres[k]) for k in rest}
    found = [paths[k] for k in range(len(places))]
    records = [f"{where} of video {index}" for where, (index, _) in zip(wheres, places)]
    landmark_files.check_found(records, found, "label a picture once, or leave one of these frames out")
    return found


def _read_analysis(file, dir):
    try:
        with hdf5_files.opened(file) as content:
            for name in {"tracks", "node_names", "edge_names", "instance_scores"} & set(content):
                if (size := content[name].size) > _MOST:
                    raise ValueError(f"it says that {name} are {size} values; at most {_MOST} are read")
            names = [_text(name) for name in content["node_names"][:]]
            tracks = _ordered(content["tracks"], _ORDER, _WRITTEN)
            scores = np.full(tracks.shape[:2], np.nan)
            if "instance_scores" in content:
                scores = _ordered(content["instance_scores"], _ORDER[:2], _WRITTEN[::3])
            video = _video(content["video_path"][()]) if "video_path" in content else ""
            pairs = [tuple(map(_text, pair)) for pair in content["edge_names"][:]] if "edge_names" in content else []
            mirrored = _pairs(content.attrs.get("skeleton_symmetries"), names)
    except Exception as error:  # it raises almost anything at damaged files
        words = progress.printable(" ".join(str(error).split())[:200])
        raise ValueError(f"{file}: is no analysis of SLEAP that can be read ({words})") from error
    if tracks.shape[2:] != (len(names), 2) or len(set(names)) < len(names):
        raise ValueError(f"{file}: tracks are expected of {len(names)} landmarks of different names")
    placed = ~np.isnan(tracks).any(axis=-1).all(axis=-1)
    _check_counted(video, np.argwhere(placed), file)
    placed = _labelled(placed, scores, file)
    instances = [(0, int(row), "", names, tracks[row, track]) for row, track in placed]
    return Found(
        _objects(instances, [video], [(len(tracks), 0, 0)], file, dir), {"": names}, skeleton=pairs, flip_pairs=mirrored
    )


def _labelled(placed, scores, file):
    """(frame, track) of the instances that a person labelled, or else of those predicted, which is said."""
    if scores.shape != placed.shape:
        raise ValueError(
            f"{file}: instance_scores are expected of {placed.shape[0]} frames and {placed.shape[1]} tracks; "
            f"found shape {list(scores.shape)}"
        )
    labelled = placed & np.isnan(scores)
    _say_what_is_read(file, labelled.any(), int((placed & ~labelled).sum()))
    return np.argwhere(labelled if labelled.any() else placed)


def _pairs(value, names):
    """Pairs of landmarks that an attribute lists as JSON; none where it does not."""
    import json

    found = []
    with contextlib.suppress(ValueError):
        found = json.loads(_text(value)) if value is not None else []
    pairs = [tuple(pair) for pair in found if isinstance(pair, list)] if isinstance(found, list) else []
    return [pair for pair in pairs if len(pair) == 2 and all(name in names for name in pair)]


def _video(value):
    """Path of the video of an analysis, or the names of its images."""
    if not isinstance(value, np.ndarray):
        return _text(value)
    paths = [_text(each) for each in value.ravel()]
    return paths[0] if len(paths) == 1 and not listing.is_picture(paths[0]) else paths


def _check_counted(video, placed, file):
    """Refuses an analysis that counts pictures and does not name them; warns where frame 0 may be a later one."""
    if isinstance(video, str) and listing.is_picture(video):
        raise ValueError(
            f"{file}: is an analysis of single pictures, of which it names the first alone ({progress.printable(video)}"
            "); give the .slp file"
        )
    if isinstance(video, str) and (placed[:, 0] == 0).any():
        progress.warn(
            f"{file}: has landmarks in frame 0; if its first frames had none, SLEAP may have left those out (it does "
            "without --all-frames), and each frame would be taken for an earlier one: give the .slp file then"
        )


def _ordered(values, wanted, written):
    """Values with their axes in the wanted order, float64; `written` is how they lie where the file does not say it."""
    import json

    said = values.attrs.get("dims")
    order = tuple(json.loads(said)) if said is not None else written
    if sorted(order) != sorted(wanted):
        raise ValueError(f"axes {order}")
    return np.transpose(np.asarray(values[()], np.float64), [order.index(name) for name in wanted])


def _text(value):
    return value.decode() if isinstance(value, bytes) else str(value)
