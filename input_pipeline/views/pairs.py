"""Pairs of views or frames, and where each cell of the first is found in the second."""

from typing import NamedTuple

import tensorflow as tf

from dense_labels.batches import Array, PairBatch
from dense_labels.config import ViewsConfig
from dense_labels.method import geometry
from dense_labels.registry import COLOURS
from input_pipeline.views import point_maps, view_maps, warps
from input_pipeline.views.view_maps import ViewMaps

_FLIP = 2  # folded into a seed, for a draw that leaves the others as they are


def pair_from_flow(
    image_a: Array, image_b: Array, flow: Array, visible: Array, segments: Array, *, stride: int
) -> PairBatch:
    """Makes a pair of two frames and the motion between them.

    A cell's centre is not always a pixel's centre: its motion is the bilinear mean over the pixels around it, which is
    exact where these move rigidly together. Where they do not (they belong to two segments, or one of them is
    not visible in B) the cell is left out.

    Convention: `flow` runs from A to B: the point at the centre of pixel (i, j) of A is found in B at
    (j + 0.5, i + 0.5) + flow[i, j].

    Args:
      image_a: [H, W, 3], uint8, or floating point in [0, 1].
      image_b: the same.
      flow: [H, W, 2], (x, y) in pixels; where it leads outside of B, `visible` is to be 0.
      visible: [H, W], 1 where the point of A is seen in B, else 0.
      segments: integer [H, W], the rigid part that a pixel of A belongs to.
      stride: side of a cell in pixels.

    Returns:
      One element of a PairBatch: `points_in_b` is [h, w, 2], `visible` [h, w], h = H // stride.

    Raises:
      ValueError: if an image is of integers other than uint8.
    """
    images = map(_of_known_range, (image_a, image_b))
    image_a, image_b = (tf.image.convert_image_dtype(image, tf.float32) for image in images)
    flow = tf.cast(flow, tf.float32)
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
    return PairBatch(image_a, image_b, centres + motion, tf.cast(together, tf.float32))


def pair_from_image(
    image: Array,
    seed: Array,
    *,
    stride: int,
    crop: int = 0,
    strength: float = 1.0,
    border: str = "edge",
    projective: float = 0.0,
    flip: bool = False,
) -> PairBatch:
    """Makes a pair of two random views of each image, warped as `view_maps.draw_tps` says.

    Images come in batches, for the warps of a batch are one matrix product: a batch of 32 takes half the time of
    32 batches of one.

    Args:
      image, seed, border, flip: as in `pair_from_maps`.
      stride, crop, strength, projective: as in `view_maps.draw_tps`.

    Returns:
      A PairBatch, as `pair_from_maps`.

    Raises:
      ValueError: if `image` or `seed` has another shape, the crop leaves nothing, `strength` or `projective` is
        negative, or there is no such border.
    """
    image, seed = _checked(image, seed)
    maps = view_maps.draw_tps(
        seed, tuple(image.shape[1:3]), stride=stride, crop=crop, strength=strength, projective=projective
    )
    return pair_from_maps(image, seed, maps, border=border, flip=flip)


def pair_from_maps(image: Array, seed: Array, maps: ViewMaps, *, border: str, flip: bool = False) -> PairBatch:
    """Makes a pair of the two views of each image that maps describe; each is sampled from the image itself, once.

    Args:
      image: [B, H, W, C], uint8, or floating point in [0, 1]; H and W must be known.
      seed: integer [B, 2]; whether an image is mirrored depends on its seed alone.
      maps: `ViewMaps` of frames of H x W pixels.
      border: what lies beyond the image, one of `warps.BORDERS`.
      flip: True makes the pairs of a random half of the images from the mirror image. Both views are then of it, so
        `points_in_b` does not change.

    Returns:
      A PairBatch; `visible` is 1 where the point lies inside B, whether B shows the image there or its border.

    Raises:
      ValueError: if `image` or `seed` has another shape, or there is no such border.
    """
    image, seed = _checked(image, seed)
    if flip:
        image = tf.where(mirrored(seed)[:, tf.newaxis, tf.newaxis, tf.newaxis], tf.image.flip_left_right(image), image)
    image = tf.image.convert_image_dtype(image, tf.float32)
    inside = point_maps.inside(maps.points_in_b, tuple(maps.b_to_source.shape[1:3]))
    return PairBatch(
        image_a=warps.sample(image, maps.a_to_source, border=border),
        image_b=warps.sample(image, maps.b_to_source, border=border),
        points_in_b=maps.points_in_b,
        visible=tf.cast(inside, tf.float32),
    )


