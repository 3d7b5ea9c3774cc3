"""Label space drawn flat, with the pixels of images carried to it: of single images, and their mean.

Convention: for L >= 3 it is the sphere, in one of two projections. `equirectangular`: longitude from
-pi (left) to pi (right), latitude from pi/2 (top) to -pi/2. `hemispheres`: Lambert's equal-area
projection of the half about longitude 0 (left) and of the half about pi (right), each a disc with the
north at the top; no place is a pole there, and none is larger than another. For L = 2 it is the plane
of labels, first axis to the right, second axis up, from -1.1 to 1.1 times the longest label.

Figure numbers are those of Thewlis, Bilen and Vedaldi, "Unsupervised learning of object frames by
dense equivariant image labelling", NIPS 2017.
"""

import numpy as np
import tensorflow as tf

from dense_labels.method import geometry, label_sphere
from dense_labels.pictures import sheet
from dense_labels.pictures.sheet import LINE, MARGIN

BACKGROUND = 232  # Light grey: white parts of an object stay visible on it.
PLANE_LIMIT = 1.1  # Half-width of the unfolded plane of L = 2, in longest labels.
PROJECTIONS = ("equirectangular", "hemispheres")
LEAST_SHARE = 0.05  # Of the images; where fewer land, the mean shows chance.
_MAP_HEIGHT = 220  # Pixels of the sheet.


class MeanObject:
    """The mean of many images in unfolded label space; add batches, then take the `picture`.

    It holds a few maps of the size of the picture, however many images are added.

    Args:
      size: height of the picture.
      basis: [L, 3] as in `unfold`; needed for L > 3.
      longest: length of the longest label; needed for L = 2, where the plane cannot grow later.
      by_length: whether a pixel weighs as much as its label is long, which is its confidence.

    Attributes:
      count: how many images were added.
    """

    def __init__(self, *, size, basis=None, longest=None, by_length=False):
        self.size, self.basis, self.longest, self.by_length = size, basis, longest, by_length
        self.count = 0
        self._totals, self._reached = 0.0, 0

    def add(self, images, labels, masks):
        """Adds a batch of images.

        Args:
          images: [N, H, W, 3], float in [0, 1].
          labels: [N, h, w, L], a label map of stride H // h for each image.
          masks: [N, H, W], which pixels to draw (bool or 0/1).

        Raises:
          ValueError: if the shapes do not agree, images are not in [0, 1], or L = 2 without `longest`.
        """
        images, labels, masks = _check(images, labels, masks)
        if labels.shape[-1] == 2 and self.longest is None:
            raise ValueError("labels of length 2 need the length of the longest: pass longest=...")
        for image, label_map, mask in zip(images, labels, masks):  # One by one, for memory.
            seen = _labels_of_pixels(label_map, *mask.shape)[mask]
            weights = np.linalg.norm(seen, axis=-1) if self.by_length else np.ones(len(seen))
            totals = _totals(seen, image[mask], weights, self.size, self.basis, self.longest)
            self._totals = self._totals + totals
            self._reached = self._reached + (totals[3] > 0)
            self.count += 1

    def picture(self):
        """Returns the mean colour of the pixels at each place that at least 5 % of the images reach.

        Returns:
          uint8 [size, 2 * size, 3], or [size, size, 3] for L = 2.

        Raises:
          ValueError: if no image was added.
        """
        if not self.count:
            raise ValueError("the mean of no image: add at least one")
        return _mean_colours(self._totals, self._reached >= max(1, LEAST_SHARE * self.count))


def unfold(labels, colours, visible, *, size, basis=None, longest=None, projection="equirectangular"):
    """Carries coloured pixels to label space and draws it flat (figures 4 and 5, left).

    Where several pixels land on one place, their mean colour is shown.

    Args:
      labels: [..., L] with L >= 2, one label per pixel.
      colours: [..., 3], in [0, 1].
      visible: [...], which pixels to draw (bool or 0/1).
      size: height of the picture.
      basis: [L, 3] from `label_sphere.colour_basis`, or one that turns the map from `label_sphere.upright_rotation`;
        needed for L > 3.
      longest: for L = 2, the length of the longest label; that of the visible ones if not given.
      projection: of the sphere, one of `PROJECTIONS`; L = 2 has but its plane.

    Returns:
      uint8 [size, 2 * size, 3], or [size, size, 3] for L = 2.

    Raises:
      ValueError: if the shapes do not agree, the projection is another, or as `label_sphere.project`.
    """
    if projection not in PROJECTIONS:
        raise ValueError(f"projection={projection!r}: must be one of {', '.join(PROJECTIONS)}")
    labels, colours, visible = np.asarray(labels), np.asarray(colours), np.asarray(visible, bool)
    if labels.shape[:-1] != visible.shape or colours.shape != visible.shape + (3,):
        raise ValueError(
            "labels [..., L], colours [..., 3] and visible [...] must agree; "
            f"found shapes {labels.shape}, {colours.shape} and {visible.shape}"
        )
    labels, colours = labels[visible], colours[visible]  # [M, L], [M, 3]
    if longest is None:
        longest = np.linalg.norm(labels, axis=-1).max(initial=1e-12)
    totals = _totals(labels, colours, np.ones(len(labels)), size, basis, longest, projection)
    return _mean_colours(totals, totals[3] > 0)


