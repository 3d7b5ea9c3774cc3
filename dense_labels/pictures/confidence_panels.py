"""Pictures of confidence: arrays in, one uint8 picture [H, W, 3] out; the conventions are those of `visualization`.

Figure and section numbers are those of Novotny, Albanie, Larlus and Vedaldi, "Self-supervised learning of geometrically
stable features through probabilistic introspection", CVPR 2018. A label map holds both answers of a network: the
direction of a label is the unit descriptor phi, its length the confidence 1 / sigma.
"""

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from dense_labels.evaluation import confidence as confidence_lib
from dense_labels.method import introspection_loss
from dense_labels.pictures import sheet
from dense_labels.pictures.sheet import LINE, MARGIN

CONFIDENCE = "viridis"  # the colour map of confidence in all panels
BY_CONFIDENCE, BY_COSINE, ORACLE, RANDOM = "#0072b2", "#e69f00", "#009e73", "#555555"
CURVES_LEFT, CURVES_TOP, CURVE_WIDTH, CURVE_HEIGHT, CURVES_APART = 70, MARGIN + LINE + 6, 300, 240, 390
TOP = 1.04  # of an axis of shares: above 1, so that a curve at 1 is seen
_GAP = 8  # pixels between tiles
_BAR = 14  # pixels a colour bar is wide
_CAPTIONS = 104  # pixels left of the tiles, and right of them for the bars
_BINS = 10
_LARGEST = 20.0  # percent of the width: how far the curve of PCK goes
_SHARES = {"all": 1.0, "the surer half": 0.5, "the surest tenth": 0.1}


def choose_channels(responses, confidence, count):
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


def introspection_panel(images, labels, *, channels=4):
    """Shows images, the confidence of each cell, and what single channels of the descriptor respond to (figure 5).

    A channel c is shown as max([phi]_c, 0), a glow over the darkened image. They are the channels whose response varies
    most where the network is confident, see `choose_channels`.

    Args:
      images: [N, H, W, 3], float in [0, 1].
      labels: [N, h, w, C], phi / sigma, a label map of stride H // h for each image.
      channels: how many are shown, an int.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: if the shapes do not agree, or images are not in [0, 1].
    """
    images = sheet.check_images("images", images)
    labels = sheet.check_labels("labels", labels, images)
    phi, sigma = (np.asarray(each) for each in introspection_loss.split_labels(labels))
    responses = np.maximum(phi, 0)
    chosen = choose_channels(responses, 1 / sigma, channels)
    rows = {"frame": images, "confidence\n1 / sigma": 1 / sigma}
    rows |= {f"channel {channel}": responses[..., channel] for channel in chosen}

    width, height = sheet.tile_size(images, 180)
    across, down = width + _GAP, height + _GAP
    bottom = MARGIN + len(rows) * down
    figure = sheet.create(2 * _CAPTIONS + len(images) * across, bottom + LINE + MARGIN)
    for row, (caption, pictures) in enumerate(rows.items()):
        top = MARGIN + row * down
        sheet.write(figure, _CAPTIONS - MARGIN, top + height / 2, caption, ha="right")
        for column, picture in enumerate(pictures):
            axes = sheet.tile(figure, _CAPTIONS + column * across, top, width, height, images)
            size = sheet.covered(images, picture)
            if row == 0:
                sheet.show(axes, picture)
            elif row == 1:
                drawn = sheet.show(axes, picture, size, vmin=pictures.min(), vmax=pictures.max(), cmap=CONFIDENCE)
            else:
                drawn = _show_response(axes, images[column], picture, size, pictures.max())
        if row:
            _draw_bar(figure, _CAPTIONS + len(images) * across + MARGIN, top, height, drawn)
    rule = f"channels: of {phi.shape[-1]}, the {len(chosen)} whose max([phi]_c, 0) varies most where it is sure"
    sheet.write(figure, _CAPTIONS, bottom + LINE / 2, rule)
    return sheet.render(figure)


