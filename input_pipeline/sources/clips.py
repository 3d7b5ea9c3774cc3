"""Video as a source of pairs: two frames of a clip and the optical flow between them (section 3.3)."""

import numpy as np
import tensorflow as tf

from input_pipeline.readers import folder
from input_pipeline.sources import base, stills
from input_pipeline.storage import optical_flow
from input_pipeline.views import pairs

_LEAST_SEEN = 0.01  # of the pixels of a pair
_FEW_SEEN = 0.25  # of the pixels of all pairs: below, it is said what might help


class Clips(base.Source):
    """Frame pairs of `datasets.video` in which something is seen to move; there are no landmarks."""

    normaliser = ""

    def __init__(self, frames, views):
        """Creates the source of a `optical_flow.Video`, whose frames are recoloured as `config.ViewsConfig` says."""
        self._video, self._views = frames, views
        self.input_size = frames.images.shape[1:3]
        self._splits = {name: of[frames.seen[of] >= _LEAST_SEEN] for name, of in frames.splits.items()}

    def count(self, split):
        return len(self._pairs(split))

    def pairs(self, split, indices, *, stride, batch_size, count=None):
        chosen, height, width = self._pairs(split), *self.input_size
        types = (tf.uint8, tf.uint8, tf.float32, tf.uint8)

        def read(index):
            pair = chosen[index]
            first, second = self._video.first[pair], self._video.second[pair]
            flow = self._video.flow[pair].astype("float32")
            return self._video.images[first], self._video.images[second], flow, self._video.visible[pair]

        def pair(index, seed):
            place = base.spread(index, count, len(chosen))
            image_a, image_b, flow, visible = tf.numpy_function(read, [place], types, stateful=False)
            made = pairs.pair_from_flow(
                tf.image.convert_image_dtype(tf.ensure_shape(image_a, [height, width, 3]), tf.float32),
                tf.image.convert_image_dtype(tf.ensure_shape(image_b, [height, width, 3]), tf.float32),
                tf.ensure_shape(flow, [height, width, 2]),
                tf.ensure_shape(visible, [height, width]),
                tf.zeros([height, width], tf.uint8),
                stride,
            )
            return made, seed

        def recolour(batch, seed):
            batch["image_a"], batch["image_b"] = stills.recolour(batch["image_a"], batch["image_b"], seed, self._views)
            return batch

        batches = indices.map(pair, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size)
        return batches.map(recolour, num_parallel_calls=tf.data.AUTOTUNE)

    def images(self, split, indices, *, batch_size, count=None):
        chosen = self._pairs(split)

        def read(index):
            return self._video.images[self._video.first[chosen[index]]]

        def image(index, _):
            image = tf.numpy_function(read, [base.spread(index, count, len(chosen))], tf.uint8, stateful=False)
            image = tf.image.convert_image_dtype(tf.ensure_shape(image, [*self.input_size, 3]), tf.float32)
            return {"image": image, "mask": tf.ones(self.input_size)}

        return indices.map(image, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size)

    def landmarks(self, split, indices, *, batch_size, count=None):
        raise ValueError("frames of a video have no landmarks; give annotated pictures")

    def _pairs(self, split):
        """Indices of the pairs of a split; clips too short to hold any out are shown as they are trained on."""
        if split == "validation" and not len(self._splits["validation"]):
            split = "train"
        return self._splits.get(split, ())


def prepare(data, views):
    """Finds the frames, resizes them and computes the flow, once.

    Args:
      data: `dense_labels.config.DataConfig`; a `size` of (0, 0) is replaced by what suits the frames.
      views: `dense_labels.config.ViewsConfig`.

    Returns:
      `Clips`.

    Raises:
      ValueError: if there are no frames, one cannot be read, nothing in them moves, or OpenCV is not installed.
      OSError: if what is computed cannot be written.
    """
    stills.settle_size(data, folder.read(data.dir))
    settings = {"max_gap": data.max_gap, "ignore_still": data.ignore_still}
    frames = optical_flow.prepare(data.dir, tuple(data.size), data.cache_dir, **settings)
    source = Clips(frames, views)
    _report(frames.seen, source, "move and are seen again" if data.ignore_still else "are seen again")
    return source


def _report(seen, source, what):
    """Says how much of the frames training can use, and what might help where that is little."""
    used = seen[seen >= _LEAST_SEEN]
    advice = "frames that lie further apart move more: raise config.data.max_gap"
    if not source.count("train"):
        raise ValueError(
            f"in none of the {len(seen)} pairs of frames {_LEAST_SEEN:.0%} of the pixels {what}, so there is nothing "
            f"to learn from; {advice}, or set config.data.ignore_still=false"
        )
    left_out = f"; {len(seen) - len(used)} others, where hardly any do, are left out" * (len(used) < len(seen))
    print(f"{len(used)} pairs of frames, where {np.mean(used):.0%} of the pixels {what}{left_out}", flush=True)
    if np.mean(seen) < _FEW_SEEN:
        print(f"note: only these pixels teach; {advice}", flush=True)