def unfolded_figure(images, labels, masks, *, basis=None, projection="equirectangular"):
    """Shows frames and, under each, its pixels in unfolded label space (figures 4, 5, 7 and 8).

    Args:
      images: [N, H, W, 3], float in [0, 1].
      labels: [N, h, w, L], a label map of stride H // h for each image.
      masks: [N, H, W], where the object is (bool or 0/1).
      basis: [L, 3] as in `unfold`; needed for L > 3.
      projection: as in `unfold`.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: if the shapes do not agree, the projection is another, or images are not in [0, 1].
    """
    images, labels, masks = _check(images, labels, masks)
    maps = _unfold_each(images, labels, masks, size=2 * _MAP_HEIGHT, basis=basis, projection=projection)
    return _draw(images, maps, "plane" if labels.shape[-1] == 2 else projection)


def mean_object_figure(images, labels, masks, mean):
    """Shows a few frames, each in unfolded label space, and beside them the mean of many.

    Args:
      images: [N, H, W, 3], float in [0, 1].
      labels: [N, h, w, L], a label map of stride H // h for each image.
      masks: [N, H, W], where the object is (bool or 0/1).
      mean: a `MeanObject` of at least one image.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: if the shapes do not agree, images are not in [0, 1] or `mean` has no image.
    """
    images, labels, masks = _check(images, labels, masks)
    maps = _unfold_each(images, labels, masks, size=mean.size, basis=mean.basis, longest=mean.longest)
    caption = f"mean of {mean.count} image{'s' if mean.count > 1 else ''}"
    if mean.by_length:
        caption += ",\npixels weighed by label length"
    return _draw(images, [*maps, mean.picture()], "plane" if labels.shape[-1] == 2 else "equirectangular", caption)


def _check(images, labels, masks):
    images = sheet.check_images("images", images)
    return images, sheet.check_labels("labels", labels, images), sheet.check_masks(masks, images)


