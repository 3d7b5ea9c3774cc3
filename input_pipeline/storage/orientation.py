"""EXIF orientations: how a picture was turned or mirrored when it was stored."""

import contextlib
import os
import struct
from typing import Any

from PIL import ExifTags, Image

TURNS = {  # EXIF orientation -> what makes the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_PNG = b"\x89PNG\r\n\x1a\n"
_EXIF = b"Exif\0\0"  # begins EXIF data, but for some programs
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}  # of the bytes of a number in EXIF data
_WHOLE_NUMBERS = {3: "H", 4: "I", 8: "h", 9: "i"}  # types of EXIF values


def exchanges_sides(orientation: int) -> bool:
    """Says whether the width of a stored picture of an EXIF orientation is the height of the upright one."""
    return 5 <= orientation <= 8


def of_file(image: Any) -> int:
    """Returns the EXIF orientation that a picture is stored in, 1 to 8; 1 is upright, as are other numbers.

    Args:
      image: that has been opened, and whose pixels have not been read.
    """
    found = image.tag_v2.get(ExifTags.Base.Orientation) if image.format == "TIFF" else of_header(image)
    return found if found in TURNS else 1


def of_header(image: Any) -> int:
    """Returns the EXIF orientation that Pillow leaves to be undone, of an image whose pixels have not been read."""
    if image.format == "PNG":
        image.info["exif"] = _last_exif(image.fp, image.info.get("exif", b""))
    return of_pixels(image)


def of_pixels(image: Any) -> int:
    """Returns the EXIF orientation that Pillow leaves to be undone, of an image whose pixels have been read.

    It is read as in `dense_labels.exporting.viewing_graph`; 1 is upright.
    """
    if image.format == "TIFF":
        return 1  # Pillow turns these itself
    exif = image.info.get("exif", b"")
    while exif.startswith(_EXIF):
        exif = exif[len(_EXIF) :]
    found, order = 1, _ORDERS.get(exif[:4])
    if order is None:
        return 1
    with contextlib.suppress(struct.error):  # what is damaged ends here; Pillow would give up at any other value
        start = struct.unpack_from(f"{order}I", exif, 4)[0] + 2
        for place in range(start, start + 12 * struct.unpack_from(f"{order}H", exif, start - 2)[0], 12):
            tag, kind, count = struct.unpack_from(f"{order}HHI", exif, place)
            if tag == ExifTags.Base.Orientation and count == 1 and kind in _WHOLE_NUMBERS:
                found = struct.unpack_from(f"{order}{_WHOLE_NUMBERS[kind]}", exif, place + 8)[0]
    return found


def _last_exif(file, found):
    """The last EXIF chunk of a PNG, which may stand behind the pixels: Pillow finds it there once it has read these."""
    file.seek(len(_PNG))
    while len(header := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", header)
        if kind == b"eXIf":
            found = file.read(length)
        file.seek(4 if kind == b"eXIf" else length + 4, os.SEEK_CUR)
    return found
