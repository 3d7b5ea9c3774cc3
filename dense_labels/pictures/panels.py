"""Pictures of labels, matches and landmarks: arrays in, one uint8 picture [H, W, 3] out.

Convention: points are drawn in the frame of `geometry`, continuous pixels of the image shown. A
tile whose top-left corner is at picture pixel (left, top) shows point (x, y) of its image at
(left + scale * x, top + scale * y). What differs in colour differs in shape too.
Pictures of unfolded label space are drawn by `unfolding`.

Figure and equation numbers are those of Thewlis, Bilen and Vedaldi, "Unsupervised learning of
object frames by dense equivariant image labelling", NIPS 2017.
"""

import colorsys

import numpy as np
import tensorflow as tf

from dense_labels.method import geometry, label_sphere, matching
from dense_labels.pictures import sheet
from dense_labels.pictures.sheet import LINE, MARGIN

PREDICTED, TRUE, PEAK = "#009e73", "#0072b2", "#d55e00"
_GAP = 8  # Pixels between tiles.
_DOTS = 8  # Most dots along a side of a grid.


def pairs_panel(images_a, images_b, points_in_b, visible, *, stride, landmarks_a=None, landmarks_b=None):
    """Shows pairs of views and how the one is bent into the other, to check warps by eye.

    A row per pair: A with a sparse grid of its cells as dots, B with the same dots where they are
    visible, then B with the lines of A's grid as they are found there. A dot has the hue of its x and
    the lightness of its y in A; those that are not visible in B are hollow in A.

    Args:
      images_a: [N, H, W, 3], float in [0, 1].
      images_b: [N, H, W, 3], float in [0, 1].
      points_in_b: [N, h, w, 2], where each cell of A is found, (x, y) in pixels of B.
      visible: [N, h, w], which of them are seen in B (bool or 0/1).
      stride: side of a cell in pixels.
      landmarks_a: [N, K, 2], (x, y) in pixels of A.
      landmarks_b: [N, K, 2], (x, y) in pixels of B.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: if the shapes do not agree, images are not in [0, 1], or the cells do not fit the images.
    """
    images_a = sheet.check_images("images_a", images_a)
    images_b = sheet.check_images("images_b", images_b)
    sheet.check("images_b", images_b, images_a.shape)
    points_in_b = sheet.check("points_in_b", points_in_b, (len(images_a), None, None, 2))
    visible = sheet.check("visible", visible, points_in_b.shape[:3]).astype(bool)
    landmarks = {"landmarks_a": landmarks_a, "landmarks_b": landmarks_b}
    landmarks = {k: sheet.check(k, x, (len(images_a), None, 2)) for k, x in landmarks.items() if x is not None}
    (rows, columns), size = visible.shape[1:], images_a.shape[1:3]
    if rows * stride > size[0] or columns * stride > size[1]:
        raise ValueError(f"{rows} x {columns} cells of {stride} pixels do not fit images of {size[0]} x {size[1]}")

    width, height = sheet.tile_size(images_a, 180)
    across, down, top = width + _GAP, height + _GAP, MARGIN + LINE
    bottom = top + len(images_a) * down
    figure = sheet.create(2 * MARGIN + 3 * across - _GAP, bottom + LINE + MARGIN)
    lefts = MARGIN + across * np.arange(3)
    for x, title in zip(lefts, ("A", "B", "A's grid in B")):
        sheet.write(figure, x, MARGIN + LINE / 2 - 3, title)
    centres = geometry.cell_centres(rows, columns, stride).numpy()
    for n, (places, seen) in enumerate(zip(points_in_b, visible)):
        tiles = [sheet.tile(figure, x, top + n * down, width, height, images_a) for x in lefts]
        for axes, image in zip(tiles, (images_a[n], images_b[n], images_b[n])):
            sheet.show(axes, image)
        _draw_dots(*tiles[:2], centres, places, seen)
        _draw_bent_grid(tiles[2], places, seen)
        for axes, name in zip(tiles, ("landmarks_a", "landmarks_b")):
            if name in landmarks:
                axes.plot(*landmarks[name][n].T, **sheet.stroke("x", TRUE, 9))
    entries = {
        "visible in B": sheet.dot("o", "grey", 11, edge="black"),
        "not visible in B, or left out": sheet.stroke("o", "grey", 11),
        **({"landmark": sheet.stroke("x", TRUE, 9)} if landmarks else {}),
    }
    sheet.legend(figure, bottom + LINE / 2, entries)
    return sheet.render(figure)


