"""Images that lie in several arrays, and are counted through as if they lay in one: thousands need not be copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


class Gathered:
    """Images [N, H, W, 3] by their places in arrays; those that an index asks for are copied, no others.

    Attributes:
      shape, dtype: as of one array of all images.
    """

    def __init__(self, arrays: Sequence[np.ndarray], owners: np.ndarray, rows: np.ndarray):
        """Gathers images of arrays [M, H, W, 3] of one type: N times the number of an array, and a row of it."""
        self._arrays, self._owners, self._rows = list(arrays), owners, rows
        self.shape, self.dtype = (len(rows), *arrays[0].shape[1:]), arrays[0].dtype

    @classmethod
    def joined(cls, parts: Sequence[Any]) -> Gathered:
        """Gathers all images of several arrays, or of what was gathered before, one after the other."""
        arrays: list[np.ndarray] = []
        places = []
        for part in parts:
            part = part if isinstance(part, Gathered) else cls([part], np.zeros(len(part), int), np.arange(len(part)))
            places.append((part._owners + len(arrays), part._rows))
            arrays += part._arrays
        return cls(arrays, *map(np.concatenate, zip(*places)))

    def take(self, indices: Any) -> Gathered:
        """Gathers some of the images: a slice, integers [M] or a mask [N]."""
        return Gathered(self._arrays, self._owners[indices], self._rows[indices])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, indices: Any) -> np.ndarray:
        """Returns an array of some of the images, as `take`."""
        owners, rows = self._owners[indices], self._rows[indices]
        images = np.empty([len(rows), *self.shape[1:]], self.dtype)
        for number, array in enumerate(self._arrays):
            here = owners == number
            images[here] = array[rows[here]]
        return images
