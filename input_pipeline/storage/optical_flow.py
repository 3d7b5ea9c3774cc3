"""Frames of videos, in pairs, with the optical flow between them.

The flow is estimated, by dense inverse search (Kroeger et al., ECCV 2016) as OpenCV has it, once, and kept on disk.
"""

import dataclasses
import fractions
import hashlib
import json
import math
import os
import pathlib
import re

import numpy as np
from PIL import Image
from tqdm import tqdm

from dense_labels import files, progress
from input_pipeline.storage import decoding, kept, listing

LEAST_SIDE = 16  # pixels of a frame: the search works on patches of 8
STILL_FLOW = 0.5  # pixels: a point that moves less counts as still
TOLERANCE = (0.5, 0.05)  # how far flow forward and back may miss: so many pixels, and this part of the flow

_VERSION = 3  # of what is kept: raised where frames or flow are computed in another way


@dataclasses.dataclass(frozen=True, eq=False)
class Video:
    """Resized frames, and pairs of them with the flow from the first to the second.

    Convention: `flow[p, i, j]` is the displacement (x, y) in pixels of the resized frames of the point at the centre of
    pixel (row i, column j) of frame `first[p]`. `visible` is 1 where that point is seen in frame `second[p]` too.
    """

    images: np.ndarray  # uint8 [F, H, W, 3], on disk
    first: np.ndarray  # int64 [P], indices of frames
    second: np.ndarray  # int64 [P]
    flow: np.ndarray  # float16 [P, H, W, 2], on disk
    visible: np.ndarray  # uint8 [P, H, W], on disk
    seen: np.ndarray  # float32 [P], the part of `visible` that is 1
    splits: dict[str, np.ndarray]  # "train" and "validation" -> int64, indices of pairs
    paths: tuple[str, ...]  # F, of the frames


def prepare(
    folder: str | os.PathLike,
    size: tuple[int, int],
    cache_dir: str | os.PathLike,
    *,
    max_gap: int = 1,
    ignore_still: bool = True,
) -> Video:
    """Resizes the frames and computes the flow, unless an earlier call with the same files has kept both.

    "validation" is the pairs within the last tenth of each clip's frames: none of a clip of fewer than 20. Pairs with
    one frame in it and one before it are in no split. What is kept is found by the names, sizes and times of the files
    and by the settings; it appears whole or not at all, and processes that want the same at once wait for the one that
    makes it.

    A point is visible where its flow ends inside the frame and the flow back from there leads home, to within
    `TOLERANCE`. Where the image moves by less than about 5 pixels, a part of what it covers passes this test.

    Args:
      folder: holds the frames of one clip, or clips in folders of their own; see `find_clips`.
      size: (height, width) that frames are resized to, in pixels.
      cache_dir: folder that frames and flow are kept in.
      max_gap: two frames make a pair where they are 1 to `max_gap` frames apart in one clip.
      ignore_still: count what does not move as not visible, as the first paper does: where the camera stands still,
        that is the background.

    Returns:
      A `Video`.

    Raises:
      ValueError: if there are no clips, a frame cannot be read, the size or the gap is too small, or OpenCV, which
        computes the flow, is not installed.
      OSError: if frames and flow cannot be written; nothing of them is left then.
    """
    if len(size) != 2 or min(size) < LEAST_SIDE:
        raise ValueError(f"size is {tuple(size)}; give a height and a width of at least {LEAST_SIDE} pixels")
    if max_gap < 1:
        raise ValueError(f"max_gap is {max_gap}; give 1 or more")
    folder, cache_dir = (pathlib.Path(path).expanduser() for path in (folder, cache_dir))
    clips = find_clips(folder)
    first, second, splits = _pairs([len(clip) for clip in clips], max_gap)
    frames = [path for clip in clips for path in clip]
    whole = cache_dir / "video" / _key(frames, [*map(int, size), max_gap, ignore_still])
    make = lambda begun: _write(begun, frames, size, list(zip(first, second)), ignore_still)  # noqa: E731
    needed = (3 * len(frames) + 5 * len(first)) * math.prod(map(int, size))  # images; flow, and what is seen
    kept.make_once(whole, make, lambda there: _read(there, len(frames), len(first)), size=needed)
    arrays, paths = _read(whole, len(frames), len(first)), tuple(map(str, frames))
    return Video(first=first, second=second, splits=splits, paths=paths, **arrays)


def find_clips(folder: str | os.PathLike) -> list[list[pathlib.Path]]:
    """Finds the frames: the pictures of one folder are one clip, in order of the numbers in their names.

    Numbers may have fractions, as seconds do: t0.25 comes before t0.5. Where a fraction ends in 0, as in 1.10, both
    parts are whole numbers: 1.9 comes before 1.10.

    Args:
      folder: is searched, and all folders in it. One with a single picture is no clip.

    Returns:
      List of clips, each a list of at least two paths.

    Raises:
      ValueError: if there is none.
    """
    folder = pathlib.Path(folder).expanduser()
    paths = [pathlib.Path(path) for path in filter(listing.is_picture, listing.files_below(folder))]
    by_folder = {}
    for path in sorted(paths, key=lambda path: _natural(path.relative_to(folder))):
        by_folder.setdefault(path.parent, []).append(path)
    clips = [_in_order(clip) for clip in by_folder.values() if len(clip) > 1]
    if not clips:
        raise ValueError(
            f"{folder} holds no two frames in one folder; give a folder with the frames of a video as pictures "
            f"({', '.join(listing.EXTENSIONS)}), numbered in their names"
        )
    return clips


