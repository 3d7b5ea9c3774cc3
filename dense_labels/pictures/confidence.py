"""Pictures of confidence: where a network is sure, and what that says of its errors.

Figure and section numbers are those of Novotny, Albanie, Larlus and Vedaldi, "Self-supervised learning of geometrically
stable features through probabilistic introspection", CVPR 2018. A label map holds both answers of a network: the
direction of a label is the unit descriptor phi, its length the confidence 1 / sigma.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from dense_labels.batches import LabelMap
from dense_labels.evaluation import confidence as confidence_lib
from dense_labels.evaluation import descriptor_matching
from dense_labels.method import introspection_loss
from dense_labels.pictures import checks, sheet
from dense_labels.pictures.descriptors import CONFIDENCE
from dense_labels.pictures.sheet import GAP, LINE, MARGIN
from dense_labels.registry import PICTURES

if TYPE_CHECKING:
    from dense_labels.pictures.gallery import Material

BY_CONFIDENCE, BY_COSINE, ORACLE, RANDOM = "#0072b2", "#e69f00", "#009e73", "#555555"
CURVES_LEFT, CURVES_TOP, CURVE_WIDTH, CURVE_HEIGHT, CURVES_APART = 70, MARGIN + LINE + 6, 300, 240, 390
TOP = 1.04  # of an axis of shares: above 1, so that a curve at 1 is seen
_CAPTIONS = 104  # pixels left of the tiles, and right of them for the bars
_CHANNELS = 4  # that are shown at most
_BINS = 10
_CORRECT = 100 * descriptor_matching.ALPHA  # percent of the width: up to it a match is correct
_LARGEST = 20.0  # percent of the width: how far the curve of PCK goes
_SHARES = {"all": 1.0, "the surer half": 0.5, "the surest tenth": 0.1}


@PICTURES.register(
    "confidence",
    "How far each cell can be trusted, 1 / sigma, and what those channels respond to that vary most.",
    title="Confidence",
    needs=("pairs", "labels_a", "has_confidence"),
    place=90,
)
def draw_confidence(material: Material) -> np.ndarray:
    """Draws where the network is sure of its labels of views A."""
    return confidence_panel(material.pairs.image_a, material.labels_a)


@PICTURES.register(
    "trust",
    "How many are correct, from the least to the most confident; the mean error of the surest share; PCK.",
    title="What confidence says of matches between views",
    needs=("pairs", "labels_a", "labels_b", "has_confidence"),
    place=120,
)
def draw_trust(material: Material) -> np.ndarray | None:
    """Draws what confidence says of the matches of all pairs; nothing where nothing is seen in any of them."""
    found = material.nearest
    if not found.known.any():
        return None
    errors = 100 * found.errors / material.pairs.image_a.shape[2]
    return trust_panel(*(values[found.known] for values in (errors, found.confidence, found.score)))


@PICTURES.register(
    "trust_between",
    "The same, of landmarks.",
    title="What confidence says of matches between pictures",
    needs=("descriptor_matches", "has_confidence"),
    place=130,
)
def draw_trust_between(material: Material) -> np.ndarray:
    """Draws what confidence says of landmarks matched between pictures."""
    found = material.descriptor_matches
    return trust_panel(found.errors, found.confidence, found.score)


def choose_channels(responses: np.ndarray, confidence: np.ndarray, count: int) -> np.ndarray:
    """Chooses the channels whose response varies most over the cells of all images, each weighed by its confidence.

    Without the weights, channels that answer to the background would be shown, where nothing is certain.

    Args:
      responses: [N, h, w, C].
      confidence: [N, h, w], above 0.
      count: how many at most.

    Returns:
      int64 [min(count, C)], indices; the one that varies most first, the lower one first where two vary alike.
    """
    responses, weights = np.asarray(responses, np.float64), np.asarray(confidence, np.float64)[..., np.newaxis]
    weights = weights / weights.sum()
    mean = np.sum(weights * responses, axis=(0, 1, 2))
    variance = np.sum(weights * np.square(responses - mean), axis=(0, 1, 2))
    return np.argsort(-variance, kind="stable")[:count]


def confidence_panel(images: np.ndarray, labels: LabelMap) -> np.ndarray:
    """Shows images, the confidence of each cell, and what single channels of the descriptor respond to (figure 5).

    A channel c is shown as max([phi]_c, 0), a glow over the darkened image. They are the channels whose response varies
    most where the network is confident, see `choose_channels`.

    Args:
      images: [N, H, W, 3], float in [0, 1].
      labels: of the N images, phi / sigma.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: if the shapes do not agree, or images are not in [0, 1].
    """
    images = checks.check_images("images", images)
    labels = checks.check_labels("labels", labels, images)
    phi, sigma = (np.asarray(each) for each in introspection_loss.split_labels(labels.values))
    responses = np.maximum(phi, 0)
    chosen = choose_channels(responses, 1 / sigma, _CHANNELS)
    rows = {"frame": images, "confidence\n1 / sigma": 1 / sigma}
    rows |= {f"channel {channel}": responses[..., channel] for channel in chosen}

    size, right = sheet.tile_size(images), GAP + _CAPTIONS
    tiles = sheet.Tiles(len(rows), len(images), size, legend=True, left=_CAPTIONS, right=right)
    for row, (caption, pictures) in enumerate(rows.items()):
        tiles.name(row, caption)
        for column, picture in enumerate(pictures):
            axes, ends = tiles.tile(row, column, images), {"vmin": pictures.min(), "vmax": pictures.max()}
            if row == 0:
                sheet.show(axes, picture)
            elif row == 1:
                drawn = sheet.show(axes, picture, labels.covered, cmap=CONFIDENCE, **ends)
            else:
                drawn = _show_response(axes, images[column], picture, labels.covered, pictures.max())
        if row:
            sheet.bar(tiles.figure, tiles.right + MARGIN, tiles.tops[row] + GAP, size[1] - 2 * GAP, drawn)
    rule = f"channels: of {phi.shape[-1]}, the {len(chosen)} whose max([phi]_c, 0) varies most where it is sure"
    sheet.write(tiles.figure, _CAPTIONS, tiles.bottom + LINE / 2, rule)
    return sheet.render(tiles.figure)


def trust_panel(errors: np.ndarray, confidence: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Shows what confidence says of errors: reliability, risk and coverage, and PCK of the surest matches.

    Three plots, `CURVE_WIDTH` by `CURVE_HEIGHT` pixels each, the first at (`CURVES_LEFT`, `CURVES_TOP`), each
    `CURVES_APART` right of the last. Reliability: the share of correct matches, from 0 to 1, in tenths of the matches
    from the least to the most confident, each at the middle of its ranks. Risk and coverage: see
    `confidence.risk_coverage`, beside the order of the cosine, of the errors themselves and a random one. PCK: the
    share of matches that are off by at most so much, from 0 to 20 % of the width. Shares reach `TOP` on their axes.

    Args:
      errors: [n], in % of the width.
      confidence: [n].
      score: [n], cosine.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: as `confidence.risk_coverage`.
    """
    tiles = sheet.Tiles(
        1,
        3,
        (CURVE_WIDTH, CURVE_HEIGHT),
        left=CURVES_LEFT,
        right=2 * MARGIN,
        top=CURVES_TOP,
        below=76,
        gap=CURVES_APART - CURVE_WIDTH,
    )
    _draw_reliability(_curves(tiles, 0, "matches, from the least to the most confident"), errors, confidence)
    _draw_risk(_curves(tiles, 1, "share of matches kept, the surest first"), errors, confidence, score)
    _draw_pck(_curves(tiles, 2, "off by at most, in % of the width"), errors, confidence)
    titles = (f"share within {_CORRECT:.3g} % of the width", "mean error of them, % of the width", "share of matches")
    for left, title in zip(tiles.lefts, titles):
        sheet.write(tiles.figure, left, MARGIN + LINE / 2, title)
    return sheet.render(tiles.figure)