def two_views(images: tf.Tensor, seeds: tf.Tensor, views: ViewsConfig, *, stride: int, crop: int) -> PairBatch:
    """Makes a training pair of each image: two views, warped and recoloured as a configuration says.

    Args:
      images: uint8 [B, H, W, 3]; H and W must be known.
      seeds: int64 [B, 2], of the pairs, as of `recolour`.
      views: the part of the configuration.
      stride: side of a cell in pixels.
      crop: pixels that views lack on each side of an image.

    Returns:
      A PairBatch of views of H - 2 crop by W - 2 crop pixels.
    """
    size = tuple(images.shape[1:3])
    maps = view_maps.draw_chosen(3 * seeds, size, views, stride=stride, crop=crop, strength=views.strength)
    batch = pair_from_maps(images, 3 * seeds, maps, border=views.border, flip=views.flip)
    return recolour(batch, seeds, views)


class LandmarksInViews(NamedTuple):
    """Landmarks of pictures, in both views of each; see `AnnotatedPairBatch`."""

    landmarks_a: tf.Tensor  # float32 [B, K, 2], (x, y) in pixels of A
    landmarks_b: tf.Tensor  # float32 [B, K, 2], (x, y) in pixels of B
    visible_a: tf.Tensor  # float32 [B, K]: 1 where it is found inside A; where it is 0 its place means nothing
    visible_b: tf.Tensor  # float32 [B, K]


def landmarks_in_views(
    landmarks: Array, seed: Array, maps: ViewMaps, size: tuple[int, int], *, flip: bool = False
) -> LandmarksInViews:
    """Finds where the views of `pair_from_maps` show landmarks.

    In a mirror image, too, a landmark is where the view shows that very point: who numbers left and right eyes apart
    must exchange them.

    Args:
      landmarks: [B, K, 2], (x, y) in pixels of the image.
      seed, maps, flip: those given to `pair_from_maps`.
      size: (height, width) of the images.

    Returns:
      `LandmarksInViews`.

    Raises:
      ValueError: if `landmarks` has another shape.
    """
    landmarks = tf.convert_to_tensor(landmarks)
    if landmarks.shape.rank != 3 or landmarks.shape[-1] != 2:
        raise ValueError(f"landmarks must be [B, K, 2]; found {landmarks.shape}")
    landmarks = tf.cast(landmarks, tf.float32)
    if flip:
        mirrored_here = mirrored(tf.convert_to_tensor(seed))[:, tf.newaxis, tf.newaxis]
        landmarks = tf.where(mirrored_here, point_maps.flip(landmarks, size), landmarks)
    view = tuple(maps.b_to_source.shape[1:3])
    places = maps.locate(landmarks)
    return LandmarksInViews(
        places.in_a,
        places.in_b,
        visible_a=tf.cast(places.found_a & point_maps.inside(places.in_a, view), tf.float32),
        visible_b=tf.cast(places.found_b & point_maps.inside(places.in_b, view), tf.float32),
    )


def recolour(batch: PairBatch, seeds: tf.Tensor, views: ViewsConfig) -> PairBatch:
    """Changes the colours of both views of pairs, each in its own way.

    Args:
      batch: a PairBatch.
      seeds: int64 [B, 2], of the pairs; the warps of a pair draw from 3 times its seed, its views from 1 and 2 more.
      views: says how: its `colour` is one of the registry COLOURS.

    Returns:
      The PairBatch with other images.

    Raises:
      ValueError: if the change of colour returns images of another type or shape.
    """
    images = tf.concat([batch.image_a, batch.image_b], axis=0)
    seeds = tf.concat([3 * seeds + 1, 3 * seeds + 2], axis=0)
    entry = COLOURS[views.colour]
    changed = tf.convert_to_tensor(entry.value(images, seeds, views))
    if changed.dtype != tf.float32 or not changed.shape.is_compatible_with(images.shape):
        raise ValueError(
            f"change of colour {entry.place} must return float32 {images.shape} from 0 to 1; found "
            f"{changed.dtype.name} {changed.shape}"
        )
    image_a, image_b = tf.split(changed, 2)
    return batch._replace(image_a=image_a, image_b=image_b)


def _checked(image, seed):
    image, seed = tf.convert_to_tensor(image), tf.convert_to_tensor(seed)
    if image.shape.rank != 4 or None in image.shape[1:3] or seed.shape.rank != 2 or seed.shape[1] != 2:
        raise ValueError(
            f"image must be [B, H, W, C] with H and W known, and seed [B, 2]; found {image.shape} and {seed.shape}"
        )
    return _of_known_range(image), seed


def _of_known_range(image):
    image = tf.convert_to_tensor(image)
    if image.dtype != tf.uint8 and not image.dtype.is_floating:
        raise ValueError(f"image must be uint8, or floating point in [0, 1]; found {image.dtype.name}")
    return image


def mirrored(seeds: tf.Tensor) -> tf.Tensor:
    """Says which images `pair_from_maps` mirrors, a random half of them.

    Args:
      seeds: integer [B, 2], those given to it.

    Returns:
      bool [B].
    """

    def draw(seed):
        return tf.random.stateless_uniform([], tf.random.fold_in(seed, _FLIP)) < 0.5

    return tf.map_fn(draw, seeds, fn_output_signature=tf.bool)
