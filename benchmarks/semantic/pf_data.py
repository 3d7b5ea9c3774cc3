"""Pairs of pictures with matching key points: PF-WILLOW and PF-PASCAL (Ham et al., "Proposal flow", CVPR 2016)."""

import dataclasses
import itertools
import os

import numpy as np

from input_pipeline.readers import landmark_files
from input_pipeline.readers.pictures import Pictures
from input_pipeline.storage import listing

_CLASSES = (  # of PF-PASCAL; its pair lists count them from 1
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


@dataclasses.dataclass(frozen=True, eq=False)
class Pairs:
    """Pictures whose key points correspond, and which of them are matched."""

    pictures: Pictures  # N, with landmarks; what a picture lacks, or what pads it to K of them, is not annotated
    indices: np.ndarray  # int64 [P, 2]: of A and of B
    groups: tuple[str, ...]  # N: the subset or class, which is also the folder of a picture or of its annotations


def read_willow(dir, pairs=None):
    """Reads PF-WILLOW: one folder a subset, in it NAME.png beside NAME.mat, whose `pts_coord` is [2, K], x then y.

    Convention: the points were made with MATLAB, which counts pixels from 1 at the centre of the first, so half a pixel
    is taken off to give continuous pixels. (Nothing published says so. All pictures are read alike, so that of what
    could be wrong here, half a pixel or one, almost all cancels between A and B.)

    Args:
      dir: holds the folders of the subsets.
      pairs: path of a list of pairs, such as the common test_pairs_pf.csv: a header, then lines whose first two cells
        are the pictures of A and B, SUBSET/NAME.png after any other folders; the points are always those of the .mat
        files. None: all ordered pairs of different pictures within each subset, as Ham et al. have it.

    Returns:
      `Pairs` of all pictures that have a .mat file, in order of their paths.

    Raises:
      ValueError: naming the file that is missing or damaged, or the line of the list that is wrong.
    """
    files = set(listing.files_below(dir))
    annotations = sorted(path for path in files if path.endswith(".mat"))
    if not annotations:
        raise ValueError(f"{dir} holds no .mat files; the folders of PF-WILLOW's subsets are expected in it")
    points, paths = [], []
    for path in annotations:
        found = landmark_files.read_matlab(path, "pts_coord")
        if found.ndim != 2 or len(found) != 2 or not found.size or not np.isfinite(found).all():
            raise ValueError(f"{path}: pts_coord must be finite numbers [2, K]; found {list(found.shape)}")
        points.append(found.T)
        paths.append(path.removesuffix(".mat") + ".png")
        if paths[-1] not in files:
            raise ValueError(f"{path}: there is no picture {paths[-1]} beside it")
    groups = tuple(os.path.basename(os.path.dirname(path)) for path in paths)
    if pairs is None:
        within = [(a, b) for a, b in itertools.permutations(range(len(paths)), 2) if groups[a] == groups[b]]
    else:
        number = {(group, os.path.basename(path)): index for index, (group, path) in enumerate(zip(groups, paths))}
        within = [_willow_pair(where, cells, number) for where, cells in _list(pairs)]
    return _pairs(paths, points, None, within, groups)


def read_pascal(dir, pairs):
    """Reads PF-PASCAL: JPEGImages/NAME.jpg, Annotations/CLASS/NAME.mat with `kps` [K, 2] and `bbox`, and a pair list.

    A key point that a picture does not show is NaN there. Classes have different numbers of key points: K is the most.

    Convention: all is in MATLAB's pixels, counted from 1 at the centre of the first, so half a pixel is taken off the
    points; a box is given by the first and the last pixel in it, so one is taken off its left and top alone.

    Args:
      dir: the folder of the two folders.
      pairs: path of a list of pairs, such as the common test_pairs_pf_pascal.csv: a header, then lines whose first
        three cells are the pictures of A and B, NAME.jpg after any folders, and the class, a name or a number from 1
        in alphabetical order; what follows is not read.

    Returns:
      `Pairs` of the pictures that the list names, with boxes; a picture in pairs of two classes counts twice.

    Raises:
      ValueError: naming the file that is missing or damaged, or the line of the list that is wrong.
    """
    named = [(where, [_pascal_key(where, cells, cell) for cell in cells[:2]]) for where, cells in _list(pairs)]
    first = {key: where for where, keys in reversed(named) for key in reversed(keys)}  # the line it is first named in
    keys = list(dict.fromkeys(key for _, both in named for key in both))
    points, boxes = zip(*(_pascal_annotation(dir, *key, first[key]) for key in keys))
    paths = [_pascal_picture(dir, name) for _, name in keys]
    number = {key: index for index, key in enumerate(keys)}
    indices = [[number[key] for key in both] for _, both in named]
    return _pairs(paths, points, np.array(boxes, np.float32), indices, tuple(group for group, _ in keys))


def _willow_pair(where, cells, number):
    """Indices of the two pictures of a line."""
    if len(cells) < 2:
        raise ValueError(f"{where}: the pictures of A and B are expected; found {','.join(cells)}")
    found = [number.get(tuple(_parts(cell)[-2:])) for cell in cells[:2]]
    if None in found:
        raise ValueError(f"{where}: there is no annotated picture {cells[found.index(None)]}")
    return found


def _pascal_key(where, cells, cell):
    """(class, name) of a picture of a line."""
    if len(cells) < 3:
        raise ValueError(f"{where}: pictures of A and B and their class are expected; found {','.join(cells)}")
    kind = cells[2].strip()
    if kind.isdecimal() and 1 <= int(kind) <= len(_CLASSES):
        kind = _CLASSES[int(kind) - 1]
    if kind not in _CLASSES:
        raise ValueError(f"{where}: there is no class {kind}; give a number from 1 to 20 or {', '.join(_CLASSES)}")
    return kind, os.path.splitext(_parts(cell)[-1])[0]


def _pascal_annotation(dir, group, name, where):
    """Points [K, 2] as the file has them, and the box in continuous pixels."""
    if not os.path.isfile(_pascal_picture(dir, name)):
        raise ValueError(f"{where}: there is no picture {_pascal_picture(dir, name)}")
    path = os.path.join(dir, "Annotations", group, f"{name}.mat")
    points, box = landmark_files.read_matlab(path, "kps"), landmark_files.read_matlab(path, "bbox").ravel()
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or np.isinf(points).any():
        raise ValueError(f"{path}: kps must be numbers [K, 2], NaN for what is missing; found {list(points.shape)}")
    if box.shape != (4,) or not np.isfinite(box).all() or not (box[:2] <= box[2:]).all():
        raise ValueError(f"{path}: bbox must be left, top, right and bottom; found {box.tolist()}")
    return points, box - [1, 1, 0, 0]


def _pascal_picture(dir, name):
    return os.path.join(dir, "JPEGImages", f"{name}.jpg")


def _list(path):
    """The lines of a list below its header: where they are, as messages name it, and their cells."""
    lines = landmark_files.read_csv(path)
    if len(lines) < 2:
        raise ValueError(f"{path} lists no pairs; a header and a line for each pair are expected")
    return lines[1:]


def _parts(cell):
    return cell.strip().replace("\\", "/").split("/")


def _pairs(paths, points, boxes, indices, groups):
    """Takes half a pixel off the points, pads them and puts all together."""
    padded = np.full([len(points), max(map(len, points)), 2], np.nan)
    for row, found in zip(padded, points):
        row[: len(found)] = found - 0.5
    annotated = np.isfinite(padded).all(axis=-1)
    pictures = Pictures(
        tuple(paths),
        boxes=boxes,
        landmarks=np.where(annotated[..., np.newaxis], padded, 0).astype(np.float32),
        annotated=annotated.astype(np.float32),
    )
    return Pairs(pictures, np.array(indices, np.int64).reshape([-1, 2]), groups)
