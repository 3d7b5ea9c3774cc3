"""How near an answer of a written model must be to the live model's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from dense_labels.method import introspection_loss, matching

LABEL = 1e-5  # times the longest label, where that is above 1
POINT = 1e-2  # pixels
# All but the points magnify a score near 1.
OF_LANDMARKS = {"points": POINT, "expected_error": 0.1, "likelihood": 1e-2, "present": 1e-2}
RELATIVE = {"expected_error": 1e-2}  # times the answer, which is added
PROBABILITY = 1e-3
SCORE = 1e-4  # times the largest inner product of two labels, where that is above 1
_ROUNDINGS = 16  # draws: of two equally likely places, each is found by one of them but for one case in 2^15
_JUMP = 10  # times the tolerance: an answer that changes by less is not undecided


def check(name: str, found: Any, expected: Any, tolerance: float, relative: float = 0.0, undecided: Any = 0.0) -> None:
    """Compares two arrays.

    Args:
      name: what they are called in the error.
      found: of the model that was written.
      expected: of the live one, of a shape that it broadcasts with.
      tolerance: the largest difference of two numbers, for those near 0.
      relative: how much larger it may be, as a share of what is expected.
      undecided: how much larger it may be, of each number.

    Raises:
      RuntimeError: if they differ by more, or one is not a number.
    """
    found, expected, undecided = np.broadcast_arrays(found, expected, undecided)
    difference = np.abs(found - expected).ravel()
    allowed = (tolerance + relative * np.abs(expected) + undecided).ravel()
    worst = np.argmax(difference - allowed)  # the first that is not a number, where there is one
    if not difference[worst] <= allowed[worst]:
        excess = f"{difference[worst]:.3g}, more than {allowed[worst]:.3g}"
        raise RuntimeError(f"nothing exported: {name}, written and live, differ by {excess}")


def check_answers(
    found: Mapping[str, Any], answer: Callable[[Any], Mapping[str, Any]], live: Any, tolerances: Mapping[str, float]
) -> None:
    """Compares all that a signature answers.

    A peak jumps where two cells are equally likely, as in a picture of one colour. Where the live model's own answer
    jumps when its labels are rounded differently, the written one may differ too, which is said once for each answer.

    Args:
      found: of the model that was written.
      answer: asks a live model.
      live: `verification.LiveModel`.
      tolerances: as of `check`, of answers by name; those that are missing are probabilities.

    Raises:
      RuntimeError: as `check`.
    """
    others: list[Mapping[str, Any]] = []
    for name, expected in answer(live).items():
        tolerance, relative = tolerances.get(name, PROBABILITY), RELATIVE.get(name, 0.0)
        try:
            check(name, found[name], expected, tolerance, relative)
        except RuntimeError:
            others = others or [answer(live.rounded(seed)) for seed in range(_ROUNDINGS)]
            spread = np.max([np.abs(other[name] - expected) for other in others], axis=0)
            jumps = spread > _JUMP * (tolerance + relative * np.abs(expected))
            check(name, found[name], expected, tolerance, relative, np.where(jumps, 2 * spread, 0.0))
            if name not in live.undecided:
                live.undecided.add(name)
                logging.warning(
                    "%s: not compared in %d of %d example pictures, where rounding decides what is likeliest",
                    *(name, np.any(jumps.reshape([len(jumps), -1]), axis=1).sum(), len(jumps)),
                )


def check_labels(name: str, labels: np.ndarray, lengths: np.ndarray, expected: tf.Tensor) -> None:
    """Compares label maps [N, h, w, L] and their lengths [N, h, w] with the live labels; raises as `check`."""
    expected_lengths = tf.norm(expected, axis=-1).numpy()
    tolerance = LABEL * max(1.0, float(expected_lengths.max()))
    check(name, labels, expected, tolerance)
    check("confidence", lengths, expected_lengths, tolerance)


def check_matches(found: dict[str, np.ndarray], labels_a: tf.Tensor, labels_b: tf.Tensor, stride: int) -> None:
    """Checks where cells of A lie, and that each is found at a most probable cell of B; where several are, at any.

    Args:
      found: `points_in_a` and `points_in_b` [N, h, w, 2] in pixels of the network's input, `probability` and
        `confidence` [N, h, w].
      labels_a: float32 [N, h, w, L], of the live model.
      labels_b: the same of B.
      stride: side of a cell in pixels.

    Raises:
      RuntimeError: as `check`.
    """
    longest = [float(tf.reduce_max(tf.norm(labels, axis=-1))) for labels in (labels_a, labels_b)]
    tolerance = SCORE * max(1.0, longest[0] * longest[1])
    for n in range(len(labels_a)):
        one = {name: values[n] for name, values in found.items()}
        _check_match(one, labels_a[n], labels_b[n], stride, tolerance)


def _check_match(found, labels_a, labels_b, stride, tolerance):
    height, width, length = labels_b.shape
    flat = [tf.reshape(labels, [-1, length]) for labels in (labels_a, labels_b)]
    log_probability = matching.match_log_probability(*flat).numpy()  # [h w, h w]
    best = log_probability.max(axis=-1)
    points = found["points_in_b"].reshape(-1, 2)
    row, column = np.indices([height, width])
    check("points_in_a", found["points_in_a"], (np.stack([column, row], axis=-1) + 0.5) * stride, POINT)
    x, y = np.clip(np.rint(points / stride - 0.5), 0, [width - 1, height - 1]).astype(int).T
    reached = log_probability[np.arange(len(points)), y * width + x]
    check("points_in_b", points, (np.stack([x, y], axis=-1) + 0.5) * stride, POINT)
    check("points_in_b's log-probability", reached, best, tolerance)
    check("probability", found["probability"].ravel(), np.exp(best), PROBABILITY)
    sigma_a, sigma_b = (introspection_loss.split_labels(labels)[1].numpy() for labels in flat)
    confidence = 2 / (sigma_a + sigma_b[y * width + x])
    check("confidence", found["confidence"].ravel(), confidence, LABEL * max(1, confidence.max()))