def _show_response(
    axes: Axes, image: np.ndarray, response: np.ndarray, extent: tuple[int, int], largest: float
) -> AxesImage:
    """Shows a glow where a channel responds; returns what the colour bar is of."""
    sheet.show(axes, sheet.darkened(image))
    largest = max(largest, 1e-12)
    return sheet.show(axes, response, extent, alpha=response / largest, vmin=0, vmax=largest, cmap="inferno")


def _draw_reliability(axes: Axes, errors: np.ndarray, confidence: np.ndarray) -> None:
    correct = np.asarray(errors) <= _CORRECT
    _, share, count = confidence_lib.reliability(correct, confidence, _BINS)
    middles = (np.cumsum(count) - count / 2) / count.sum()
    axes.set(xlim=(0, 1), ylim=(0, TOP))
    axes.plot([0, 1], [correct.mean()] * 2, label="all", **_line(RANDOM, ":"))
    axes.plot(middles, share, label="a tenth of them", **_line(BY_CONFIDENCE, "-"), marker="o", ms=sheet.in_points(7))
    _explain(axes, "lower right")


def _draw_risk(axes: Axes, errors: np.ndarray, confidence: np.ndarray, score: np.ndarray) -> None:
    orders = {
        "random": (np.zeros(len(errors)), RANDOM, ":"),
        "by cosine": (score, BY_COSINE, "--"),
        "by confidence": (confidence, BY_CONFIDENCE, "-"),
        "by error": (-np.asarray(errors), ORACLE, "-."),
    }
    axes.set(xlim=(0, 1), ylim=(0, 1.6 * max(float(np.mean(errors)), 1e-6)))
    for name, (order, colour, stroke) in orders.items():
        axes.plot(*confidence_lib.risk_coverage(errors, order), label=name, **_line(colour, stroke))
    _explain(axes, "upper right")


def _draw_pck(axes: Axes, errors: np.ndarray, confidence: np.ndarray) -> None:
    order = np.argsort(-np.asarray(confidence), kind="stable")
    percents = np.linspace(0, _LARGEST, 201)
    axes.set(xlim=(0, _LARGEST), ylim=(0, TOP))
    for (name, share), colour, stroke in zip(_SHARES.items(), (RANDOM, BY_COSINE, BY_CONFIDENCE), (":", "--", "-")):
        kept = np.asarray(errors)[order[: max(1, round(share * len(order)))]]
        axes.plot(percents, (kept <= percents[:, np.newaxis]).mean(axis=1), label=name, **_line(colour, stroke))
    _explain(axes, "lower right")


def _curves(tiles: sheet.Tiles, column: int, below: str) -> Axes:
    axes = tiles.plot(0, column)
    axes.grid(color="#dddddd", linewidth=sheet.in_points(1))
    axes.set_axisbelow(True)
    middle = tiles.lefts[column] + CURVE_WIDTH / 2
    sheet.write(tiles.figure, middle, CURVES_TOP + CURVE_HEIGHT + 40, below, ha="center")
    return axes


def _line(colour: str, stroke: str) -> sheet.Style:
    return {"color": colour, "linestyle": stroke, "linewidth": sheet.in_points(2.5)}


def _explain(axes: Axes, place: str) -> None:
    axes.legend(loc=place, fontsize=sheet.in_points(13), frameon=True, framealpha=0.9, edgecolor="none")
