"""Pairs of views and where each cell of the first is found in the second."""

import functools

import tensorflow as tf

from dense_labels.method import geometry
from input_pipeline.views import point_maps, warps

_PROJECTIVE, _FLIP = 1, 2  # folded into a seed, for draws that leave the others as they are


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


def pair_from_image(
    image, seed, *, stride, crop=0, strength=1.0, border="edge", projective=0.0, flip=False, landmarks=None
):
    """Makes a pair of two random views of each image, and where the cells of the first are found in the second.

    View B is the image warped by W1, view A is view B warped by W2; both are sampled from the image itself, once. Each
    is a thin-plate spline plus an affine map, the spline of W1 at half strength, and then, if asked for, a projective
    map. Images come in batches, for the warps of a batch are one matrix product: a batch of 32 takes half the time of
    32 batches of one.

    Convention: `points_in_b` is W2 at the centres of A's cells, in pixels of view B; it is not interpolated.

    Args:
      image: [B, H, W, C], uint8, or floating point in [0, 1]; H and W must be known.
      seed: integer [B, 2]; the pair of an image depends on its seed alone.
      stride: side of a cell in pixels.
      crop: pixels that the views lack on each side, so that warps bring in more of the image and less of its border.
      strength: multiplies the standard deviations of both warps, but for their projective parts.
      border: what lies beyond the image, one of `warps.BORDERS`.
      projective: multiplies the standard deviations of the projective parts; 0 is none, and takes no time.
      flip: True makes the pairs of a random half of the images from the mirror image. Both views are then of it, so
        `points_in_b` does not change.
      landmarks: [B, K, 2], (x, y) in pixels of the image, or None.

    Returns:
      A PairBatch: `image_a`, `image_b` float32 [B, H - 2 crop, W - 2 crop, C], `points_in_b` float32 [B, h, w, 2] and
      `visible` float32 [B, h, w], 1 where the point lies inside B, whether B shows the image there or its border;
      h = (H - 2 crop) // stride. With landmarks also, for both views:
      `landmarks_a`, `landmarks_b`: float32 [B, K, 2], where the view shows them, in its pixels. In a mirror image, too,
        a landmark is where the view shows that very point: who numbers left and right eyes apart must exchange them.
      `landmarks_visible_a`, `landmarks_visible_b`: float32 [B, K], 1 where that is inside the view. Where it is 0 the
        view does not show the landmark, or it was not found (see `point_maps.invert_at`), and its place means nothing.

    Raises:
      ValueError: if `image`, `seed` or `landmarks` has another shape, the crop leaves nothing, `strength` or
        `projective` is negative or there is no such border.
    """
    image, seed, landmarks = _checked(image, seed, landmarks)
    size = tuple(image.shape[1:3])
    if flip:
        image, landmarks = _mirror_half(image, landmarks, seed)
    first, second = _draw_two_warps(seed, strength)
    tilt_1, tilt_2 = _draw_two_tilts(seed, projective, size)
    a_to_source, b_to_source = warps.views_to_source(
        first, second, size, crop=crop, after_first=tilt_1, after_second=tilt_2
    )
    points_in_b = tilt_2(warps.on_grid(second, size, crop=crop, stride=stride)) - float(crop)
    pair = _sampled(image, a_to_source, b_to_source, points_in_b, crop, border)
    if landmarks is not None:
        w1 = point_maps.compose(tilt_1, functools.partial(warps.at_points, first, size=size))
        w2 = point_maps.compose(tilt_2, functools.partial(warps.at_points, second, size=size))
        pair.update(_landmarks_in_views(landmarks, w1, w2, size, crop))
    return pair


