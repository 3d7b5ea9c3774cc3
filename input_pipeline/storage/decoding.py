"""Decodes picture files to upright RGB pixels, whatever format, colours and orientation they are stored in."""

import collections
import contextlib
import errno
import functools
import io
import math
import os
import pathlib
import re
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from dense_labels import progress
from input_pipeline.storage import orientation, pixels

MOST_PIXELS = 89_478_485  # a quarter of a GiB of RGB; a file of more may be made to fill the memory
MOST_SCANS = 64  # of a JPEG, each a pass over all pixels; as `exporting.decoding_graph`

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")  # no others: some run programs
_DARK = 32  # of 255: pictures that are darker all over are probably not what they were
_LASTING = (  # EINVAL and EOVERFLOW: a damaged file names places that no file has
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EACCES, errno.EPERM),
    *(errno.EINVAL, errno.EOVERFLOW),
)
_SCAN = re.compile(rb"\xff\xda\x00(?:\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")  # begins one of a JPEG
_PAUSES = (1.0, 5.0)  # seconds before a file is read again that the system failed to read
_WAITED_FOR = 20  # pictures: where so many fail, others will too

_T = TypeVar("_T")
_failed: collections.deque[str] = collections.deque(maxlen=_WAITED_FOR)  # why, of pictures that were waited for

warnings.filterwarnings("ignore", module=r"PIL\.")  # what is wrong with a file is said once, by PictureError


class PictureError(ValueError):
    """A file that cannot be used as a picture.

    Attributes:
      reason: why, in a few words.
      may_pass: whether the system failed to read it, as where a network file system does not answer, in which case the
        file may be as good as any.
    """

    def __init__(self, path: str | os.PathLike, reason: str, *, may_pass: bool = False):
        super().__init__(progress.printable(f"{path}: {reason}"))
        self.reason, self.may_pass = reason, may_pass


def read_picture(path: str | os.PathLike, *, content: bytes | None = None) -> np.ndarray:
    """Reads a picture as a viewer would show it: upright, and over white where it is transparent.

    The format is told by the content, whatever the name. Of an animation the first frame is read; 12 and 16 bits
    are scaled to 8. A picture whose EXIF data cannot be read is taken for upright, as viewers do; other data, such as
    XMP, turn nothing. Served models see the same pixels of the formats that they read.

    Args:
      path: of a JPEG, PNG, WebP, BMP, GIF or TIFF file.
      content: of that file, where it has been read from elsewhere; None to read it here.

    Returns:
      uint8 [H, W, 3], RGB.

    Raises:
      PictureError: a ValueError of one line, if the file is not there, is no picture, is empty, truncated or otherwise
        damaged, or has more than `MOST_PIXELS` pixels.
    """
    with _opened(path, content) as image:
        if image.format in ("JPEG", "MPO"):
            _check_scans(read_file(path) if content is None else content)
        pixels.mend(image)
        image.load()
        turn = orientation.TURNS.get(orientation.of_pixels(image))
        upright = pixels.to_rgb(image)
        return np.asarray(upright if turn is None else upright.transpose(turn))


def read_patiently(read: Callable[[], _T]) -> _T:
    """Calls a function that reads a picture, and again after a pause, and a longer one, while what fails may pass.

    Once that has failed for many pictures, there are no more pauses until one is read.

    Args:
      read: raises a `PictureError` where it fails.

    Returns:
      What it returns.

    Raises:
      PictureError: of the last call.
    """
    for pause in _PAUSES if len(_failed) < _WAITED_FOR else ():
        try:
            return read()
        except PictureError as error:
            if not error.may_pass:
                raise
        time.sleep(pause)
    try:
        found = read()
    except PictureError as error:
        if error.may_pass:
            _failed.append(error.reason)
        raise
    _failed.clear()
    return found


def read_file(path: str | os.PathLike) -> bytes:
    """Reads the file of a picture as it is; raises a PictureError if the system fails to."""
    with _failing(path):
        return pathlib.Path(path).read_bytes()


def read_size(path: str | os.PathLike) -> tuple[int, int]:
    """Reads the (height, width) of the upright picture from a file's header, and from what stands behind its pixels.

    Raises:
      PictureError: as `read_picture`, as far as the header shows it.
    """
    with _opened(path) as image:
        width, height = image.size
        return (width, height) if orientation.exchanges_sides(orientation.of_header(image)) else (height, width)


