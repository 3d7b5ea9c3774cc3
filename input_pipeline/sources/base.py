"""Sources of batches: what the pipeline asks of a data set, however it is stored."""

import abc

import numpy as np
import tensorflow as tf

from dense_labels.batches import Frame
from dense_labels.registry import Entry


class Source(abc.ABC):
    """Pairs and annotated images of the splits of one data set, addressed by index.

    A method that is given `count` takes indices below it as `count` examples from all over the split.

    Attributes:
      size: (height, width) in pixels that a whole picture is resized to; None where nothing is resized.
      input_size: (height, width) of the images, in pixels: a picture resized, less its margin.
      margin: how many pixels are cut off each side of a picture once it has been resized.
      normaliser: the name of what landmark errors are divided by; "" where there are no landmarks.
      landmark_names: the names of the landmarks; none where they are numbered, or there are none.
      flip_pairs: pairs of landmarks that a mirror exchanges, where the annotations say so.
      boxed: whether the images show parts of pictures, boxes about the objects.
      warps_pictures: whether it can show an annotated picture in several views, see `annotated_pairs`.
      knows_surface: whether it knows the true place on the object that each cell shows, see `surfaces`.
    """

    size: tuple[int, int] | None = None
    input_size: tuple[int, int]
    margin: int = 0
    normaliser: str = ""
    landmark_names: tuple[str, ...] = ()
    flip_pairs: tuple[tuple[int, int], ...] = ()
    boxed: bool = False
    warps_pictures: bool = False
    knows_surface: bool = False

    def frame(self, stride: int) -> Frame:
        """Returns the frame that a network of a stride, in pixels, sees the images in."""
        return Frame(self.input_size, stride, self.margin)

    @abc.abstractmethod
    def count(self, split: str) -> int:
        """Returns how many examples a split has; 0 where there is no such split."""

    def count_images(self, split: str) -> int:
        """Returns how many images a split has: one an example, unless pairs share them."""
        return self.count(split)

    def classes(self, split: str) -> np.ndarray:
        """Returns the class of each example of a split, int64 [N]; all 0 where there is one class."""
        return np.zeros(self.count(split), np.int64)

    def pictures_below(self, folder: str, split: str) -> int:
        """Counts the images of a split whose files a folder holds or links to; 0 where they are not a user's own."""
        return 0

    def picture_size(self, longer_side: int) -> tuple[int, int]:
        """Returns the (height, width) of the median picture or box, shrunk to at most `longer_side` pixels.

        Raises:
          ValueError: if the data set is no still pictures.
        """
        raise ValueError("a detector needs still pictures with landmarks; this data set has none; choose other heads")

    def files(self, split: str) -> dict[str, str]:
        """Returns the path of each file of a split and its SHA-256; nothing where they are not a user's own files."""
        return {}

    def boxes(self, split: str) -> dict[str, str]:
        """Returns the path of each file of a split and a digest of its boxes; nothing where all of it is shown."""
        return {}

    def origins(self, split: str) -> list[tuple[str, str]]:
        """Returns the path and the SHA-256 of the file that each image of a split shows, or a box in it; as `files`."""
        return []

    @abc.abstractmethod
    def pairs(
        self, split: str, indices: tf.data.Dataset, *, stride: int, batch_size: int, count: int | None = None
    ) -> tf.data.Dataset:
        """Makes pairs of views or frames.

        Args:
          split: name of the split.
          indices: `tf.data.Dataset` of (index, seed): int64 scalar and int64 [2]; what is random in a pair depends on
            its seed alone.
          stride: side of a cell of the label map in pixels.
          batch_size: pairs of a batch; the last may be smaller.
          count: see above.

        Returns:
          `tf.data.Dataset` of PairBatches.

        Raises:
          ValueError: if a file of the data set is damaged or gone.
        """

    @abc.abstractmethod
    def images(
        self, split: str, indices: tf.data.Dataset, *, batch_size: int, count: int | None = None
    ) -> tf.data.Dataset:
        """Makes batches of images as a user has them, neither warped nor recoloured.

        Args:
          split, batch_size, count: as in `pairs`.
          indices: as in `pairs`, of the `count_images` images of the split.

        Returns:
          `tf.data.Dataset` of ImageBatches.

        Raises:
          ValueError: if a file of the data set is damaged or gone.
        """

    @abc.abstractmethod
    def landmarks(
        self, split: str, indices: tf.data.Dataset, *, batch_size: int, count: int | None = None
    ) -> tf.data.Dataset:
        """Makes batches of annotated images.

        Args:
          split, indices, batch_size, count: as in `pairs`.

        Returns:
          `tf.data.Dataset` of LandmarkBatches.

        Raises:
          ValueError: if a file of the data set is damaged or gone, or there are no landmarks.
        """

    def annotated_pairs(
        self,
        split: str,
        indices: tf.data.Dataset,
        *,
        stride: int,
        batch_size: int,
        strength: float,
        count: int | None = None,
    ) -> tf.data.Dataset:
        """Makes pairs of views in the colours of the pictures, with their landmarks; where it `warps_pictures`.

        Args:
          split, indices, stride, batch_size, count: as in `pairs`.
          strength: of the warps; 1 is that of the published ones.

        Returns:
          `tf.data.Dataset` of AnnotatedPairBatches.

        Raises:
          ValueError: if a file of the data set is damaged or gone.
        """
        raise NotImplementedError(f"{type(self).__name__} does not warp pictures")

    def surfaces(
        self, split: str, indices: tf.data.Dataset, *, stride: int, batch_size: int, count: int | None = None
    ) -> tf.data.Dataset:
        """Makes batches of images with the place on the object that is seen in each cell; where it `knows_surface`.

        Args:
          split, indices, batch_size, count: as in `pairs`.
          stride: side of a cell of the label map in pixels.

        Returns:
          `tf.data.Dataset` of SurfaceBatches.

        Raises:
          ValueError: if a file of the data set is damaged or gone.
        """
        raise NotImplementedError(f"{type(self).__name__} does not know the surface of its object")


def spread(index: tf.Tensor, count: int | None, examples: int) -> tf.Tensor:
    """Spreads indices below `count` evenly over all examples.

    Args:
      index: integer tensor.
      count: how many indices there are; None for as many as there are examples.
      examples: how many examples there are.

    Returns:
      Integer tensor, below `examples`.
    """
    return index if count is None or count >= examples else index * examples // count


def check(source: Source, entry: Entry) -> Source:
    """Refuses a source that is not what it was registered as; raises a ValueError."""
    if not isinstance(source, Source):
        raise ValueError(f"source {entry.place} must return a Source; found {type(source).__name__}")
    said, size = entry.facts.get("size"), getattr(source, "input_size", None)
    if not isinstance(size, tuple) or len(size) != 2:
        raise ValueError(f"source {entry.place} must have input_size=(height, width) in pixels; found {size}")
    if entry.facts.get("simulated") and said != size:
        raise ValueError(f"source {entry.place} is registered with size={said}, but its images have input_size={size}")
    return source
