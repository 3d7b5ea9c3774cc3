"""Pictures of the frames of videos, for formats that name a video and count its frames, from 0."""

import os
import re
from collections.abc import Mapping

from dense_labels import progress
from input_pipeline.storage import listing


class Frames:
    """The pictures in a folder whose names end with a number, such as img0012.png, by the video that they are of.

    A picture is of the video that the innermost folder about it is named as. Where no folder is named as a video, all
    of one folder are of it, if it is the only one: else nothing says which of them are.
    """

    def __init__(self, dir: str | os.PathLike, videos: Mapping[str, int]):
        """Looks into a folder and the folders in it.

        Args:
          dir: the folder.
          videos: name or path of each video of the file, "" where it has none -> how many frames it has; 0: not known.

        Raises:
          ValueError: if there is no such folder.
          OSError: if a folder in it cannot be read.
        """
        self._dir = os.fspath(dir)
        self._names = _names(videos)
        self._paths: dict[tuple[str | None, int], list[str]] = {}
        owners: dict[str, str | None] = {}  # folder -> video
        for path in listing.files_below(dir):
            place, last = os.path.split(path)
            if place not in owners:
                owners[place] = self._owner(tuple(os.path.relpath(place, dir).split(os.sep)))
            digits = re.search(r"(\d{1,12})$", os.path.splitext(last)[0], re.ASCII)
            if digits and listing.is_picture(last):
                self._paths.setdefault((owners[place], int(digits[1])), []).append(path)
        self._owners, self._counts = set(owners.values()), dict(videos)
        self._checked: set[str | None] = set()
        self._place = ""  # where the first picture of a video lies that no folder is named as

    def _owner(self, folders):
        """The video of the innermost folder that is named as one, None where none is."""
        found = [
            (end, len(name), video)
            for video, name in self._names.items()
            for end in range(len(folders))
            if folders[: end + 1][-len(name) :] == name
        ]
        return max(found)[2] if found else None

    def find(self, number: int, video: str, where: str) -> str:
        """Returns the picture of a frame: the one that ends with its number, in a folder named as the video.

        Where no folder is, and there is one video, it may lie in any folder, the same for all.

        Args:
          number: of the frame, from 0.
          video: one of the videos.
          where: the place in the file, for the message.

        Raises:
          ValueError: if there is none, or there are several, or it could be of another video.
        """
        own, name = self._names[video], "/".join(self._names[video])
        what = f"{where}: frame {number}" + (f" of the video {video}" if video else "")
        if list(self._names.values()).count(own) > 1:
            raise ValueError(f"{what}: another video is called {name} too; give each a name of its own")
        anywhere = video not in self._owners and len(self._names) == 1
        owner = None if anywhere else video
        paths = self._paths.get((owner, number), [])
        if len(paths) != 1:
            raise ValueError(
                f"{what} needs one picture in {self._dir} whose name ends with its number, such as "
                f"{name or 'video'}/img{number:04}.png; there are {len(paths)}"
                + ("" if anywhere else f" in folders named {name or 'as the video'}")
            )
        if owner not in self._checked:
            self._checked.add(owner)
            self._check_first(owner, self._counts[video], what)
        if anywhere:
            self._check_place(os.path.dirname(paths[0]), name, what)
        return paths[0]

    def _check_place(self, place, name, what):
        """Refuses frames of one video in several folders, which may be of several videos."""
        self._place = self._place or place
        if place != self._place:
            todo = f"put those of this one below a folder named {name}" if name else "give the folder of this one alone"
            raise ValueError(
                f"{what} lies in {place}, and another of its frames in {self._place}: these may be frames of other "
                f"videos; {todo}"
            )

    def _check_first(self, owner, count, what):
        """Refuses pictures that are numbered from 1, as ffmpeg does; warns where they may be, or be of some frames."""
        numbers = {number for place, number in self._paths if place == owner}
        if 1 < len(numbers) == max(numbers) - min(numbers) + 1 and min(numbers) < 2 and count >= 2 * len(numbers):
            progress.warn(
                f"{what}: the video has {count} frames, and the pictures in {self._dir} are numbered from "
                f"{min(numbers)} to {max(numbers)} without a gap; if they are every few frames of it, number each as "
                "its frame, from 0"
            )
        if min(numbers) != 1:
            return
        there = f"{what}: the pictures in {self._dir} are numbered from 1 to {max(numbers)}, and frames count from 0"
        if 0 < count <= max(numbers):
            raise ValueError(
                f"{there}, {count} of them, so each would be taken for the one after it; number them from 0 (ffmpeg: "
                "-start_number 0)"
            )
        if not count and len(numbers) == max(numbers) > 1:
            progress.warn(f"{there}; if ffmpeg numbered them, number them anew, with -start_number 0")


def _names(videos):
    """Video -> the folders that its frames may lie in: as many parts of its path, the last one first, as tell it."""
    paths = {video: os.path.splitext(video.replace("\\", "/"))[0] for video in dict.fromkeys(videos)}
    parts = {video: tuple(filter(None, path.split("/"))) for video, path in paths.items()}
    names = {}
    for video, own in parts.items():
        others = [other for each, other in parts.items() if each != video]
        enough = (own[-k:] for k in range(1, len(own)) if all(other[-k:] != own[-k:] for other in others))
        names[video] = next(enough, own)
    return names
