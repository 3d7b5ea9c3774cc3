"""Pictures of label space: images with their pixels carried to the label sphere, and the mean object.

The projections are those of `unfolding`; figure numbers are those of Thewlis, Bilen and Vedaldi, "Unsupervised learning
of object frames by dense equivariant image labelling", NIPS 2017.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from dense_labels.batches import LabelMap
from dense_labels.pictures import sheet, unfolding
from dense_labels.pictures.sheet import LINE, MARGIN
from dense_labels.registry import PICTURES

if TYPE_CHECKING:
    from dense_labels.pictures.gallery import Material

_MAP_HEIGHT = 220  # pixels of the sheet
_LEFT = 76  # pixels left of the maps
_SHOWN = 3  # images beside the mean of many


@PICTURES.register(
    "sphere",
    "Pixels carried to where their labels point, in latitude and longitude. The map should hardly move.",
    title="Label sphere, unfolded",
    needs=("pairs", "labels_a"),
    place=150,
)
def draw_sphere(material: Material) -> np.ndarray:
    """Draws the label space with the pixels of every third view A carried to it (figure 4)."""
    return _draw_thirds(material, "equirectangular")


@PICTURES.register(
    "hemispheres",
    "The same seen from the front and from behind, in an equal-area projection that has no poles.",
    title="Label sphere in two halves",
    needs=("pairs", "labels_a"),
    place=160,
)
def draw_hemispheres(material: Material) -> np.ndarray | None:
    """Draws the same in a projection without poles; labels of two numbers have no sphere."""
    return None if material.labels_a.length == 2 else _draw_thirds(material, "hemispheres")


@PICTURES.register(
    "mean_object",
    "Pixels of many pictures carried to the label sphere: the sharper, the better.",
    title="Mean object",
    needs=("many",),
    place=170,
)
def draw_mean_object(material: Material) -> np.ndarray | None:
    """Carries the pixels of many images to the label sphere, unfolded: the mean object of figures 7 and 8.

    The sphere is turned so that the object's middle is in the middle of the map, and upright.
    """
    mean = None
    for images, labels, masks in material.many():
        images, labels = np.asarray(images), LabelMap(np.asarray(labels.values), labels.stride)
        masks = np.asarray(masks) > 0
        if mean is None:
            shown = images[:_SHOWN], labels[:_SHOWN], masks[:_SHOWN]
            mean = unfolding.MeanObject(size=_MAP_HEIGHT, **unfolding.upright_view(labels, masks))
        mean.add(images, labels, masks)
    return None if mean is None else mean_object_panel(*shown, mean)


def unfolded_panel(
    images: np.ndarray,
    labels: LabelMap,
    masks: np.ndarray,
    *,
    basis: np.ndarray | None = None,
    projection: str = "equirectangular",
) -> np.ndarray:
    """Shows images and, under each, its pixels in unfolded label space (figures 4, 5, 7 and 8).

    Args:
      images: [N, H, W, 3], float in [0, 1].
      labels: of the N images.
      masks: [N, H, W], where the object is (bool or 0/1).
      basis: [L, 3] as in `unfolding.unfold`; needed for L > 3.
      projection: as in `unfolding.unfold`.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: if the shapes do not agree, the projection is another, or images are not in [0, 1].
    """
    images, labels, masks = unfolding.check(images, labels, masks)
    view = {"size": 2 * _MAP_HEIGHT, "basis": basis, "projection": projection}
    maps = unfolding.unfold_each(images, labels, masks, **view)
    return _draw(images, maps, "plane" if labels.length == 2 else projection)


def mean_object_panel(
    images: np.ndarray, labels: LabelMap, masks: np.ndarray, mean: unfolding.MeanObject
) -> np.ndarray:
    """Shows a few images, each in unfolded label space, and beside them the mean of many.

    Args:
      images: [N, H, W, 3], float in [0, 1].
      labels: of the N images.
      masks: [N, H, W], where the object is (bool or 0/1).
      mean: of at least one image.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: if the shapes do not agree, images are not in [0, 1] or `mean` has no image.
    """
    images, labels, masks = unfolding.check(images, labels, masks)
    view = {"size": mean.size, "basis": mean.basis, "longest": mean.longest}
    maps = unfolding.unfold_each(images, labels, masks, **view)
    caption = f"mean of {mean.count} image{'s' if mean.count > 1 else ''}"
    return _draw(images, [*maps, mean.picture()], "plane" if labels.length == 2 else "equirectangular", caption)


def _draw_thirds(material: Material, projection: str) -> np.ndarray:
    thirds = material.thirds
    images, labels, masks = material.pairs.image_a[thirds], material.labels_a[thirds], material.masks[thirds]
    return unfolded_panel(images, labels, masks, basis=material.basis, projection=projection)


def _draw(images: np.ndarray, maps: list[np.ndarray], kind: str, caption: str | None = None) -> np.ndarray:
    """Draws maps with their axes, each under its image; one more map than images is under the caption."""
    draw, across, down = _AXES[kind]
    map_width = _MAP_HEIGHT if kind == "plane" else 2 * _MAP_HEIGHT
    width, height = sheet.tile_size(images)
    tiles = sheet.Tiles(
        1,
        len(maps),
        (map_width, _MAP_HEIGHT),
        left=_LEFT,
        right=2 * MARGIN,
        top=2 * MARGIN + height,
        below=3 * LINE,
        gap=2 * MARGIN,
    )
    for left, image in zip(tiles.lefts, images):
        axes = sheet.tile(tiles.figure, left + (map_width - width) // 2, MARGIN, width, height, images)
        sheet.show(axes, image)
    if caption:
        sheet.write(tiles.figure, tiles.lefts[-1] + map_width / 2, MARGIN + height / 2, caption, ha="center")
    for column, picture in enumerate(maps):
        axes = tiles.plot(0, column)
        draw(axes, picture)
        sheet.tick(axes, 14, labelleft=column == 0)
        y = tiles.tops[0] + _MAP_HEIGHT + 1.9 * LINE
        sheet.write(tiles.figure, tiles.lefts[column] + map_width / 2, y, across, ha="center")
    middle = tiles.tops[0] + _MAP_HEIGHT / 2
    sheet.write(tiles.figure, MARGIN + 4, middle, down, ha="center", rotation=90)
    return sheet.render(tiles.figure)


def _draw_sphere(axes: Axes, picture: np.ndarray) -> None:
    axes.imshow(picture, extent=(-np.pi, np.pi, -np.pi / 2, np.pi / 2), aspect="auto")
    axes.set_xticks(np.pi * np.arange(-1, 1.1, 0.5), ["−π", "−π/2", "0", "π/2", "π"])
    axes.set_yticks(np.pi * np.arange(-0.5, 0.6, 0.25), ["−π/2", "−π/4", "0", "π/4", "π/2"])
    axes.grid(color="white", linewidth=sheet.in_points(1), alpha=0.6)


def _draw_plane(axes: Axes, picture: np.ndarray) -> None:
    limit, turn = unfolding.PLANE_LIMIT, np.linspace(0, 2 * np.pi, 181)
    axes.imshow(picture, extent=(-limit, limit, -limit, limit), aspect="auto")
    axes.plot(np.cos(turn), np.sin(turn), color="white", linewidth=sheet.in_points(1.5), zorder=0.5)
    axes.set_xticks([-1, 0, 1])
    axes.set_yticks([-1, 0, 1])
    axes.grid(color="white", linewidth=sheet.in_points(1), alpha=0.6)


def _draw_hemispheres(axes: Axes, picture: np.ndarray) -> None:
    axes.imshow(picture, extent=(0, 2, 1, 0), aspect="auto")
    turn, half = np.linspace(0, 2 * np.pi, 181), np.linspace(-np.pi / 2, np.pi / 2, 91)
    for centre in (0.5, 1.5):
        axes.plot(centre + np.cos(turn) / 2, 0.5 + np.sin(turn) / 2, color="white", linewidth=sheet.in_points(1.5))
    for step in np.pi / 6 * np.arange(-2, 3):  # every 30 degrees
        for latitude, longitude in ((half, np.full_like(half, step)), (np.full_like(half, step), half)):
            across, down = unfolding.on_hemispheres(latitude, longitude)
            for left in (0, 1):  # of the same lines behind
                axes.plot(2 * across + left, down, color="white", linewidth=sheet.in_points(1), alpha=0.6)
    axes.set(xlim=(0, 2), ylim=(1, 0), yticks=[])
    axes.set_xticks([0.5, 1.5], ["0", "π"])


_AXES = {
    "plane": (_draw_plane, "label x / longest", "label y / longest"),
    "equirectangular": (_draw_sphere, "longitude [rad]", "latitude [rad]"),
    "hemispheres": (_draw_hemispheres, "longitude in the middle [rad]", "north up, equal areas"),
}