def matches_panel(images_a, images_b, points, places, confidence, *, points_in_b=None, near=None):
    """Shows points of A, where they are found in B, and how sure the network is of each.

    A row per pair: A and beside it B, a line for each match, brighter and wider where it is surer, the surest on top.
    Where the true places are known, what is found within `near` of them ends in a dot, what is not in a cross. Image A
    of row r starts at picture pixel `(MARGIN, MARGIN + LINE + r * (height + _GAP))`, B a tile and a gap further right.

    Args:
      images_a: [N, H, W, 3], float in [0, 1].
      images_b: [N, H, W, 3], float in [0, 1].
      points: [N, P, 2], (x, y) in pixels of A; nothing is drawn of points that are not numbers.
      places: [N, P, 2], where they are found, in pixels of B.
      confidence: [N, P].
      points_in_b: [N, P, 2], where the points truly are, in pixels of B.
      near: pixels up to which a place is correct; goes with `points_in_b`.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: if the shapes do not agree, images are not in [0, 1], or one of `points_in_b` and `near` is missing.
    """
    images_a = sheet.check_images("images_a", images_a)
    images_b = sheet.check_images("images_b", images_b)
    sheet.check("images_b", images_b, images_a.shape)
    points = sheet.check("points", points, (len(images_a), None, 2))
    places = sheet.check("places", places, points.shape)
    confidence = sheet.check("confidence", confidence, points.shape[:2])
    if (points_in_b is None) != (near is None):
        raise ValueError(f"points_in_b and near come together; found near={near}")
    correct = None
    if points_in_b is not None:
        points_in_b = sheet.check("points_in_b", points_in_b, points.shape)
        correct = np.linalg.norm(places - points_in_b, axis=-1) <= near

    width, height = sheet.tile_size(images_a, 240)
    across, down, top = width + _GAP, height + _GAP, MARGIN + LINE
    bottom = top + len(points) * down
    figure = sheet.create(MARGIN + 2 * across + _CAPTIONS, bottom + LINE + MARGIN)
    for x, title in ((MARGIN, "A"), (MARGIN + across, "B, nearest descriptors")):
        sheet.write(figure, x, MARGIN + LINE / 2 - 3, title)
    known = np.isfinite(points).all(axis=-1)
    colours = ScalarMappable(Normalize(confidence[known].min(), confidence[known].max()), CONFIDENCE)
    scale = np.array([width / images_a.shape[2], height / images_a.shape[1]])
    for n in range(len(points)):
        y = top + n * down
        for x, image in ((MARGIN, images_a[n]), (MARGIN + across, images_b[n])):
            sheet.show(sheet.tile(figure, x, y, width, height, images_a), image)
        both = _over(figure, MARGIN, y, width + across, height)
        for p in sorted(np.flatnonzero(known[n]), key=lambda p: confidence[n, p]):
            ends = np.stack([points[n, p] * scale, places[n, p] * scale + [across, 0]])
            style = {"colour": colours.to_rgba(confidence[n, p]), "width": 1 + 2.5 * colours.norm(confidence[n, p])}
            _draw_match(both, ends, correct is None or correct[n, p], **style)
    _draw_bar(figure, MARGIN + 2 * across + MARGIN - _GAP, top, height, colours)
    sheet.write(figure, MARGIN + 2 * across + MARGIN - _GAP, MARGIN + LINE / 2 - 3, "1 / sigma")
    if correct is not None:
        entries = {
            f"within {near:.3g} px of the true place": sheet.dot("o", "white", 9, edge="black"),
            "not": sheet.stroke("x", "black", 9),
        }
        sheet.legend(figure, bottom + LINE / 2, entries)
    return sheet.render(figure)


