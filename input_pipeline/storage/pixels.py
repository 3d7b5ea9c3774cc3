"""What the pixels of a file mean: 16 bits, signs, palettes and transparency become RGB of 8 bits on white."""

from typing import Any

import numpy as np
from PIL import Image

_GREYS = {"L;2": 85, "L;4": 17}  # of few bits: what Pillow multiplies them with, but not the transparent one
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of a TIFF: how many bits, what numbers mean, which they are
_SIGNED = 2  # a sample format


class Unsuited(Exception):
    """What is wrong with a file that is not damaged."""


def mend(image: Any) -> None:
    """Sets right what Pillow takes from a header, before it reads the pixels.

    Args:
      image: that Pillow has opened.

    Raises:
      Unsuited: if Pillow would read them wrongly.
    """
    stored = image.tile[0][3] if image.tile else ""  # what the pixels are in the file, such as L;4
    if image.format == "PNG" and "transparency" in image.info:
        if stored == "RGB;16B":
            raise Unsuited("a transparent colour of 16 bits; save it as a PNG of 8 bits")
        if stored in _GREYS:
            image.info["transparency"] *= _GREYS[stored]
    if image.format == "BMP" and image.mode == "1":
        image.fp.seek(28)
        if image.fp.read(1) != b"\1":
            raise Unsuited("a BMP of black and white in more than one bit; save it as a PNG")


def to_rgb(image: Any) -> Image.Image:
    """Converts an image of Pillow, of any mode, to RGB of 8 bits, over white where it is transparent.

    Raises:
      Unsuited: if it has pixels of 32 bits, or below 0.
    """
    if image.mode == "F":
        raise Unsuited("pixels of 32 bits; at most 16 can be read")
    if image.mode.startswith("I"):
        values, most = np.asarray(image), _most(image)
        if image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == 0:  # white is 0, as in many X-rays
            values = most - values.astype(np.int64)
        return _from_16_bits(values, most, image.info.get("transparency")).convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _most(image):
    """The value of white in a picture of numbers beyond 8 bits; only TIFFs have fewer than 16 bits, such as 12."""
    (bits, *_), (kind, *_) = _tag(image, _BITS, 16), _tag(image, _SAMPLE_FORMAT, 1)
    if kind == _SIGNED and bits <= 16 and np.asarray(image).min() < 0:
        raise Unsuited("signed pixels, some of which are below 0; save it with pixels from 0 to 65535")
    return 2**bits - 1 if 8 < bits < 16 else 65535


def _tag(image, tag, usual):
    """The numbers that a tag of a TIFF has for each colour; what is usual, of another format too."""
    found = image.tag_v2.get(tag, usual) if image.format == "TIFF" else usual
    return found if isinstance(found, tuple) else (found,)


def _from_16_bits(values, most, transparent):
    """Scales 0..most to 0..255, the transparent value to white; Pillow's own conversion would clip at 255."""
    if values.min() < 0 or values.max() > most:
        raise Unsuited("pixels of 32 bits; at most 16 can be read")
    scaled = ((255 * values.astype(np.int32) + most // 2) // most).astype(np.uint8)
    return Image.fromarray(scaled if transparent is None else np.where(values == transparent, np.uint8(255), scaled))
