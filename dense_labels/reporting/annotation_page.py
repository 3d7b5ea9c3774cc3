"""A page to annotate pictures in: one HTML file, in which a landmark of one picture appears in all others.

The page needs no network and no server. Label maps are stored in 16 bits; `templates/suggesting.js` finds landmarks by
them as `dense_labels.annotation.suggesting` does, and `templates/refining.js` by the copies of the pictures as
`dense_labels.annotation.refining` does.

**Convention:** points are (x, y) in continuous pixels of the upright picture as its owner has it, whatever the size of
the copy in the page.
"""

from __future__ import annotations

import dataclasses
import hashlib
import html
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from dense_labels import progress
from dense_labels.batches import Frame, LabelMap
from dense_labels.reporting import filling, page

LONGEST = 1024  # pixels of the longer side of a copy
_QUALITY = 90  # of copies as WebP, of 100
_HIDDEN = "hidden"  # of a landmark, as `templates/annotation_state.js` has it
SCRIPTS = (
    "matching.js",
    "suggesting.js",
    "refining.js",
    "annotation_files.js",
    "annotation_state.js",
    "annotation_view.js",
)


@dataclasses.dataclass(frozen=True, eq=False)
class Sheet:
    """The pictures of a page, and what is known of them.

    Attributes:
      names: of the N pictures, as annotations name them.
      labels: of the pictures.
      points: float [N, K, 2], (x, y) in pixels of the pictures.
      annotated: [N, K], 1 where a point is annotated.
      hidden: [N, K], 1 where something hides a landmark, whether its point is annotated or not.
      landmark_names: K.
      frame: in which the network sees pictures.
      settings: `window` and `finer`, of `dense_labels.annotation.suggesting`, and those of `refining`.
      category: what COCO annotations call the objects.
      predicted: float [N, K, 3], x and y in pixels of the pictures and how certain, of what a detector suggests; not a
        number where it does not, and labels do. None: nowhere.
      others: name, (height, width), points [K, 2], annotated [K] and hidden [K] of annotated pictures that the page
        does not show, but hands on.
    """

    names: Sequence[str]
    labels: LabelMap
    points: np.ndarray
    annotated: np.ndarray
    hidden: np.ndarray
    landmark_names: Sequence[str]
    frame: Frame
    settings: dict[str, float]
    category: str
    predicted: np.ndarray | None = None
    others: Sequence[tuple[str, tuple[int, int], np.ndarray, np.ndarray, np.ndarray]] = ()


def write(path: str | os.PathLike, title: str, sheet: Sheet, pictures: Iterable[np.ndarray], *, command: str) -> str:
    """Writes the page, whole or not at all.

    A page of other content that is there stays, and this one is called NAME-ID.html: a browser may hold points that
    were placed in the other and have not been downloaded, and some keep them by the path of the file.

    Args:
      path: of the file; its folder exists.
      title: of the page.
      sheet: what is annotated.
      pictures: the N upright pictures, uint8 [H, W, 3], one at a time.
      command: that takes what the page hands out, for the page to show.

    Returns:
      The path of the page.

    Raises:
      ValueError: if there are not as many pictures, label maps, points and names.
      OSError: if it cannot be written.
    """
    data = page_data(sheet, pictures)
    style, script = filling.template("annotation.css"), "".join(map(filling.template, (*SCRIPTS, "annotation.js")))
    parts = {
        "title": html.escape(title),
        "command": html.escape(command),
        "style": style,
        "style_source": filling.source_hash(style),
        "script": script,
        "script_source": filling.source_hash(script),
        "data": filling.json_text(data),
    }
    written = _free(pathlib.Path(path), data["id"])
    filling.write(written, "annotation.html", parts)
    return str(written)


def _free(path: pathlib.Path, own: str) -> pathlib.Path:
    """The path, or another where a page of other content is there."""
    found = re.search(r'"id": ?"([0-9a-f]{16})"', path.read_text("utf-8")) if path.exists() else None
    if not found or found[1] == own:
        return path
    progress.note(f"the page that is there stays, for points in it may not be downloaded yet: {path}")
    return path.with_name(f"{path.stem}-{own}{path.suffix}")


def page_data(sheet: Sheet, pictures: Iterable[np.ndarray]) -> dict[str, Any]:
    """Gathers what the page computes with.

    Args:
      sheet: what is annotated.
      pictures: as of `write`.

    Returns:
      A dictionary that JSON can hold. Labels are base64 of little-endian int16, row-major, to be multiplied by `scale`;
      `id` tells the content of this page from that of others.

    Raises:
      ValueError: as `write`.
    """
    whole, scale = page.quantise(sheet.labels.values)
    rows, columns = sheet.labels.cells
    shown = [
        {**copy, "name": name, "labels": filling.base64_text(labels.astype("<i2")), "points": _points(*known)}
        for name, labels, copy, *known in zip(
            sheet.names, whole, _copies(pictures), sheet.points, sheet.annotated, sheet.hidden, strict=True
        )
    ]
    if sheet.predicted is not None:
        for picture, predicted in zip(shown, sheet.predicted, strict=True):
            picture["predicted"] = _predicted(predicted)
    data = {
        "height": rows,
        "width": columns,
        "length": sheet.labels.length,
        "stride": sheet.labels.stride,
        "scale": scale,
        "margin": sheet.frame.margin,
        "full_size": list(sheet.frame.full_size),
        "settings": sheet.settings,
        "category": sheet.category,
        "landmark_names": list(sheet.landmark_names),
        "pictures": shown,
        "others": [
            {"name": name, "height": height, "width": width, "points": _points(*known)}
            for name, (height, width), *known in sheet.others
        ],
    }
    return {"id": hashlib.sha256(filling.json_text(data).encode()).hexdigest()[:16], **data}


def _copies(pictures: Iterable[np.ndarray]) -> Iterator[dict[str, Any]]:
    """The size of each picture, and a copy of it that is not larger than needed."""
    for picture in pictures:
        height, width = picture.shape[:2]
        scale = min(1, LONGEST / max(height, width))
        if scale < 1:
            size = [max(1, round(side * scale)) for side in (width, height)]
            picture = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
        yield {"height": height, "width": width, "image": filling.webp_uri(picture, _QUALITY)}


def _predicted(predicted: np.ndarray) -> list[Any]:
    """x, y and the certainty of each landmark; None where nothing is predicted."""
    return [[round(float(value), 3) for value in each] if np.isfinite(each).all() else None for each in predicted]


def _points(points: np.ndarray, annotated: np.ndarray, hidden: np.ndarray) -> list[Any]:
    """What `templates/annotation_state.js` has of each landmark; None where it is neither annotated nor hidden."""
    marks = [[_HIDDEN] if each else [] for each in hidden]
    return [
        [round(float(x), 3), round(float(y), 3), *mark] if known else _HIDDEN if mark else None
        for (x, y), known, mark in zip(points, annotated, marks)
    ]