def trust_panel(errors, confidence, score, *, threshold):
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
      threshold: percent of the width up to which a match is correct.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: as `confidence.risk_coverage`.
    """
    figure = sheet.create(CURVES_LEFT + 2 * CURVES_APART + CURVE_WIDTH + 2 * MARGIN, CURVES_TOP + CURVE_HEIGHT + 76)
    _draw_reliability(
        _curves(figure, 0, "matches, from the least to the most confident"), errors, confidence, threshold
    )
    _draw_risk(_curves(figure, 1, "share of matches kept, the surest first"), errors, confidence, score)
    _draw_pck(_curves(figure, 2, "off by at most, in % of the width"), errors, confidence)
    titles = (f"share within {threshold:.3g} % of the width", "mean error of them, % of the width", "share of matches")
    for column, title in enumerate(titles):
        sheet.write(figure, CURVES_LEFT + column * CURVES_APART, MARGIN + LINE / 2, title)
    return sheet.render(figure)


def _draw_reliability(axes, errors, confidence, threshold):
    correct = np.asarray(errors) <= threshold
    _, share, count = confidence_lib.reliability(correct, confidence, _BINS)
    middles = (np.cumsum(count) - count / 2) / count.sum()
    axes.set(xlim=(0, 1), ylim=(0, TOP))
    axes.plot([0, 1], [correct.mean()] * 2, label="all", **_line(RANDOM, ":"))
    axes.plot(middles, share, label="a tenth of them", **_line(BY_CONFIDENCE, "-"), marker="o", ms=sheet.in_points(7))
    _explain(axes, "lower right")


def _draw_risk(axes, errors, confidence, score):
    orders = {
        "random": (np.zeros(len(errors)), RANDOM, ":"),
        "by cosine": (score, BY_COSINE, "--"),
        "by confidence": (confidence, BY_CONFIDENCE, "-"),
        "by error": (-np.asarray(errors), ORACLE, "-."),
    }
    axes.set(xlim=(0, 1), ylim=(0, 1.6 * max(float(np.mean(errors)), 1e-6)))
    for name, (order, colour, style) in orders.items():
        axes.plot(*confidence_lib.risk_coverage(errors, order), label=name, **_line(colour, style))
    _explain(axes, "upper right")


def _draw_pck(axes, errors, confidence):
    order = np.argsort(-np.asarray(confidence), kind="stable")
    percents = np.linspace(0, _LARGEST, 201)
    axes.set(xlim=(0, _LARGEST), ylim=(0, TOP))
    for (name, share), colour, style in zip(_SHARES.items(), (RANDOM, BY_COSINE, BY_CONFIDENCE), (":", "--", "-")):
        kept = np.asarray(errors)[order[: max(1, round(share * len(order)))]]
        axes.plot(percents, (kept <= percents[:, np.newaxis]).mean(axis=1), label=name, **_line(colour, style))
    _explain(axes, "lower right")


def _curves(figure, column, below):
    left = CURVES_LEFT + column * CURVES_APART
    axes = sheet.add_axes(figure, left, CURVES_TOP, CURVE_WIDTH, CURVE_HEIGHT)
    axes.tick_params(labelsize=sheet.in_points(13), length=sheet.in_points(4))
    axes.grid(color="#dddddd", linewidth=sheet.in_points(1))
    axes.set_axisbelow(True)
    sheet.write(figure, left + CURVE_WIDTH / 2, CURVES_TOP + CURVE_HEIGHT + 40, below, ha="center")
    return axes


def _line(colour, style):
    return {"color": colour, "linestyle": style, "linewidth": sheet.in_points(2.5)}


def _explain(axes, place):
    axes.legend(loc=place, fontsize=sheet.in_points(13), frameon=True, framealpha=0.9, edgecolor="none")


def _over(figure, left, top, width, height):
    """Axes over several tiles, whose data coordinates are pixels of the picture from their top left corner."""
    axes = sheet.add_axes(figure, left, top, width, height)
    axes.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    axes.set_axis_off()
    return axes


def _draw_match(axes, ends, correct, *, colour, width):
    axes.plot(*ends.T, color=colour, linewidth=sheet.in_points(width), path_effects=sheet.outline("black", width + 1.5))
    start, end = ends
    axes.plot(*start, **sheet.dot("o", colour, 9, edge="black"))
    if correct:
        axes.plot(*end, **sheet.dot("o", colour, 9, edge="black"))
    else:
        axes.plot(*end, **{**sheet.stroke("x", colour, 11), "path_effects": sheet.outline("black", 5)})


def _show_response(axes, image, response, size, largest):
    """A glow where a channel responds; returns what the colour bar is of."""
    sheet.show(axes, 0.4 * image.mean(axis=-1, keepdims=True).repeat(3, axis=-1))
    relative = response / max(largest, 1e-12)
    return sheet.show(axes, response, size, alpha=relative, vmin=0, vmax=max(largest, 1e-12), cmap="inferno")


def _draw_bar(figure, left, top, height, drawn):
    bar = sheet.add_axes(figure, left, top + _GAP, _BAR, height - 2 * _GAP)
    shown = ScalarMappable(drawn.norm, drawn.get_cmap())  # whole, whatever is transparent where it is shown
    figure.colorbar(shown, cax=bar, ticks=[drawn.norm.vmin, drawn.norm.vmax], format="%.3g")
    bar.tick_params(labelsize=sheet.in_points(13), length=sheet.in_points(4))
