"""The picture of `benchmarks.detectors`: error against annotated pictures, from recorded draws alone."""

from __future__ import annotations

import glob
import io
import json
import os
import re
import sys

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from PIL import Image

from dense_labels import files, progress
from dense_labels.pictures import sheet

_PLOT, _LEFT = (520, 320), 66  # pixels: the size of the plot, and what is left of it
_OURS = "detector"
_WITHOUT = {  # suffix of a figure -> what it is of
    "_without_pile": "without the pile",
    "_without_either": "without pile and second look",
}
_STYLES = {  # name of a line -> colour, stroke, marker
    _OURS: ("#0072b2", "-", "o"),
    f"{_OURS}_without_pile": ("#56b4e9", "--", "s"),
    f"{_OURS}_without_either": ("#cc79a7", "--", "v"),
    "dlib": ("#d55e00", "-.", "^"),
}
_OTHER = ("#009e73", ":", "D")
_TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_LEAST, _MOST = 1, 500  # annotated pictures that the axis reaches from and to; further where more were drawn
_ALIKE = ("data.annotations", "data.annotations_test", "hold_out", "pictures")  # in what all draws must agree
_ALIKE_IN_A_LINE = ("recipe", "weights", "pile")  # and in what those of one line must, of other counts and seeds


def write(path: str, results: str) -> None:
    """Draws what is recorded into a PNG file, or says in one line why there is nothing to draw.

    Args:
      path: of the picture; its folder is made.
      results: folder of the records.
    """
    records = read(results)
    if not lines(records)[1]:
        sys.exit(f"error: --results={results}: there is no recorded draw of a detector or a peer; nothing is drawn")
    png = io.BytesIO()
    Image.fromarray(draw(records)).save(png, "PNG")
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    files.write_whole(path, png.getvalue())
    print(path)


def read(results: str) -> dict[str, list[dict]]:
    """Reads the records of draws in a folder.

    Args:
      results: the folder; its files NAME_COUNT_SEED.json are read.

    Returns:
      Name of what was fitted -> its records; the detector first.

    Raises:
      ValueError: if one is no such record, or they are of different pictures, or of different detectors.
    """
    found, firsts = {}, {}
    for path in sorted(glob.glob(os.path.join(glob.escape(results), "*.json"))):
        name = re.fullmatch(r"(.+)_\d+_\d+\.json", os.path.basename(path))
        if not name:
            continue
        with open(path) as file:
            record = json.load(file)
        if not {"asked", "error_percent"} <= set(record):
            raise ValueError(f"{path}: is no record of a draw; give a folder of records of this command alone")
        for what, which, keys in (("pictures", "", _ALIKE), ("detectors", name[1], _ALIKE_IN_A_LINE)):
            of = {key: record["asked"].get(key) for key in keys}
            first, others = firsts.setdefault((what, which), (path, of))
            if of != others:
                raise ValueError(f"{path} and {first} are of different {what} ({of} and {others})")
        found.setdefault(name[1], []).append(record)
    return dict(sorted(found.items(), key=lambda entry: entry[0] != _OURS))


def lines(records: dict[str, list[dict]]) -> tuple[str, dict[str, dict[int, list[float]]]]:
    """Chooses what is drawn: pixels where all draws have them and errors are divided by the picture, else percent.

    Args:
      records: what `read` returned.

    Returns:
      What the error is in, and line -> annotated pictures -> the errors of its draws that are numbers. Where there was
      no pile, the line without it would hide the other, and is left out.
    """
    every = [record for each in records.values() for record in each]
    dividers = {record["normaliser"] for record in every if "normaliser" in record}
    in_pixels = dividers == {"picture width"} and all("error_px" in record for record in every)
    figure = "error_px" if in_pixels else "error_percent"
    unit = "px of the picture" if in_pixels else f"% of {dividers.pop()}" if len(dividers) == 1 else "%"
    found: dict[str, dict[int, list[float]]] = {}
    for name, each in records.items():
        for record in each:
            for of in ("", *_WITHOUT):
                value = record.get(figure + of)
                if value is not None and not np.isfinite(value):
                    progress.warn(f"{name}: a draw of {record['asked']['count']} is no number, and is left out")
                elif value is not None:
                    found.setdefault(name + of, {}).setdefault(record["asked"]["count"], []).append(value)
        for of in _WITHOUT:
            if found.get(name) == found.get(name + of):
                found.pop(name + of, None)
    return unit, {name: dict(sorted(found[name].items())) for name in sorted(found, key=_place)}


def _place(name):
    return (list(_STYLES).index(name) if name in _STYLES else len(_STYLES)), name


def draw(records: dict[str, list[dict]]) -> np.ndarray:
    """Draws the mean of the draws, and from the best to the worst of them, by annotated pictures.

    Args:
      records: what `read` returned; one at least.

    Returns:
      uint8 [height, width, 3].
    """
    unit, found = lines(records)
    below = (3.5 + len(found)) * sheet.LINE
    tiles = sheet.Tiles(1, 1, _PLOT, left=_LEFT, right=2 * sheet.MARGIN, below=below)
    axes, counts = tiles.plot(0, 0), [count for each in found.values() for count in each]
    ends = min(_LEAST, *counts), max(_MOST, *counts)
    axes.set(xscale="log", xlim=(ends[0] / 1.15, ends[1] * 1.15))
    axes.xaxis.set(major_locator=FixedLocator(_TICKS), minor_locator=NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.grid(color="0.85", linewidth=sheet.in_points(1))
    middle = tiles.tops[0] + _PLOT[1] / 2
    sheet.write(tiles.figure, sheet.MARGIN + 2, middle, f"mean error, {unit}", ha="center", rotation=90)
    under = tiles.tops[0] + _PLOT[1] + 1.7 * sheet.LINE
    sheet.write(tiles.figure, _LEFT + _PLOT[0] / 2, under, "annotated pictures", ha="center")
    for row, (name, errors) in enumerate(found.items()):
        style = _draw_line(axes, name, errors)
        y = under + (1.3 + row) * sheet.LINE
        sheet.add_marker(tiles.figure, _LEFT + 8, y, style)
        sheet.write(tiles.figure, _LEFT + 26, y, _words(name, errors, found))
    axes.set_ylim(0, 1.08 * max(max(errors) for each in found.values() for errors in each.values()))
    return sheet.render(tiles.figure)


def _draw_line(axes, name, errors):
    """Draws the mean of each count, joined, and its spread; returns the style of its marker."""
    colour, stroke, marker = _STYLES.get(name, _OTHER)
    means = [np.mean(each) for each in errors.values()]
    spread = [[mean - min(each), max(each) - mean] for mean, each in zip(means, errors.values())]
    width = sheet.in_points(2)
    axes.errorbar(list(errors), means, np.transpose(spread), color=colour, linestyle=stroke, linewidth=width, capsize=3)
    style = sheet.dot(marker, colour, 11)
    axes.plot(list(errors), means, **style)
    return style


def _words(name, errors, others):
    of = next((of for of in _WITHOUT if name.endswith(of)), "")
    words, alone = _WITHOUT.get(of, ""), name.removesuffix(of)
    if of == "_without_either" and f"{alone}_without_pile" not in others:  # there was no pile
        words = "without a second look"
    draws = sorted({len(each) for each in errors.values()})
    of = " to ".join(dict.fromkeys(str(draws[k]) for k in (0, -1)))
    return f"{alone} {words}".rstrip() + ": " + ("1 draw" if draws[-1] == 1 else f"mean and range of {of} draws")
