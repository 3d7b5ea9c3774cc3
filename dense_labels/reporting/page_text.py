"""What the page of `report` says in words: its figures with their protocol, and what its panels show, as HTML."""

import html

from dense_labels.evaluation import result as result_lib

_FIGURES = {  # ending of a figure's name -> heading, where a row is a way of finding landmarks
    "error_percent": "mean error, %",
    "failures_percent": "off by over 10 %, % of images",
    "cumulative_area": "area under cumulative error",
    "pck_area": "area under PCK",
}
_MATCHED = {"same": "another view of the picture", "different": "another picture"}
_DECODED = {"cell": "best cell", "subpixel": "expected place on labels made 4 times finer"}
_PANELS = {
    "labels": (
        "Labels",
        "The label of each pixel as a colour: a point of the object should keep its colour from picture to picture. "
        "Below, how long the labels are: where they are short, a match is uncertain.",
    ),
    "transfer": (
        "Points carried over",
        "Five points of A and where their labels are found in B. The brighter a cell, the likelier it is the match.",
    ),
    "transfer_between": (
        "Landmarks carried from one picture to the next",
        "As above, for annotated points of two different pictures.",
    ),
    "landmarks": ("Landmarks", "What the fitted head finds, beside the annotation."),
    "worst_landmarks": ("Landmarks, the worst pictures first", "The pictures on which the same head errs most."),
    "curves": ("Curves", "The share of images, and of landmarks, whose error is below each limit."),
    "match_errors": (
        "Errors of matches, the worst pairs first",
        "A, B, and A drawn anew from the pixels of B that its labels match; at the right how far off each match is.",
    ),
    "precision_recall": (
        "Precision and recall of matches",
        "Matches between the views of pairs, the most probable first: how many of those kept are correct (within 10 % "
        "of the shorter side), and how many of the correct ones are kept.",
    ),
    "confidence": (
        "Confidence",
        "How far each cell can be trusted, 1 / sigma, and what those channels respond to that vary most.",
    ),
    "matches": (
        "Matches between views of a picture",
        "Points of A at the most similar descriptors of B; the brighter and wider a line, the surer it is.",
    ),
    "matches_between": (
        "Landmarks matched between pictures",
        "As above, from one picture to another; a cross ends what is far off.",
    ),
    "trust": (
        "What confidence says of matches between views",
        "How many are correct, from the least to the most confident; the mean error of the surest share; PCK.",
    ),
    "trust_between": ("What confidence says of matches between pictures", "The same, of landmarks."),
    "pairs": (
        "Pairs",
        "How the views of a pair are bent: the same dots in both, and the grid of A where it is found in B.",
    ),
    "sphere": (
        "Label sphere, unfolded",
        "Pixels carried to where their labels point, in latitude and longitude. The map should hardly move.",
    ),
    "hemispheres": (
        "Label sphere in two halves",
        "The same seen from the front and from behind, in an equal-area projection that has no poles.",
    ),
    "mean_object": ("Mean object", "Pixels of many pictures carried to the label sphere: the sharper, the better."),
}


def numbers(result, landmark_names=()):
    """Writes what was measured, and how.

    Args:
      result: what `result.report` returned, with whatever else was measured.
      landmark_names: of the landmarks; numbers where there are none.

    Returns:
      HTML, everything from `result` escaped.
    """
    parts = [
        _heads(result),
        _matching(result["metrics"]),
        _other_figures(result["metrics"]),
        _few_shot(result.get("few_shot_error_percent", {})),
        _each_landmark(result.get("landmark_error_percent", {}), landmark_names),
        _protocol(result.get("protocol", {})),
    ]
    return "\n".join(part for part in parts if part) or "<p>Nothing was measured.</p>"


def panels(addresses):
    """Writes the panels with what they show, those it knows first.

    Args:
      addresses: name -> address of the picture.

    Returns:
      HTML.
    """
    names = [name for name in _PANELS if name in addresses] + [name for name in addresses if name not in _PANELS]
    return "\n".join(_panel(name, addresses[name]) for name in names)


