"""Pictures of the frames of a video, for formats that name a video and count its frames, from 0."""

import os
import re
from collections.abc import Sequence

from input_pipeline.readers import folder
from input_pipeline.storage import decoding


class Frames:
    """The pictures in a folder whose names end with a number, such as img0012.png."""

    def __init__(self, dir: str | os.PathLike):
        """Looks into a folder and the folders in it.

        Raises:
          ValueError: if there is no such folder.
          OSError: if a folder in it cannot be read.
        """
        self._dir = os.fspath(dir)
        self._paths: dict[int, list[str]] = {}
        for path in folder.files_below(dir):
            name, extension = os.path.splitext(os.path.basename(path))
            digits = re.search(r"(\d{1,12})$", name, re.ASCII)
            if digits and extension.lower() in decoding.EXTENSIONS:
                self._paths.setdefault(int(digits[1]), []).append(path)

    def find(self, number: int, video: str, where: str) -> str:
        """Returns the picture of a frame: the one that ends with its number, if need be in a folder named as the video.

        Args:
          number: of the frame, from 0.
          video: name of the video; "" where the file has none.
          where: the place in the file, for the message.

        Raises:
          ValueError: if there is none, or there are several.
        """
        paths = self._paths.get(number, [])
        name = os.path.splitext(video.replace("\\", "/").rsplit("/", 1)[-1])[0]
        of_video = [path for path in paths if name in path.split(os.sep)[:-1]]
        found: Sequence[str] = of_video if len(paths) > 1 else paths
        if len(found) != 1:
            raise ValueError(
                f"{where}: frame {number} of the video {video} needs one picture in {self._dir} whose name ends with "
                f"its number, such as {name or 'video'}/img{number:04}.png; there are {len(paths)}"
            )
        return found[0]