def labels_panel(images, labels, *, masks=None, basis=None):
    """Shows frames, the colours of their labels and the lengths of their labels (figure 3).

    Args:
      images: [N, H, W, 3], float in [0, 1].
      labels: [N, h, w, L], a label map of stride H // h for each image.
      masks: [N, H, W], where the object is (bool or 0/1); adds a row of labels on the object alone.
      basis: [L, 3] from `label_sphere.colour_basis`; needed for L > 3.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: if the shapes do not agree, or images are not in [0, 1].
    """
    images = sheet.check_images("images", images)
    labels = sheet.check_labels("labels", labels, images)
    colours = label_sphere.label_colours(labels, basis)
    lengths = np.linalg.norm(labels, axis=-1)
    shortest, longest = lengths.min(), lengths.max()
    rows = {"frame": images, "label": colours}
    if masks is not None:
        rows["label on\nthe object"] = _hide_background(colours, sheet.check_masks(masks, images))
    rows["length\nof label"] = lengths

    width, height = sheet.tile_size(images, 180)
    left, key, across, down = 92, 150, width + _GAP, height + _GAP
    figure = sheet.create(left + len(images) * across + key, 2 * MARGIN + len(rows) * down - _GAP)
    key_left = left + len(images) * across + MARGIN
    for row, (caption, pictures) in enumerate(rows.items()):
        top = MARGIN + row * down
        sheet.write(figure, left - MARGIN, top + height / 2, caption, ha="right")
        for column, picture in enumerate(pictures):
            axes = sheet.tile(figure, left + column * across, top, width, height, images)
            size = sheet.covered(images, picture)
            drawn = sheet.show(axes, picture, size, vmin=shortest, vmax=longest, cmap="cividis")
        if pictures is lengths:
            bar = sheet.add_axes(figure, key_left, top, 14, height)
            figure.colorbar(drawn, cax=bar, ticks=[shortest, longest], format="%.3g")
            bar.tick_params(labelsize=sheet.in_points(13), length=sheet.in_points(4))
        elif pictures is colours and labels.shape[-1] == 3:
            _draw_colour_key(sheet.add_axes(figure, key_left, top + height / 2 - 40, 120, 60))
            sheet.write(figure, key_left + 60, top + height / 2 + 32, "label sphere", ha="center")
    return sheet.render(figure)


