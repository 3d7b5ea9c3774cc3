"""Video as a source of pairs: two frames of a clip and the optical flow between them (section 3.3)."""

import functools
import hashlib
import pathlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from dense_labels import progress
from dense_labels.batches import ImageBatch
from dense_labels.config import Config, ViewsConfig
from input_pipeline.readers import folder
from input_pipeline.sources import base, sizes
from input_pipeline.storage import optical_flow, resized
from input_pipeline.views import pairs

_LEAST_SEEN = 0.01  # of the pixels of a pair
_FEW_SEEN = 0.25  # of the pixels of all pairs: below, a note says what might help


class Clips(base.Source):
    """Pairs of frames in which something is seen to move; there are no landmarks."""

    def __init__(self, video: optical_flow.Video, views: ViewsConfig):
        """Creates the source of a video, whose frames are recoloured as `views` says."""
        self._video, self._views = video, views
        height, width = video.images.shape[1:3]
        self.size = self.input_size = (height, width)
        self._splits = {name: of[video.seen[of] >= _LEAST_SEEN] for name, of in video.splits.items()}

    def count(self, split: str) -> int:
        return len(self._chosen(split))

    def count_images(self, split: str) -> int:
        return len(self._frames(split))

    def files(self, split: str) -> dict[str, str]:
        frames = [pathlib.Path(self._video.paths[frame]) for frame in self._frames(split)]
        return {str(path.absolute()): hashlib.sha256(path.read_bytes()).hexdigest() for path in frames}

    def pairs(
        self, split: str, indices: tf.data.Dataset, *, stride: int, batch_size: int, count: int | None = None
    ) -> tf.data.Dataset:
        chosen, video, size = self._chosen(split), self._video, self.input_size
        read_image = self._image_reader()

        def read_flow(pair):
            return video.flow[pair].astype("float32"), video.visible[pair]

        def pair(index, seed):
            pair = tf.gather(chosen, base.spread(index, count, len(chosen)))
            flow, visible = tf.numpy_function(read_flow, [pair], (tf.float32, tf.uint8), stateful=False)
            made = pairs.pair_from_flow(
                read_image(tf.gather(video.first, pair)),
                read_image(tf.gather(video.second, pair)),
                tf.ensure_shape(flow, [*size, 2]),
                tf.ensure_shape(visible, size),
                segments=tf.zeros(size, tf.uint8),  # not known: a cell astride two motions has the mean of both
                stride=stride,
            )
            return made, seed

        batches = indices.map(pair, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size)
        return batches.map(
            lambda batch, seed: pairs.recolour(batch, seed, self._views), num_parallel_calls=tf.data.AUTOTUNE
        )

    def images(
        self, split: str, indices: tf.data.Dataset, *, batch_size: int, count: int | None = None
    ) -> tf.data.Dataset:
        frames, read_image = self._frames(split), self._image_reader()

        def image(index, _):
            frame = tf.gather(frames, base.spread(index, count, len(frames)))
            return ImageBatch(read_image(frame), mask=tf.ones(self.input_size))

        return indices.map(image, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size)

    def landmarks(
        self, split: str, indices: tf.data.Dataset, *, batch_size: int, count: int | None = None
    ) -> tf.data.Dataset:
        raise ValueError("frames of a video have no landmarks; give annotated pictures")

    def _image_reader(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """Function of the index of a frame -> float32 [H, W, 3] in [0, 1]."""
        take = functools.partial(np.take, self._video.images, axis=0)

        def read(frame):
            image = tf.numpy_function(take, [frame], tf.uint8, stateful=False)
            return tf.image.convert_image_dtype(tf.ensure_shape(image, [*self.input_size, 3]), tf.float32)

        return read

    def _frames(self, split: str) -> np.ndarray:
        """Indices of the frames of the pairs of a split, each once."""
        chosen = self._chosen(split)
        return np.union1d(self._video.first[chosen], self._video.second[chosen])

    def _chosen(self, split: str) -> np.ndarray:
        """Indices of the pairs of a split; clips too short to hold any out are shown as they are trained on."""
        if split == "validation" and not len(self._splits["validation"]):
            split = "train"
        return self._splits.get(split, np.empty(0, np.int64))


def prepare(config: Config) -> Clips:
    """Finds the frames, resizes them and computes the flow, once.

    Args:
      config: of the run.

    Returns:
      The source.

    Raises:
      ValueError: if there are no frames, one cannot be read, nothing in them moves, or OpenCV is not installed.
      OSError: if what is computed cannot be written.
    """
    data = config.data
    size = sizes.choose(data, resized.look(folder.find(data.dir)))
    video = optical_flow.prepare(data.dir, size, data.cache_dir, max_gap=data.max_gap, ignore_still=data.ignore_still)
    source = Clips(video, config.views)
    _report(video.seen, source, "move and are seen again" if data.ignore_still else "are seen again")
    return source


def _report(seen: np.ndarray, source: Clips, what: str) -> None:
    """Says how much of the frames training can use, and what might help where that is little."""
    used = seen[seen >= _LEAST_SEEN]
    advice = "frames that lie further apart move more: raise config.data.max_gap"
    if not source.count("train"):
        raise ValueError(
            f"in none of the {len(seen)} pairs of frames {_LEAST_SEEN:.0%} of the pixels {what}, so there is nothing "
            f"to learn from; {advice}, or set config.data.ignore_still=false"
        )
    left_out = f"; {len(seen) - len(used)} others, where hardly any do, are left out" * (len(used) < len(seen))
    progress.say(f"{len(used)} pairs of frames, where {np.mean(used):.0%} of the pixels {what}{left_out}")
    if np.mean(seen) < _FEW_SEEN:
        progress.note(f"only these pixels teach; {advice}")