def affine_pair_from_image(image, seed, *, stride, crop=0, strength=1.0, border="mirror", flip=False, landmarks=None):
    """Makes a pair of two views of each image, warped apart from one another by affine maps.

    As of "Self-supervised learning of geometrically stable features" (CVPR 2018), section 3.4, which does not give the
    ranges; see `warps.draw_axes`. With g and g' the `view_to_source` maps of A and B, a point u of A is found at
    g'^-1(g(u)) in B, exactly; also beyond the image, for what views show there depends on the place alone.

    Args:
      image, seed, stride, crop, border, flip, landmarks: as in `pair_from_image`.
      strength: multiplies all ranges; below 4.

    Returns:
      A PairBatch, as `pair_from_image`.

    Raises:
      ValueError: as `pair_from_image`.
    """
    image, seed, landmarks = _checked(image, seed, landmarks)
    size = tuple(image.shape[1:3])
    if flip:
        image, landmarks = _mirror_half(image, landmarks, seed)

    def draw(seed):
        return tf.stack([warps.draw_axes(one, strength=strength) for one in warps.split(seed, 2)])

    a_to_source, b_to_source = tf.unstack(tf.map_fn(draw, seed, fn_output_signature=tf.float32), axis=1)
    source_to_a, source_to_b = tf.linalg.inv(a_to_source), tf.linalg.inv(b_to_source)

    def at_cells(matrices, stride):
        rows, columns = ((side - 2 * crop) // stride for side in size)
        cells = geometry.cell_centres(rows, columns, stride) + float(crop)
        cells = tf.broadcast_to(cells, [tf.shape(image)[0], rows, columns, 2])
        return point_maps.project(matrices, cells, size)

    points_in_b = at_cells(source_to_b @ a_to_source, stride) - float(crop)
    pair = _sampled(image, at_cells(a_to_source, 1), at_cells(b_to_source, 1), points_in_b, crop, border)
    for name, source_to_view in (("a", source_to_a), ("b", source_to_b)) if landmarks is not None else ():
        places = point_maps.project(source_to_view, landmarks, size) - float(crop)
        pair[f"landmarks_{name}"] = places
        pair[f"landmarks_visible_{name}"] = tf.cast(_inside(places, size, crop), tf.float32)
    return pair


def _checked(image, seed, landmarks):
    image, seed = tf.convert_to_tensor(image), tf.convert_to_tensor(seed)
    if image.shape.rank != 4 or None in image.shape[1:3] or seed.shape.rank != 2 or seed.shape[1] != 2:
        raise ValueError(
            f"image must be [B, H, W, C] with H and W known, and seed [B, 2]; found {image.shape} and {seed.shape}"
        )
    return image, seed, None if landmarks is None else _checked_landmarks(landmarks)


def _sampled(image, a_to_source, b_to_source, points_in_b, crop, border):
    """The PairBatch of two views, each sampled from the image once."""
    image = tf.image.convert_image_dtype(image, tf.float32)
    return {
        "image_a": warps.sample(image, a_to_source, border=border),
        "image_b": warps.sample(image, b_to_source, border=border),
        "points_in_b": points_in_b,
        "visible": tf.cast(_inside(points_in_b, tuple(image.shape[1:3]), crop), tf.float32),
    }


def _checked_landmarks(landmarks):
    landmarks = tf.convert_to_tensor(landmarks)
    if landmarks.shape.rank != 3 or landmarks.shape[-1] != 2:
        raise ValueError(f"landmarks must be [B, K, 2]; found {landmarks.shape}")
    return tf.cast(landmarks, tf.float32)


def _mirror_half(image, landmarks, seeds):
    """The images and landmarks, a random half of them mirrored."""

    def draw(seed):
        return tf.random.stateless_uniform([], tf.random.fold_in(seed, _FLIP)) < 0.5

    flipped = tf.map_fn(draw, seeds, fn_output_signature=tf.bool)[:, tf.newaxis, tf.newaxis]
    if landmarks is not None:
        landmarks = tf.where(flipped, point_maps.flip(landmarks, image.shape[1:3]), landmarks)
    return tf.where(flipped[..., tf.newaxis], tf.image.flip_left_right(image), image), landmarks


def _draw_two_warps(seeds, strength):
    """Weights of W1 and W2, each [B, 103, 2], the spline of W1 at half strength."""

    def draw(seed):
        tps_1, affine_1, tps_2, affine_2 = warps.split(seed, 4)
        bend_2, bend_1 = warps.draw_tps(tps_2, strength=strength), warps.draw_tps(tps_1, strength=strength / 2)
        first = warps.tps_affine(bend_1, warps.draw_affine(affine_1, strength=strength))
        second = warps.tps_affine(bend_2, warps.draw_affine(affine_2, strength=strength))
        return tf.stack([first, second])

    return tf.unstack(tf.map_fn(draw, seeds, fn_output_signature=tf.float32), axis=1)


def _draw_two_tilts(seeds, strength, size):
    """The projective maps that end W1 and W2."""
    if strength == 0:
        return tf.identity, tf.identity
    if not strength >= 0:
        raise ValueError(f"projective={strength} must not be negative; 1 is full strength, 0 no projective part")

    def draw(seed):
        both = warps.split(tf.random.fold_in(seed, _PROJECTIVE), 2)
        return tf.stack([warps.draw_projective(one, strength=strength) for one in both])

    homographies = tf.map_fn(draw, seeds, fn_output_signature=tf.float32)  # [B, 2, 3, 3]
    return [
        functools.partial(point_maps.project, homography, size=size) for homography in tf.unstack(homographies, axis=1)
    ]


def _inside(points, size, crop, margin=0.0):
    """Which points [..., 2], pixels of a view, are inside it, or not further than `margin` pixels from it."""
    extent = tf.constant([size[1] - 2.0 * crop, size[0] - 2.0 * crop])
    return tf.reduce_all((points >= -margin) & (points < extent + margin), axis=-1)


def _landmarks_in_views(landmarks, w1, w2, size, crop):
    """The landmarks' part of a pair; the maps W1 and W2 are exact, and of the frame, which views lack the crop of."""
    in_b, found_b = point_maps.invert_at(w1, landmarks, size)
    in_a, found_a = point_maps.invert_at(w2, in_b, size)
    in_a, in_b = in_a - float(crop), in_b - float(crop)
    found_a &= found_b & _inside(in_b, size, crop, margin=max(size) / 4)  # further out A shows something else
    return {
        "landmarks_a": in_a,
        "landmarks_b": in_b,
        "landmarks_visible_a": tf.cast(found_a & _inside(in_a, size, crop), tf.float32),
        "landmarks_visible_b": tf.cast(found_b & _inside(in_b, size, crop), tf.float32),
    }