def transfer_panel(images_a, images_b, labels_a, labels_b, points, *, stride, points_in_b=None):
    """Shows where points of A are found in B, with the probability p(v|u) of equation (3).

    A row per pair: A with its points, B with their expected matches, then for each point p over B.
    The glow is the square root of p over its largest value, so that a weak second peak is seen.

    Args:
      images_a: [N, H, W, 3], float in [0, 1].
      images_b: [N, H, W, 3], float in [0, 1].
      labels_a: [N, h, w, L].
      labels_b: [N, h, w, L].
      points: [N, P, 2], (x, y) in pixels of A.
      stride: side of a cell in pixels.
      points_in_b: [N, P, 2], where the points truly are, in pixels of B; not drawn outside B.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: if the shapes do not agree, or images are not in [0, 1].
    """
    images_a = sheet.check_images("images_a", images_a)
    images_b = sheet.check_images("images_b", images_b)
    sheet.check("images_b", images_b, images_a.shape)
    labels_a = sheet.check_labels("labels_a", labels_a, images_a)
    labels_b = sheet.check("labels_b", labels_b, labels_a.shape).astype(np.float32)
    points = sheet.check("points", points, (len(images_a), None, 2))
    if points_in_b is not None:
        points_in_b = sheet.check("points_in_b", points_in_b, points.shape)
    probability, expected, peak = _transfer(labels_a, labels_b, points, stride)

    width, height = sheet.tile_size(images_b, 180)
    count, across, down = points.shape[1], width + _GAP, height + LINE + _GAP
    top, bottom = MARGIN + LINE, MARGIN + LINE + len(points) * down
    figure = sheet.create(2 * MARGIN + (2 + count) * across - _GAP, bottom + LINE + MARGIN)
    lefts = MARGIN + across * np.arange(2 + count)
    for n in range(len(points)):
        y = top + n * down
        axes_a, axes_b, *axes_p = (sheet.tile(figure, x, y, width, height, images_b) for x in lefts)
        sheet.show(axes_a, images_a[n])
        sheet.show(axes_b, images_b[n])
        for p, axes in enumerate(axes_p):
            axes_a.plot(*points[n, p], **sheet.point_style(p))
            axes_b.plot(*expected[n, p], **sheet.point_style(p))
            _show_probability(axes, images_b[n], probability[n, p], sheet.covered(images_b, labels_b[n]))
            if points_in_b is not None:
                axes.plot(*points_in_b[n, p], **sheet.stroke("x", TRUE, 9))
            axes.plot(*peak[n, p], **sheet.stroke("s", PEAK, 13))
            axes.plot(*expected[n, p], **sheet.stroke("o", PREDICTED, 28))
            largest = f"largest p {probability[n, p].max():.2g}"
            sheet.write(figure, lefts[2 + p], y + height + LINE / 2, largest)
    title_y = MARGIN + LINE / 2 - 3
    sheet.write(figure, lefts[0], title_y, "A")
    sheet.write(figure, lefts[1], title_y, "B, expected matches")
    for p, x in enumerate(lefts[2:]):
        sheet.add_marker(figure, x + 7, title_y, sheet.point_style(p))
        sheet.write(figure, x + 20, title_y, "in B")
    entries = {
        "expected match": sheet.stroke("o", PREDICTED, 16),
        "most probable cell": sheet.stroke("s", PEAK, 13),
    }
    if points_in_b is not None:
        entries["true place"] = sheet.stroke("x", TRUE, 9)
    sheet.legend(figure, bottom + LINE / 2, entries)
    return sheet.render(figure)