def _in_order(clip):
    """The frames of a clip in order of the numbers in their names, which may have fractions."""
    parts = {found for path in clip for found in re.findall(r"\d+\.(\d+)", path.name)}
    if any(len(part) > 1 and part.endswith("0") for part in parts):
        return clip
    ordered = sorted(clip, key=lambda path: _natural(pathlib.Path(path.name), r"(\d+(?:\.\d+)?)"))
    if ordered != clip:
        first, second = next((a, b) for a, b in zip(ordered, ordered[1:]) if clip.index(a) > clip.index(b))
        progress.note(f"{clip[0].parent}: the numbers in names have fractions: {first.name} is before {second.name}")
    return ordered


def _natural(path, number=r"(\d+)"):
    """Sorts frame2 before frame10, folder by folder."""
    pieces = [re.split(number, part) for part in path.parts]
    return [[fractions.Fraction(word) if k % 2 else word for k, word in enumerate(words)] for words in pieces], str(
        path
    )


def _pairs(lengths, max_gap):
    """Frames of each pair [P], and the splits, of clips that lie one after the other."""
    first, second, splits, start = [], [], {"train": [], "validation": []}, 0
    for length in lengths:
        held_out = start + length - length // 10  # the first frame of the last tenth
        for a in range(start, start + length):
            for b in range(a + 1, min(a + max_gap, start + length - 1) + 1):
                if b < held_out or a >= held_out:
                    splits["train" if b < held_out else "validation"].append(len(first))
                first.append(a)
                second.append(b)
        start += length
    return np.array(first), np.array(second), {name: np.array(pairs, np.int64) for name, pairs in splits.items()}


def _key(frames, settings):
    listed = [(os.path.abspath(path), *files.state(path)) for path in frames]
    return hashlib.sha256(json.dumps([_VERSION, settings, listed]).encode()).hexdigest()[:16]


def _read(folder, frames, pairs):
    """The arrays in a folder, of so many frames and pairs, those of pictures mapped into memory."""
    counts = {"images": frames, "flow": pairs, "visible": pairs, "seen": pairs}
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode=None if name == "seen" else "r") for name in counts}
    for name, count in counts.items():
        if len(arrays[name]) != count:
            raise ValueError(f"{name}.npy has {len(arrays[name])} of {count} parts")
    return arrays


def _write(folder, frames, size, pairs, ignore_still):
    """Writes all arrays into a folder."""
    _opencv()  # refuses before the frames are read
    _write_images(folder / "images.npy", frames, size)
    _write_flow(folder, pairs, ignore_still)


def _write_images(path, frames, size):
    with _array_file(path, np.uint8, (len(frames), *size, 3)) as file:
        for frame in tqdm(frames, desc="Reading the frames", unit=" frames"):
            image = Image.fromarray(decoding.read_picture(frame))
            file.write(image.resize((size[1], size[0]), Image.Resampling.BILINEAR).tobytes())


def _write_flow(folder, pairs, ignore_still):
    images = np.load(folder / "images.npy", mmap_mode="r")
    shape, seen = (len(pairs), *images.shape[1:3]), []
    with (
        _array_file(folder / "flow.npy", np.float16, (*shape, 2)) as flow_file,
        _array_file(folder / "visible.npy", np.uint8, shape) as visible_file,
    ):
        for a, b in tqdm(pairs, desc="Computing the flow", unit=" pairs"):
            forward, backward = _flow(images[a], images[b]), _flow(images[b], images[a])
            visible = _visible(forward, backward)
            if ignore_still:
                visible &= np.linalg.norm(forward, axis=-1) >= STILL_FLOW
            flow_file.write(forward.astype(np.float16).tobytes())
            visible_file.write(visible.astype(np.uint8).tobytes())
            seen.append(visible.mean())
    np.save(folder / "seen.npy", np.float32(seen))


def _array_file(path, dtype, shape):
    """A new .npy file, to which the bytes of the array are still to be written; so a full disk is an OSError."""
    file = open(path, "wb")  # noqa: SIM115
    description = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": tuple(map(int, shape))}
    np.lib.format.write_array_header_1_0(file, description)
    return file


def _flow(image_a, image_b):
    """Flow float32 [H, W, 2] from uint8 image a to b [H, W, 3]."""
    cv2 = _opencv()
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)  # the preset stops at half the size: of small frames, errors are then five times as large
    return search.calc(*(cv2.cvtColor(np.array(image), cv2.COLOR_RGB2GRAY) for image in (image_a, image_b)), None)


def _visible(forward, backward):
    """Where the flow forward ends inside the image and the flow backward from there leads home: boolean [H, W]."""
    height, width = forward.shape[:2]
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    x, y = columns + forward[..., 0], rows + forward[..., 1]  # from 0 at the pixels' centre, as OpenCV counts
    inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
    cv2 = _opencv()
    back = cv2.remap(backward, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    missed = np.linalg.norm(forward + back, axis=-1)
    return inside & (missed < TOLERANCE[0] + TOLERANCE[1] * np.linalg.norm(forward, axis=-1))


def _opencv():
    try:
        import cv2
    except ImportError as error:
        raise progress.not_installed("the flow between frames", "OpenCV", "video") from error
    return cv2
