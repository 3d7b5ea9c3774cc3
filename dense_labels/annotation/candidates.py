"""What can be chosen to be annotated: pictures of a folder, or frames of videos, which become pictures once chosen."""

from __future__ import annotations

import collections
import functools
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from dense_labels import files, progress
from dense_labels.prediction import inputs, leftovers, reading
from dense_labels.registry import FORMATS
from input_pipeline.storage import listing, uncorrected, videos

_AHEAD = 64  # pictures that are decoded, or are being decoded, before they are wanted


class Stills(NamedTuple):
    """Pictures; a key is a path."""

    folder: str  # that names start from
    paths: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def images(self, size: tuple[int, int]) -> Iterator[tuple[str, np.ndarray]]:
        """Yields the pictures, a few decoded ahead; those that cannot be read are counted and named at the end."""
        tasks = (functools.partial(reading.read_picture, {"name": path}, path, size) for path in self.paths)
        failed = []
        for seen in reading.done_ahead(tasks, _AHEAD):
            if seen.image is None:
                failed.append(f"{seen.facts['name']}: {seen.facts['failed']}")
            else:
                yield seen.facts["name"], seen.image
        if failed:
            progress.warn(f"{len(failed)} of {len(self.paths)} pictures cannot be read, such as {failed[0]}")

    def files(self, keys: Sequence[str]) -> list[str]:
        """Returns the paths."""
        return list(keys)

    def keep(self, keys: Sequence[str]) -> list[str]:
        """Returns the paths."""
        return list(keys)


class Frames(NamedTuple):
    """Frames of videos; a key is the path of a video and the index of a frame."""

    folder: str  # that the names of the written ones start from
    counts: dict[str, int]  # path of a video -> how many frames it has, as far as is known
    most: int  # frames of all videos together that are looked at

    def __len__(self) -> int:
        return sum(map(len, map(self._looked_at, self.counts)))

    def images(self, size: tuple[int, int]) -> Iterator[tuple[tuple[str, int], np.ndarray]]:
        """Yields frames, as many apart in each video."""
        for path in self.counts:
            for frame in videos.read_frames(path, only=self._looked_at(path)):
                resized = Image.fromarray(frame.picture).resize(size[::-1], Image.Resampling.BILINEAR, reducing_gap=3.0)
                yield (path, frame.index), np.asarray(resized)

    def files(self, keys: Sequence[tuple[str, int]]) -> list[str]:
        """Returns the paths that the frames are written to."""
        counts = {path: videos.read_count(path) for path in {path for path, _ in keys}}
        names = (videos.frame_name(path, index, counts[path]) for path, index in keys)
        return [os.path.join(self.folder, videos.FRAMES_FOLDER, name) for name in names]

    def keep(self, keys: Sequence[tuple[str, int]]) -> list[str]:
        """Writes the frames as DeepLabCut does, labeled-data/VIDEO/img0042.png below the folder.

        Raises:
          ValueError: if frames of another video of that name are there.
        """
        written = []
        for path in self.counts:
            indices = {index for video, index in keys if video == path}
            for frame in videos.read_frames(path, only=indices) if indices else ():
                (name,) = self.files([(path, frame.index)])
                videos.write_frame(name, frame.picture)
                written.append(name)
        return written

    def _looked_at(self, path):
        """The indices of the frames of a video that are looked at."""
        count = self.counts[path]
        return range(0, count, max(1, -(-count * len(self.counts) // self.most)))


def find(given: str | os.PathLike | Sequence[str | os.PathLike], *, out: str, most: int, seed: int) -> Stills | Frames:
    """Finds what can be chosen.

    Args:
      given: pictures, as of `prediction.inputs.find`; or a video, several of them, or a folder of videos, also in
        folders in it, and of no pictures but those that predictions have written there.
      out: folder that frames of videos are written below.
      most: how many pictures or frames are looked at; of more pictures so many are drawn.
      seed: of that draw.

    Returns:
      The candidates.

    Raises:
      ValueError: if there are none, a video cannot be opened, two have one name, or one has a name that is not UTF-8.
    """
    if clips := _videos(given):
        for path in clips:
            if not files.is_text(path):
                raise ValueError(f"{progress.printable(path)}: {files.NOT_TEXT}, as those of its frames are; rename it")
        named = collections.Counter(pathlib.PurePath(path).stem for path in clips)
        if twice := [stem for stem, count in named.items() if count > 1]:
            raise ValueError(f"several videos are called {twice[0]}, and so would their frames be; rename one")
        return Frames(out, {path: videos.read_count(path) or videos.count_frames(path) for path in clips}, most)
    found = inputs.find(given)
    paths = [path for path in found.paths if files.is_text(path)]
    if len(paths) < len(found.paths):
        progress.note(f"{len(found.paths) - len(paths)} pictures have names that are no text: rename them")
    if len(paths) > most:
        drawn = np.sort(np.random.default_rng(seed).choice(len(paths), most, replace=False))
        progress.note(f"of {len(paths)} pictures {most} are looked at, drawn by the seed of the run")
        paths = [paths[index] for index in drawn]
    return Stills(found.folder, tuple(paths))


def _videos(given):
    """The videos that are given; none where pictures are. A file is one as in a prediction, by `inputs.find_video`."""
    if not isinstance(given, (str, os.PathLike)):
        listed = tuple(os.path.expanduser(os.fspath(path)) for path in given)
        return listed if all(map(inputs.find_video, listed)) else ()
    path = os.path.expanduser(os.fspath(given))
    if not os.path.isdir(path):
        return (path,) if inputs.find_video(path) else ()
    inside = _not_predicted(path)
    if any(map(listing.is_picture, inside)):
        return ()
    return tuple(file for file in inside if file.lower().endswith(videos.EXTENSIONS))


def _not_predicted(top):
    """The files below a folder but for drawn videos, and all that predictions have written there."""
    written = functools.cache(lambda *folders: uncorrected.read_digests(pathlib.Path(top, *folders, leftovers.FILE)))
    drawn, kept = FORMATS["video"].facts["file"], []
    for file in listing.files_below(top):
        parts = pathlib.PurePath(file).relative_to(top).parts
        if parts[-1] != drawn and not any(part in written(*parts[:depth]) for depth, part in enumerate(parts)):
            kept.append(file)
    return kept
