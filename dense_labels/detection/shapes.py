"""What annotated pictures say of the shape of an object: how far apart its landmarks lie at most."""

from __future__ import annotations

import numpy as np

from dense_labels.batches import LabelledLandmarks

_FEWEST = 5  # pictures that say how far apart two landmarks lie
_LARGER = 1.5  # times the largest distance seen: how far apart they may lie elsewhere
_LEAST = 16.0  # pixels


def reach(known: LabelledLandmarks) -> np.ndarray:
    """Says how far from each other landmarks are looked for.

    Args:
      known: annotated images.

    Returns:
      float32 [K, K], in pixels of the images: 1.5 times the largest distance that is annotated, at least 16; infinite
      for a landmark and itself, and for two that fewer than five images show together.
    """
    sure = known.annotated > 0.5
    places = np.where(sure[..., np.newaxis], known.landmarks, 0)
    largest, counts = np.zeros([2, sure.shape[1], sure.shape[1]])
    for here, at in zip(sure, places):  # all at once would fill the memory where landmarks are many
        together = here[:, np.newaxis] & here
        apart = np.linalg.norm(at[:, np.newaxis] - at, axis=-1)
        largest, counts = np.maximum(largest, np.where(together, apart, 0)), counts + together
    found = np.where(counts >= _FEWEST, np.maximum(_LARGER * largest, _LEAST), np.inf)
    np.fill_diagonal(found, np.inf)
    return np.float32(found)