def _panel(name, address):
    title, caption = _PANELS.get(name, (_spaced(name).capitalize(), ""))
    title, caption = html.escape(title), html.escape(caption)
    return (
        f'<figure class="panel"><h3>{title}</h3><figcaption><p>{caption}</p></figcaption>\n'
        f'<div class="wide" tabindex="0" role="region" aria-label="{title}">'
        f'<img src="{address}" alt="{caption or title}"></div></figure>'
    )


def _heads(result):
    """A row for each way of finding landmarks, under the sentence that says what the error is."""
    metrics = result["metrics"]
    ways = [way for way in result_lib.DECODINGS if f"{way}_error_percent" in metrics]
    if not ways:
        return ""
    endings = [ending for ending in _FIGURES if f"{ways[0]}_{ending}" in metrics]
    rows = [[_spaced(way), *(f"{metrics[f'{way}_{ending}']:.3f}" for ending in endings)] for way in ways]
    heading = ["landmarks by", *(_FIGURES[ending] for ending in endings)]
    return _table(heading, rows, result.get("protocol", {}).get("error", ""))


def _matching(metrics):
    """A row for each kind of pair, as `evaluation.matching` measures them."""
    rows = [
        [words, *(f"{metrics[f'matching_{kind}_{way}_px']:.2f}" for way in _DECODED)]
        for kind, words in _MATCHED.items()
        if f"matching_{kind}_cell_px" in metrics
    ]
    caption = "Landmarks found by labels alone, mean distance in pixels of an image made 70 wide"
    return _table(["found in", *_DECODED.values()], rows, caption) if rows else ""


def _other_figures(metrics):
    known = {f"{way}_{ending}" for way in result_lib.DECODINGS for ending in _FIGURES}
    known |= {f"matching_{kind}_{way}_px" for kind in _MATCHED for way in _DECODED}
    rows = [[_spaced(name), f"{value:.3f}"] for name, value in metrics.items() if name not in known]
    return _table(["figure", ""], rows, "") if rows else ""


def _few_shot(errors):
    if not errors:
        return ""
    counts = list(next(iter(errors.values())))
    rows = [
        [str(count), *(result_lib.mean_and_deviation(each[count], 2) for each in errors.values())] for count in counts
    ]
    caption = "Heads fitted on few annotated pictures: mean error, %, mean and standard deviation of the draws"
    return _table(["annotated pictures", *map(_spaced, errors)], rows, caption)


def _each_landmark(errors, names):
    if not errors:
        return ""
    each = list(zip(*errors.values()))
    names = list(names) or [str(k) for k in range(len(each))]
    rows = [
        [_spaced(name), *("-" if value is None else f"{value:.3f}" for value in values)]
        for name, values in zip(names, each)
    ]
    table = _table(["landmark", *map(_spaced, errors)], rows, "Mean error, %")
    return f"<details><summary>Landmark by landmark</summary>{table}</details>"


def _protocol(protocol):
    items = "".join(
        f"<dt>{html.escape(_spaced(name))}</dt><dd>{html.escape(str(value))}</dd>" for name, value in protocol.items()
    )
    return f"<h3>How it was measured</h3><dl>{items}</dl>" if items else ""


def _table(heading, rows, caption):
    """A table whose first column names its rows."""
    lines = [f'<div class="wide" tabindex="0" role="region" aria-label="{html.escape(caption or heading[0])}"><table>']
    lines.append(f"<caption>{html.escape(caption)}</caption>" if caption else "")
    columns = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in heading)
    lines.append(f"<thead><tr>{columns}</tr></thead><tbody>")
    for name, *values in rows:
        cells = "".join(f"<td>{html.escape(value)}</td>" for value in values)
        lines.append(f'<tr><th scope="row">{html.escape(name)}</th>{cells}</tr>')
    return "\n".join([*lines, "</tbody></table></div>"])


def _spaced(name):
    return str(name).replace("_", " ")
