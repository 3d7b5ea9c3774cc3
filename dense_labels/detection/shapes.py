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
    together = sure[:, :, np.newaxis] & sure[:, np.newaxis]  # [N, K, K]
    apart = np.linalg.norm(places[:, :, np.newaxis] - places[:, np.newaxis], axis=-1)
    largest = np.max(np.where(together, apart, 0), axis=0, initial=0)
    found = np.where(together.sum(axis=0) >= _FEWEST, np.maximum(_LARGER * largest, _LEAST), np.inf)
    np.fill_diagonal(found, np.inf)
    return np.float32(found)
