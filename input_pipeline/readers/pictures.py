"""Pictures on disk and what is known about them: what every reader of still pictures returns."""

import dataclasses
import hashlib
import os
from collections.abc import Collection

import numpy as np

from dense_labels.config import DataConfig
from dense_labels.registry import READERS

STILL_KEYS = (  # of the configuration: what all still pictures are shown by; a reader registers them with its own
    "data.size",
    "data.crop",
    "data.skip_bad_files",
    "data.cache_dir",
    "views.warp",
    "views.strength",
    "views.shift",
    "views.flip",
    "views.border",
    "views.colour",
)


OBJECT = "object"  # what our own files call objects that have no name of their own


def taken_for_any(kinds: Collection[str]) -> bool:
    """Says whether the kinds of objects in a file are one that has no name of its own: whatever is asked for is that.

    A kind that is called otherwise than what is asked for is not taken for it.

    Args:
      kinds: what the file calls them; "" where it does not.
    """
    return len(kinds) == 1 and next(iter(kinds)) in ("", OBJECT)


@dataclasses.dataclass(frozen=True, eq=False)
class Pictures:
    """Files, the part of each that shows the object, and its landmarks where there are any.

    Convention: points and boxes are in continuous pixels (x, y) of the upright picture, as it is seen once its EXIF
    orientation is applied: (0, 0) is its outer top-left corner. A reader adds the half pixel of its format, once.
    """

    paths: tuple[str, ...]  # N files
    boxes: np.ndarray | None = None  # float32 [N, 4]: left, top, right, bottom; None: the whole pictures
    landmarks: np.ndarray | None = None  # float32 [N, K, 2]
    annotated: np.ndarray | None = None  # float32 [N, K]: 1 where the landmark is known, else 0
    normalisers: np.ndarray | None = None  # float32 [N], pixels of the picture, what errors are divided by; 0: unknown
    normaliser: str = ""  # what that is: "eye distance", "picture width", "box size"
    landmark_names: tuple[str, ...] = ()  # K, where the format gives them
    classes: np.ndarray | None = None  # int64 [N], of the objects, where there are several
    claimed: np.ndarray | None = None  # int64 [N, 2], (height, width) that the annotations say of the picture; 0: none
    objects: np.ndarray | None = None  # float32 [N, 4], as `boxes`: of the objects alone, whatever is shown
    # float32 [N, K]: 1 where something hides it, whether its place is known or not; None: the file cannot say it
    hidden: np.ndarray | None = None
    skeleton: tuple[tuple[int, int], ...] = ()  # pairs of landmarks that a line joins, where the format gives them
    flip_pairs: tuple[tuple[int, int], ...] = ()  # pairs of landmarks that change places in a mirror, likewise
    category: str = ""  # what the file calls the objects, where it does

    def __post_init__(self):
        """Checks that all parts are of N pictures and K landmarks, and that their numbers are finite.

        Raises:
          ValueError: naming the part that does not fit, and the picture whose numbers are not finite.
        """
        count = len(self.paths)
        points = None if self.landmarks is None else self.landmarks.shape[1]
        shapes = {
            "boxes": (count, 4),
            "landmarks": (count, points, 2),
            "annotated": (count, points),
            "normalisers": (count,),
            "classes": (count,),
            "claimed": (count, 2),
            "objects": (count, 4),
            "hidden": (count, points),
        }
        for name, shape in shapes.items():
            value, dtype = getattr(self, name), "int64" if name in ("classes", "claimed") else "float32"
            if value is not None and (value.shape != shape or value.dtype != dtype):
                raise ValueError(f"{name} must be {dtype} {list(shape)}; found {value.dtype} {list(value.shape)}")
        if (self.landmarks is None) != (self.annotated is None):
            raise ValueError("landmarks and annotated come together")
        known = 0 if self.annotated is None else self.annotated[..., np.newaxis] > 0
        landmarks = None if self.landmarks is None else np.where(known, self.landmarks, 0)  # others may be anywhere
        self._check_finite("landmarks", landmarks)
        for name in ("annotated", "boxes", "normalisers", "objects"):
            self._check_finite(name, getattr(self, name))

    def _check_finite(self, name: str, values: np.ndarray | None) -> None:
        if values is None or np.isfinite(values).all():
            return
        row = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))[0]
        raise ValueError(f"{self.paths[row]}: its {name} must be finite; found {np.squeeze(values[row]).tolist()}")

    def __len__(self) -> int:
        return len(self.paths)

    def box_digests(self) -> dict[str, str]:
        """Returns the SHA-256 of the boxes in each file, in their order; nothing where whole pictures are shown."""
        found: dict[str, list[bytes]] = {}
        for path, box in zip(self.paths, [] if self.boxes is None else self.boxes):
            found.setdefault(path, []).append(box.tobytes())
        return {path: hashlib.sha256(b"".join(each)).hexdigest() for path, each in found.items()}

    def take(self, indices: np.ndarray | list[int]) -> "Pictures":
        """Returns the pictures at integer indices [M], in that order."""
        indices = np.asarray(indices) if len(indices) else np.zeros(0, int)
        names = ("boxes", "landmarks", "annotated", "normalisers", "classes", "claimed", "objects", "hidden")
        arrays = {name: None if getattr(self, name) is None else getattr(self, name)[indices] for name in names}
        return dataclasses.replace(self, paths=tuple(self.paths[i] for i in indices), **arrays)


def saw_boxes(data: DataConfig) -> bool:
    """Says whether a network saw boxes about objects, not whole pictures, by the configuration of what it saw.

    A configuration that was `settled` says so. One of an earlier version may not, where a picture has several objects:
    then its file of annotations is looked into, and boxes count as not seen where that is gone or cannot be read.

    Args:
      data: of a training, of an evaluation, or of the model card of an export, which has names in place of paths.
    """
    if data.name not in READERS:
        return False
    entry = READERS[data.name]
    if data.whole_pictures and "data.whole_pictures" in entry.keys:
        return False
    if entry.facts.get("boxed") or "data.boxes" not in entry.keys:
        return bool(entry.facts.get("boxed"))
    if data.boxes or not os.path.isabs(data.annotations) or not os.path.exists(data.annotations):
        return bool(data.boxes)
    try:
        return entry.value(data)["annotated"].boxes is not None
    except (ValueError, OSError):
        return False


def settled(data: DataConfig, boxed: bool) -> DataConfig:
    """Returns a configuration that says whether its pictures are boxes, as only its file of annotations may have said.

    Args:
      data: as it was read.
      boxed: whether the pictures that were read by it are boxes about objects.
    """
    says_so = data.name in READERS and "data.boxes" in READERS[data.name].keys and not data.boxes
    return dataclasses.replace(data, boxes=data.annotations) if boxed and says_so else data
