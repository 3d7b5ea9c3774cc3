"""The protocol of section 4.3 of the CVPR 2018 paper: annotations that grow from round to round."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from dense_labels.batches import LabelledLandmarks
from dense_labels.evaluation.landmarks import Head


def growing_rounds(
    fit: Callable[[LabelledLandmarks, Head | None], Head],
    views_of: Callable[[np.ndarray, int], LabelledLandmarks],
    classes: np.ndarray,
    *,
    counts: Sequence[int],
    seed: int,
) -> Iterator[tuple[int, Head]]:
    """Fits a head on annotations that grow from round to round, section 4.3 of the CVPR 2018 paper.

    Each round has the images of the one before and as many more of each class; its head begins as theirs.

    Args:
      fit: `(images, head of the round before or None) -> head`.
      views_of: as in `landmarks.few_shot`, of all images of a round.
      classes: integer [N], the class of each annotated image.
      counts: how many images of each class a round has, rising; of a class with fewer, all.
      seed: of what is drawn.

    Yields:
      `(count, head)`, round by round.

    Raises:
      ValueError: if the counts do not rise from at least 1, or no class has as many images as the last.
    """
    members = [np.flatnonzero(classes == each) for each in np.unique(classes)]
    most = max(map(len, members))
    if list(counts) != sorted(set(counts)) or not 1 <= counts[0] <= counts[-1] <= most:
        raise ValueError(f"counts={list(counts)}: must rise from at least 1 to at most {most}, the images of a class")
    orders = [np.random.default_rng([seed, k]).permutation(each) for k, each in enumerate(members)]
    head = None
    for count in counts:
        head = fit(views_of(np.concatenate([order[:count] for order in orders]), seed), head)
        yield count, head
