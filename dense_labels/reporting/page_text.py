"""What the page says in words: the figures of a run with their protocol, and what its pictures show, as HTML."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dense_labels.evaluation import border_reliance, cycle_consistency, tables
from dense_labels.evaluation.result import Result
from dense_labels.pictures import gallery
from dense_labels.registry import METRICS, PICTURES

_MATCHED = {"same": "another view of the picture", "different": "another picture"}
_DECODED = {"cell": "best cell", "subpixel": "expected place on labels made 4 times finer"}
_UNANNOTATED = (cycle_consistency, border_reliance)  # what is measured of every run


def numbers(result: Result) -> str:
    """Writes what was measured, and how.

    Args:
      result: what was measured.

    Returns:
      HTML, everything from `result` escaped.
    """
    parts = [
        _landmark_figures(result),
        _matching(result.metrics),
        _carried_over(result.metrics),
        _other_figures(result),
        _few_shot(result.few_shot_error_percent),
        _each_landmark(result.landmark_error_percent, result.landmark_names),
        _protocol(result.protocol),
    ]
    return "\n".join(part for part in parts if part) or "<p>Nothing was measured.</p>"


def panels(addresses: Mapping[str, str]) -> str:
    """Writes pictures with what they show: those that are registered, in their order, then any others.

    Args:
      addresses: name -> address of the picture.

    Returns:
      HTML.
    """
    registered = [entry.name for entry in gallery.in_order() if entry.name in addresses]
    others = [name for name in addresses if name not in PICTURES]
    return "\n".join(_panel(name, addresses[name]) for name in registered + others)


def _panel(name: str, address: str) -> str:
    title, caption = _spaced(name).capitalize(), ""
    if name in PICTURES:
        title, caption = PICTURES[name].facts.get("title", title), PICTURES[name].words
    title, caption = html.escape(title), html.escape(caption)
    return (
        f'<figure class="panel"><h3>{title}</h3><figcaption><p>{caption}</p></figcaption>\n'
        f'<div class="wide" tabindex="0" role="region" aria-label="{title}">'
        f'<img src="{address}" alt="{caption or title}"></div></figure>'
    )


def _ways(result: Result) -> list[str]:
    """The ways of predicting landmarks that were measured."""
    return [way for way in result.landmark_error_percent if any(f"{way}_{name}" in result.metrics for name in METRICS)]


def _landmark_figures(result: Result) -> str:
    """A row for each way of predicting landmarks, under the sentence that says what the error is."""
    metrics, ways = result.metrics, _ways(result)
    if not ways:
        return ""
    measured = [metric for metric in METRICS.values() if f"{ways[0]}_{metric.name}" in metrics]
    rows = [[_spaced(way), *(f"{metrics[f'{way}_{metric.name}']:.3f}" for metric in measured)] for way in ways]
    table = _table(["landmarks by", *(metric.words for metric in measured)], rows, result.protocol.get("error", ""))
    chosen = result.protocol.get("chosen")
    return f"{table}\n<p>{html.escape(f'{result.best} is exported, chosen {chosen}')}.</p>" if chosen else table


def _matching(metrics: Mapping[str, float]) -> str:
    """A row for each kind of pair, as `evaluation.label_matching` measures them."""
    rows = [
        [words, *(f"{metrics[name]:.2f}" if name in metrics else "-" for name in names)]  # one is of no use to some
        for kind, words in _MATCHED.items()
        if (names := [f"matching_{kind}_{way}_px" for way in _DECODED])[0] in metrics
    ]
    caption = "Landmarks found by labels alone, mean distance in pixels of an image made 70 wide"
    return _table(["found in", *_DECODED.values()], rows, caption) if rows else ""


def _carried_over(metrics: Mapping[str, float]) -> str:
    clauses = [clause for kind in _UNANNOTATED if (clause := kind.summary(metrics))]
    return f"<p>By labels alone: {html.escape('; '.join(clauses))}.</p>" if clauses else ""


def _other_figures(result: Result) -> str:
    known = {f"{way}_{name}" for way in _ways(result) for name in METRICS}
    known |= {f"matching_{kind}_{way}_px" for kind in _MATCHED for way in _DECODED}
    rows = [
        [_spaced(name), f"{value:.3f}"]
        for name, value in result.metrics.items()
        if name not in known and not any(kind.is_figure(name) for kind in _UNANNOTATED)
    ]
    return _table(["figure", ""], rows, "") if rows else ""


def _few_shot(errors: Mapping[str, Mapping[int, Sequence[float]]]) -> str:
    if not errors:
        return ""
    counts = list(next(iter(errors.values())))
    rows = [[str(count), *(tables.mean_and_deviation(each[count], 2) for each in errors.values())] for count in counts]
    caption = "Heads fitted on few annotated images: mean error, %, mean and standard deviation of the draws"
    return _table(["annotated images", *map(_spaced, errors)], rows, caption)


def _each_landmark(errors: Mapping[str, Sequence[float | None]], names: Sequence[str]) -> str:
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


def _protocol(protocol: Mapping[str, Any]) -> str:
    items = "".join(
        f"<dt>{html.escape(_spaced(name))}</dt><dd>{html.escape(str(value))}</dd>" for name, value in protocol.items()
    )
    return f"<h3>How it was measured</h3><dl>{items}</dl>" if items else ""


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    """A table whose first column names its rows."""
    lines = [f'<div class="wide" tabindex="0" role="region" aria-label="{html.escape(caption or heading[0])}"><table>']
    lines.append(f"<caption>{html.escape(caption)}</caption>" if caption else "")
    columns = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in heading)
    lines.append(f"<thead><tr>{columns}</tr></thead><tbody>")
    for name, *values in rows:
        cells = "".join(f"<td>{html.escape(value)}</td>" for value in values)
        lines.append(f'<tr><th scope="row">{html.escape(name)}</th>{cells}</tr>')
    return "\n".join([*lines, "</tbody></table></div>"])


def _spaced(name: Any) -> str:
    return str(name).replace("_", " ")
