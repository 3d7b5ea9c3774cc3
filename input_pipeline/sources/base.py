"""Where batches come from: what the pipeline asks of a data set, whatever it is stored as."""

import abc

import numpy as np


class Source(abc.ABC):
    """Pairs and annotated images of the splits of one data set, addressed by index.

    `input_size` is the (height, width) of the images it gives; `margin` is how many pixels were cut off each side of a
    picture once it had been resized; `normaliser` names what landmark errors are divided by; `boxed` says that it shows
    parts of pictures, boxes about the objects.

    A method that is given `count` takes indices below it as `count` examples from all over the split.
    """

    input_size: tuple[int, int]
    normaliser: str
    landmark_names: tuple[str, ...] = ()
    margin = 0
    boxed = False
    warps_pictures = False  # whether it can show an annotated picture in several views: see `stills.Stills`
    knows_surface = False  # whether it knows the true place on the object that each cell shows: see `surfaces`

    @abc.abstractmethod
    def count(self, split):
        """Returns how many examples a split has; 0 where there is no such split."""

    def classes(self, split):
        """Returns the class of each example of a split, int64 [N]; all 0 where there is one class."""
        return np.zeros(self.count(split), np.int64)

    def pictures_below(self, folder, split):
        """Counts the files of a split that lie in a folder; 0 where they are not a user's own files."""
        return 0

    @abc.abstractmethod
    def pairs(self, split, indices, *, stride, batch_size, count=None):
        """Makes PairBatches.

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
    def images(self, split, indices, *, batch_size, count=None):
        """Makes batches of images as a user has them, neither warped nor recoloured.

        Args:
          split, indices, batch_size, count: as in `pairs`.

        Returns:
          `tf.data.Dataset` of dictionaries: `image` float32 [B, H, W, 3] in [0, 1], and `mask` float32 [B, H, W], 1
          where the object is.

        Raises:
          ValueError: if a file of the data set is damaged or gone.
        """

    @abc.abstractmethod
    def landmarks(self, split, indices, *, batch_size, count=None):
        """Makes LandmarkBatches, with the `scale` that takes the image's pixels to the picture's.

        Args:
          split, indices, batch_size, count: as in `pairs`.

        Returns:
          `tf.data.Dataset` of dictionaries: `image` [B, H, W, 3], `landmarks` [B, K, 2] in pixels of the image,
          `annotated` [B, K], `scale` [B, 2] (along x and y), `normaliser` [B], in pixels of the picture, and `picture`
          int64 [B], the same number for all views of a picture.

        Raises:
          ValueError: if a file of the data set is damaged or gone.
        """

    def surfaces(self, split, indices, *, stride, batch_size, count=None):
        """Makes batches of images with the place on the object that is seen in each cell; where it `knows_surface`.

        Args:
          split, indices, batch_size, count: as in `pairs`.
          stride: side of a cell of the label map in pixels.

        Returns:
          `tf.data.Dataset` of dictionaries: `image` [B, H, W, 3]; `places` [B, h, w, 3], unit vectors in coordinates
          that move with the object, 0 off it; `on_object` [B, h, w]; `rotation` [B, 3, 3], which takes places to the
          camera's coordinates, whose third axis points away from it; and `limb` [B]: a place is seen where the cosine
          of its angle to the camera, from the object's centre, is above that.

        Raises:
          ValueError: if a file of the data set is damaged or gone.
        """
        raise NotImplementedError(f"{type(self).__name__} does not know the surface of its object")


def spread(index, count, examples):
    """Takes an index below `count` to one of `examples` such that `count` of them lie all over these.

    Args:
      index: integer tensor.
      count: an int, or None for as many as there are.
      examples: an int.

    Returns:
      Integer tensor, below `examples`.
    """
    return index if count is None or count >= examples else index * examples // count