def landmarks_panel(images, predicted, true, annotated, *, scale=4):
    """Shows predicted beside true landmarks, each pair joined by a line (figure 5, right).

    The image in row r and column c of the panel, of at most four columns, starts at picture pixel
    `(MARGIN + c * (scale * W + MARGIN), MARGIN + r * (scale * H + MARGIN + LINE))`.

    Args:
      images: [N, H, W, 3], float in [0, 1].
      predicted: [N, K, 2], (x, y) in pixels.
      true: [N, K, 2], (x, y) in pixels.
      annotated: [N, K], which landmarks are known (bool or 0/1); of others nothing is drawn.
      scale: how many picture pixels a pixel becomes, an int.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: if the shapes do not agree, images are not in [0, 1] or `scale` is not a positive
        int.
    """
    images = sheet.check_images("images", images)
    predicted = sheet.check("predicted", predicted, (len(images), None, 2))
    true = sheet.check("true", true, predicted.shape)
    annotated = sheet.check("annotated", annotated, predicted.shape[:2]).astype(bool)
    if scale != int(scale) or scale < 1:
        raise ValueError(f"scale must be a positive int; found {scale}")

    columns = min(len(images), 4)
    height, width = images.shape[1] * scale, images.shape[2] * scale
    across, down = width + MARGIN, height + LINE + MARGIN
    bottom = MARGIN + -(-len(images) // columns) * down
    figure = sheet.create(max(MARGIN + columns * across, 260), bottom + LINE)
    for n, image in enumerate(images):
        row, column = divmod(n, columns)
        left, top = MARGIN + column * across, MARGIN + row * down
        axes = sheet.tile(figure, left, top, width, height, images)
        sheet.show(axes, image)
        found, wanted = predicted[n][annotated[n]], true[n][annotated[n]]
        for line in np.stack([found, wanted], axis=1):
            effects = sheet.outline("black", 4)
            axes.plot(*line.T, color="white", linewidth=sheet.in_points(2), path_effects=effects)
        axes.plot(*wanted.T, **sheet.dot("D", TRUE, 11))
        axes.plot(*found.T, **sheet.dot("o", PREDICTED, 9))
        error = np.linalg.norm(found - wanted, axis=-1)
        caption = f"mean error {error.mean():.2f} px" if len(error) else "none annotated"
        sheet.write(figure, left, top + height + LINE / 2, caption)
    sheet.legend(figure, bottom, {"predicted": sheet.dot("o", PREDICTED, 9), "true": sheet.dot("D", TRUE, 11)})
    return sheet.render(figure)


def _sparse(count):
    """Returns at most `_DOTS` indices below `count`, evenly spaced and centred."""
    step = -(-count // _DOTS)
    return range((count - 1) % step // 2, count, step)


def _draw_dots(axes_a, axes_b, centres, points_in_b, visible):
    height, width = visible.shape
    for number_i, i in enumerate(_sparse(height)):
        for number_j, j in enumerate(_sparse(width)):
            marker = sheet.POINT_MARKERS[(2 * number_i + number_j) % 5]  # Not that of any neighbour.
            colour = colorsys.hls_to_rgb(0.85 * j / width, 0.75 - 0.45 * i / height, 0.9)
            if visible[i, j]:
                axes_a.plot(*centres[i, j], **sheet.dot(marker, colour, 11, edge="black"))
                axes_b.plot(*points_in_b[i, j], **sheet.dot(marker, colour, 11, edge="black"))
            else:
                axes_a.plot(*centres[i, j], **sheet.stroke(marker, colour, 12))


def _draw_bent_grid(axes, points_in_b, visible):
    """Draws rows and columns of cells where they are found, broken where they are not visible."""
    places = np.where(visible[..., np.newaxis], points_in_b, np.nan)
    rows = [places[i] for i in _sparse(len(places))]
    columns = [places[:, j] for j in _sparse(places.shape[1])]
    for line in rows + columns:
        effects = sheet.outline("black", 3.5)
        axes.plot(*line.T, color="white", linewidth=sheet.in_points(1.5), path_effects=effects)


def _transfer(labels_a, labels_b, points, stride):
    """Returns p(v|u) [N, P, h, w] for labels at points; expected and best matches [N, P, 2]."""
    count, height, width, length = labels_b.shape
    points = tf.constant(points, tf.float32)
    queries = geometry.bilinear_sample(tf.constant(labels_a), points, stride)  # [N, P, L]
    cells = labels_b.reshape(count, height * width, length)
    log_p = matching.match_log_probability(queries, cells)  # [N, P, h * w]
    positions = tf.reshape(geometry.cell_centres(height, width, stride), [-1, 2])
    probability = tf.reshape(tf.exp(log_p), [*points.shape[:2], height, width])
    expected = matching.expected_match(log_p, positions)
    return probability.numpy(), expected.numpy(), matching.best_match(log_p, positions).numpy()


def _hide_background(colours, masks):
    """Turns cells that lie mostly off the object grey, far from the colour of any direction."""
    count, height, width, _ = colours.shape
    stride = masks.shape[1] // height
    covered = masks[:, : height * stride, : width * stride]
    blocks = covered.reshape(count, height, stride, width, stride)
    shown = blocks.mean(axis=(2, 4)) >= 0.5  # [N, h, w]
    return np.where(shown[..., np.newaxis], colours, np.float32(0.5))


def _show_probability(axes, image, probability, extent):
    sheet.show(axes, 0.4 * image.mean(axis=-1, keepdims=True).repeat(3, axis=-1))
    relative = np.sqrt(probability / probability.max())
    sheet.show(axes, relative, extent, alpha=relative, vmin=-0.5, vmax=1, cmap="inferno")


def _draw_colour_key(axes):
    """Draws the colours of all directions, unfolded as in `unfolding`."""
    latitude, longitude = np.meshgrid(
        np.linspace(np.pi / 2, -np.pi / 2, 60), np.linspace(-np.pi, np.pi, 120), indexing="ij"
    )
    axes.imshow(label_sphere.label_colours(label_sphere.from_latitude_longitude(latitude, longitude)))
    axes.set_axis_off()