def _labels_of_pixels(label_map, height, width):
    """Returns the label at the centre of each pixel, [height, width, L], of a map [h, w, L]."""
    pixels = tf.reshape(geometry.cell_centres(height, width, 1), [1, -1, 2])
    dense = geometry.bilinear_sample(label_map[np.newaxis], pixels, height // label_map.shape[0])
    return dense.numpy().reshape(height, width, -1)


def _totals(labels, colours, weights, size, basis, longest, projection="equirectangular"):
    """Returns the sums of weighted colours, then of weights, at each place of the map, [4, size, width]."""
    projected = label_sphere.project(labels, basis)
    values = np.stack([*colours.T * weights, weights])  # [4, M]
    if labels.shape[-1] > 2:
        latitude, longitude = label_sphere.latitude_longitude(projected)
        if projection == "hemispheres":
            return _splat(*_on_hemispheres(latitude, longitude), values, size, 2 * size)
        return _splat(longitude / (2 * np.pi) + 0.5, 0.5 - latitude / np.pi, values, size, 2 * size)
    across, down = (labels / (PLANE_LIMIT * longest) * [0.5, -0.5] + 0.5).T
    inside = np.maximum(abs(across - 0.5), abs(down - 0.5)) <= 0.5
    return _splat(across[inside], down[inside], values[:, inside], size, size)


def _on_hemispheres(latitude, longitude):
    """Returns (across, down), in [0, 1], of places on the two discs, which touch where the longitude is pi/2."""
    behind = np.abs(longitude) > np.pi / 2
    x, y, z = np.moveaxis(label_sphere.from_latitude_longitude(latitude, longitude), -1, 0)
    shrink = 1 / np.sqrt(1 + np.abs(x))
    return np.where(behind, 0.75 - 0.25 * y * shrink, 0.25 + 0.25 * y * shrink), 0.5 - 0.5 * z * shrink


def _splat(across, down, values, height, width):
    """Adds up a dot of `values` [C, M] per place in [0, 1]^2, wrapping left to right: [C, height, width]."""
    radius = max(1, height // 90)
    dy, dx = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = np.hypot(dx, dy) <= radius + 0.5
    dx, dy = dx[disc], dy[disc]  # [D]
    columns = np.clip(across * width, 0, width - 1).astype(int)[:, np.newaxis] + dx  # [M, D]
    rows = np.clip(down * height, 0, height - 1).astype(int)[:, np.newaxis] + dy
    drawn = (rows >= 0) & (rows < height)
    cells = (rows * width + columns % width)[drawn]
    dots = (np.broadcast_to(value[:, np.newaxis], rows.shape)[drawn] for value in values)
    totals = np.stack([np.bincount(cells, dot, height * width) for dot in dots])
    return totals.reshape(-1, height, width)


def _mean_colours(totals, shown):
    """Turns sums of weighted colours, then of weights, [4, h, w] into a picture of the places to be shown."""
    mean = 255 * totals[:3] / np.where(shown, totals[3], 1)
    return np.uint8(np.rint(np.where(shown, mean, BACKGROUND))).transpose(1, 2, 0)


def _unfold_each(images, labels, masks, **view):
    return [
        unfold(_labels_of_pixels(label_map, *mask.shape), image, mask, **view)
        for image, label_map, mask in zip(images, labels, masks)
    ]


def _draw(images, maps, kind, caption=None):
    """Draws maps with their axes, each under its image; one more map than images is under the caption."""
    draw, across_name, down_name = _AXES[kind]
    map_width = _MAP_HEIGHT if kind == "plane" else 2 * _MAP_HEIGHT
    width, height = sheet.tile_size(images, 180)
    left, across, top = 76, map_width + 2 * MARGIN, 2 * MARGIN + height
    figure = sheet.create(left + len(maps) * across, top + _MAP_HEIGHT + 3 * LINE)
    starts = left + across * np.arange(len(maps))
    for start, image in zip(starts, images):
        sheet.show(sheet.tile(figure, start + (map_width - width) // 2, MARGIN, width, height, images), image)
    if caption:
        sheet.write(figure, starts[-1] + map_width / 2, MARGIN + height / 2, caption, ha="center")
    for start, picture in zip(starts, maps):
        axes = sheet.add_axes(figure, start, top, map_width, _MAP_HEIGHT)
        draw(axes, picture)
        axes.tick_params(labelsize=sheet.in_points(14), length=sheet.in_points(4), labelleft=start == left)
        sheet.write(figure, start + map_width / 2, top + _MAP_HEIGHT + 1.9 * LINE, across_name, ha="center")
    sheet.write(figure, MARGIN + 4, top + _MAP_HEIGHT / 2, down_name, ha="center", rotation=90)
    return sheet.render(figure)


def _draw_sphere(axes, picture):
    axes.imshow(picture, extent=(-np.pi, np.pi, -np.pi / 2, np.pi / 2), aspect="auto")
    axes.set_xticks(np.pi * np.arange(-1, 1.1, 0.5), ["−π", "−π/2", "0", "π/2", "π"])
    axes.set_yticks(np.pi * np.arange(-0.5, 0.6, 0.25), ["−π/2", "−π/4", "0", "π/4", "π/2"])
    axes.grid(color="white", linewidth=sheet.in_points(1), alpha=0.6)


def _draw_plane(axes, picture):
    axes.imshow(picture, extent=(-PLANE_LIMIT, PLANE_LIMIT, -PLANE_LIMIT, PLANE_LIMIT), aspect="auto")
    turn = np.linspace(0, 2 * np.pi, 181)
    axes.plot(np.cos(turn), np.sin(turn), color="white", linewidth=sheet.in_points(1.5), zorder=0.5)
    axes.set_xticks([-1, 0, 1])
    axes.set_yticks([-1, 0, 1])
    axes.grid(color="white", linewidth=sheet.in_points(1), alpha=0.6)


def _draw_hemispheres(axes, picture):
    axes.imshow(picture, extent=(0, 2, 1, 0), aspect="auto")
    turn, half = np.linspace(0, 2 * np.pi, 181), np.linspace(-np.pi / 2, np.pi / 2, 91)
    for centre in (0.5, 1.5):
        axes.plot(centre + np.cos(turn) / 2, 0.5 + np.sin(turn) / 2, color="white", linewidth=sheet.in_points(1.5))
    for step in np.pi / 6 * np.arange(-2, 3):  # every 30 degrees
        for latitude, longitude in ((half, np.full_like(half, step)), (np.full_like(half, step), half)):
            across, down = _on_hemispheres(latitude, longitude)
            for left in (0, 1):  # of the same lines behind
                axes.plot(2 * across + left, down, color="white", linewidth=sheet.in_points(1), alpha=0.6)
    axes.set(xlim=(0, 2), ylim=(1, 0), yticks=[])
    axes.set_xticks([0.5, 1.5], ["0", "π"])


_AXES = {
    "plane": (_draw_plane, "label x / longest", "label y / longest"),
    "equirectangular": (_draw_sphere, "longitude [rad]", "latitude [rad]"),
    "hemispheres": (_draw_hemispheres, "longitude in the middle [rad]", "north up, equal areas"),
}
