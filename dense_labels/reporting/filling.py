"""How pages are written: templates that are filled in, data and pictures that are part of the file."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import io
import json
import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from dense_labels import files

_LONGEST = 16383  # pixels of a side of a WebP


def template(name: str) -> str:
    """Returns the text of a template."""
    templates = importlib.resources.files("dense_labels.reporting").joinpath("templates")
    return templates.joinpath(name).read_text(encoding="utf-8")


def fill(name: str, parts: Mapping[str, str]) -> str:
    """Puts parts into the places {{name}} of a template; what they hold is not looked into again."""
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], template(name))


def write(path: str | os.PathLike, name: str, parts: Mapping[str, str]) -> None:
    """Writes a page that `fill` fills, whole or not at all; what is no UTF-8 in it, as names may have, is spelt out.

    Raises:
      OSError: if it cannot be written.
    """
    files.write_whole(path, fill(name, parts).encode("utf-8", "backslashreplace"))


def json_text(data: Any) -> str:
    """Returns JSON that may stand inside a <script>: it neither ends it nor begins a comment."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return re.sub("[<>&]", lambda character: f"\\u{ord(character[0]):04x}", text)


def base64_text(array: np.ndarray) -> str:
    """Returns the bytes of an array, row-major, as base64."""
    return base64.b64encode(np.ascontiguousarray(array)).decode()


def source_hash(text: str) -> str:
    """Returns the source by which a content security policy lets a script or style be that is part of the page."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def webp_uri(picture: np.ndarray, quality: int) -> str:
    """Returns a uint8 picture [H, W, 3] as the address of itself: a WebP of a quality up to 100.

    A picture that is larger than a WebP can be is made smaller.
    """
    image, written = Image.fromarray(picture), io.BytesIO()
    image.thumbnail((_LONGEST, _LONGEST))
    image.save(written, "WEBP", quality=quality)
    return f"data:image/webp;base64,{base64.b64encode(written.getvalue()).decode()}"
