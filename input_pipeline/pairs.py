"""Pairs of views and where each cell of the first is found in the second."""

import tensorflow as tf

from dense_labels import geometry


def pair_from_flow(image_a, image_b, flow, visible, segments, stride):
    """Makes a pair of two frames and the motion between them.

    A cell's centre is not always a pixel's centre: its motion is the bilinear mean over the pixels around it, which is
    exact where these move rigidly together. Where they do not (they belong to two segments, or one of them is
    not visible in B) the cell is left out.

    Convention: `flow` runs from A to B: the point at the centre of pixel (i, j) of A is found in B at
    (j + 0.5, i + 0.5) + flow[i, j].

    Args:
      image_a: [H, W, 3] in [0, 1].
      image_b: [H, W, 3] in [0, 1].
      flow: float32 [H, W, 2], (x, y) in pixels.
      visible: [H, W], 1 where the point of A is seen in B, else 0.
      segments: integer [H, W], the rigid part that a pixel of A belongs to.
      stride: side of a cell in pixels.

    Returns:
      A dictionary (one element of a PairBatch): `image_a`, `image_b`, `points_in_b` float32 [h, w, 2] and `visible`
      float32 [h, w], h = H // stride.
    """
    height, width = flow.shape[0], flow.shape[1]
    centres = geometry.cell_centres(height // stride, width // stride, stride)
    pixels, weights = geometry.bilinear_weights(centres, height, width, 1)
    used = weights > 0  # [h, w, 4]

    def around(values):
        return tf.gather(tf.reshape(values, [height * width, -1]), pixels)  # [h, w, 4, C]

    motion = tf.reduce_sum(around(flow) * weights[..., tf.newaxis], axis=2)
    seen = around(tf.cast(visible, tf.bool))[..., 0]
    segment = around(segments)[..., 0]
    together = tf.reduce_all((seen & (segment == segment[..., :1])) | ~used, axis=-1)
    return {
        "image_a": image_a,
        "image_b": image_b,
        "points_in_b": centres + motion,
        "visible": tf.cast(together, tf.float32),
    }