def read_sizes(paths: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Reads (height, width) of pictures, each once; (0, 0) of a damaged one, of which `resized.prepare` says more.

    Raises:
      PictureError: if the system fails to read one, again and again.
    """
    known: dict[str, tuple[int, int]] = {}
    for path in paths:
        if path not in known:
            try:
                known[path] = read_patiently(functools.partial(read_size, path))
            except PictureError as error:
                if error.may_pass:
                    raise
                known[path] = 0, 0
    return known


def read_orientation(path: str | os.PathLike, *, content: bytes | None = None) -> int:
    """Reads the EXIF orientation that a picture is stored in, 1 to 8; 1, which is upright, of one that cannot be read.

    `read_picture` undoes it: from 2 on the stored picture is turned or mirrored.
    """
    try:
        with _opened(path, content) as image:
            return orientation.of_file(image)
    except PictureError:
        return 1


def read_format(path: str | os.PathLike, *, content: bytes | None = None) -> str:
    """Reads the format of a picture from its content, as Pillow calls it, such as JPEG.

    Args:
      path, content: as of `read_picture`.

    Raises:
      PictureError: as `read_size`.
    """
    with _opened(path, content) as image:
        return str(image.format)


def warn_of_darkness(count: int, brightest: int) -> None:
    """Warns where none of so many pictures has a pixel that is not dark, of 255."""
    if count and brightest < _DARK:
        progress.warn(
            f"no pixel of {count} pictures is brighter than {brightest} of 255; where 16-bit files hold 10 or 12 bits, "
            "scale them to the full range, for they are seen nearly black"
        )


def read_resized(
    path: str | os.PathLike, box: Sequence[float] | None, size: tuple[int, int], *, content: bytes | None = None
) -> tuple[np.ndarray, tuple[float, float], tuple[int, int]]:
    """Reads a picture and resizes a box of it, antialiased; the picture is stretched where the shapes differ.

    It is resized as `tf.image.resize(..., antialias=True)` does it, with which a served model meets its pictures.
    Where the box reaches beyond the picture, the picture's edge is repeated.

    Args:
      path, content: as in `read_picture`.
      box: left, top, right, bottom in continuous pixels of the upright picture, or None for the whole.
      size: (height, width) in pixels.

    Returns:
      uint8 [height, width, 3]; how many pixels of the picture one of these is, along x and y; and the (height, width)
      of the upright picture.

    Raises:
      PictureError: as `read_picture`, or if the box lies outside of the picture.
    """
    picture = read_picture(path, content=content)
    return *resize_box(picture, box, size, path=path), picture.shape[:2]


def resize_box(
    picture: np.ndarray, box: Sequence[float] | None, size: tuple[int, int], *, path: str | os.PathLike
) -> tuple[np.ndarray, tuple[float, float]]:
    """Resizes a box of a picture as `read_resized` does.

    Args:
      picture: uint8 [H, W, 3].
      box, size: as of `read_resized`.
      path: of the picture, for messages.

    Returns:
      uint8 [height, width, 3], and how many pixels of the picture one of these is, along x and y.

    Raises:
      PictureError: if the box lies outside of the picture.
    """
    box = (0, 0, picture.shape[1], picture.shape[0]) if box is None else box
    scale = ((box[2] - box[0]) / size[1], (box[3] - box[1]) / size[0])
    picture, box = _reaching(path, picture, box)
    image = Image.fromarray(picture).resize(
        (size[1], size[0]),
        Image.Resampling.BILINEAR,
        box=(box[0], box[1], box[2], box[3]),
        reducing_gap=3.0,  # by whole factors first: ten times as fast for large pictures
    )
    return np.asarray(image), scale


def _reaching(path, picture, box):
    """Repeats the edges of a picture as far as a box reaches beyond; returns it, and where the box is then."""
    height, width, _ = picture.shape
    left, top, right, bottom = box
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        raise PictureError(path, "its box lies outside of it")
    before_x, before_y, after_x, after_y = (
        math.ceil(max(0, beyond)) for beyond in (-left, -top, right - width, bottom - height)
    )
    if not (before_x or before_y or after_x or after_y):
        return picture, box
    if (before_x + width + after_x) * (before_y + height + after_y) > MOST_PIXELS:
        raise PictureError(path, f"its box has {_too_many(MOST_PIXELS)}")
    picture = np.pad(picture, ((before_y, after_y), (before_x, after_x), (0, 0)), mode="edge")
    return picture, (left + before_x, top + before_y, right + before_x, bottom + before_y)


@contextlib.contextmanager
def _opened(path, content=None):
    with _failing(path, content):
        if content is None and os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
            raise pixels.Unsuited("a pipe or a device, not a file")  # whose first byte may be long in coming
        with Image.open(path if content is None else io.BytesIO(content), formats=_FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise pixels.Unsuited(_too_many(MOST_PIXELS))
            yield image


def _check_scans(content):
    """Refuses what takes the longest to decode; bytes behind a picture, such as a film's, are no scans."""
    if (scans := len(_SCAN.findall(content))) > MOST_SCANS:
        raise pixels.Unsuited(f"a JPEG of {scans} scans, where {MOST_SCANS} is the most that is read")


@contextlib.contextmanager
def _failing(path, content=None):
    """Has whatever fails be a PictureError."""
    try:
        yield
    except MemoryError:
        raise  # the file may be as good as any
    except Exception as error:  # decoders raise almost anything at damaged data
        may_pass = isinstance(error, OSError) and bool(error.errno) and error.errno not in _LASTING
        raise PictureError(path, _reason(path, content, error), may_pass=may_pass) from error


def _reason(path, content, error):
    if isinstance(error, Image.DecompressionBombError):  # of twice what Pillow's own limit is, which anyone may set
        return _too_many(min(MOST_PIXELS, 2 * (Image.MAX_IMAGE_PIXELS or MOST_PIXELS)))
    if isinstance(error, pixels.Unsuited):
        return str(error)
    if isinstance(error, UnidentifiedImageError):
        size = os.path.getsize(path) if content is None else len(content)
        return "not a picture of a known format" if size else "empty"
    if isinstance(error, OSError) and error.errno:
        return error.strerror.lower()
    message = " ".join(str(error).split())
    return "truncated" if "truncated" in message.lower() else f"damaged: {message}"


def _too_many(count):
    return f"more than {count / 1e6:.2g} million pixels"
