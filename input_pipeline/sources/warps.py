"""Whether the warps of views leave enough in view to learn from."""

import tensorflow as tf

from dense_labels import progress
from dense_labels.config import ViewsConfig
from input_pipeline.views import point_maps, view_maps

_LEAST_VISIBLE = 0.5  # of the cells; with the published warps it is four fifths
_COUNT = 64  # warps that are tried


def warn_of_warps(views: ViewsConfig, size: tuple[int, int], crop: int) -> None:
    """Warns where the warps take most cells of A out of B, where nothing can be learned from them.

    Args:
      views: how pictures are warped.
      size: (height, width) in pixels that pictures are resized to.
      crop: pixels that views lack on each side of a resized picture.
    """
    seeds = tf.stack([tf.zeros(_COUNT, tf.int64), tf.range(_COUNT, dtype=tf.int64)], axis=-1)

    @tf.function(autograph=False)
    def points_in_b():
        drawn = view_maps.draw_chosen(seeds, size, views, stride=2, crop=crop, strength=views.strength)
        return drawn.points_in_b

    inside = point_maps.inside(points_in_b(), (size[0] - 2 * crop, size[1] - 2 * crop))
    visible = float(tf.reduce_mean(tf.cast(inside, tf.float32)))
    if visible < _LEAST_VISIBLE:
        progress.warn(f"{1 - visible:.0%} of the cells of a view are not in the other; lower config.views.strength")
