"""Pictures of landmarks: what a head predicts beside the annotation, and where it errs most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dense_labels.pictures import checks, sheet
from dense_labels.pictures.sheet import LINE, MARGIN
from dense_labels.registry import PICTURES

if TYPE_CHECKING:
    from dense_labels.pictures.gallery import Material

_COLUMNS, _LEAST_WIDTH = 4, 260
_USUAL_WIDTH, _LARGEST = 1440, 4  # picture pixels that an image takes, where it can; how many a pixel becomes at most


@PICTURES.register(
    "landmarks",
    "What the best head finds, beside the annotation; errors are in pixels of the whole pictures. No picture was seen "
    "by the head that is shown in it, but where fewer than five are annotated.",
    title="Landmarks",
    needs=("frames", "head_points"),
    place=40,
)
def draw_landmarks(material: Material) -> np.ndarray:
    """Draws what the landmark head predicts in a few annotated images."""
    frames = material.frames
    shown = frames.annotated * np.isfinite(material.head_points).all(axis=-1)
    return landmarks_panel(frames.image, material.head_points, frames.landmarks, shown, frames.scale)


@PICTURES.register(
    "worst_landmarks",
    "Where the same head errs most, in % of what errors are divided by, the worst first; below each stands its error "
    "in pixels of the whole picture, which may have another order.",
    title="Landmarks, the worst first",
    needs=("worst",),
    place=50,
)
def draw_worst_landmarks(material: Material) -> np.ndarray | None:
    """Draws the images whose landmarks are predicted worst."""
    images, points, landmarks, annotated, enlarged = material.worst
    if not len(images):
        return None
    return landmarks_panel(images, points, landmarks, annotated * np.isfinite(points).all(axis=-1), enlarged)


def landmarks_panel(
    images: np.ndarray,
    predicted: np.ndarray,
    true: np.ndarray,
    annotated: np.ndarray,
    enlarged: np.ndarray,
) -> np.ndarray:
    """Shows predicted beside true landmarks, each pair joined by a line (figure 5, right, of the NIPS 2017 paper).

    The image in row r and column c of the panel, of at most four columns, starts at picture pixel `(MARGIN + c * (scale
    * W + MARGIN), MARGIN + r * (scale * H + MARGIN + LINE))`, for a pixel becomes `scale` picture pixels: up to four,
    so that the panel is not very wide. Below each stands its mean error, in pixels of the picture that the image was
    made from.

    Args:
      images: [N, H, W, 3], float in [0, 1].
      predicted: [N, K, 2], (x, y) in pixels.
      true: [N, K, 2], (x, y) in pixels.
      annotated: [N, K], which landmarks are known (bool or 0/1); of others nothing is drawn.
      enlarged: [N, 2], how many pixels of its picture a pixel of the image is, along x and y.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: if the shapes do not agree, or images are not in [0, 1].
    """
    images = checks.check_images("images", images)
    predicted = checks.check("predicted", predicted, (len(images), None, 2))
    true = checks.check("true", true, predicted.shape)
    annotated = checks.check("annotated", annotated, predicted.shape[:2]).astype(bool)
    enlarged = checks.check("enlarged", enlarged, (len(images), 2))

    scale = int(np.clip(_USUAL_WIDTH // images.shape[2], 1, _LARGEST))
    columns = min(len(images), _COLUMNS)
    size = images.shape[2] * scale, images.shape[1] * scale
    rows, below = -(-len(images) // columns), MARGIN + LINE
    tiles = sheet.Tiles(rows, columns, size, gap=MARGIN, captions=True, below=below, least_width=_LEAST_WIDTH)
    for n, image in enumerate(images):
        place = divmod(n, columns)
        axes = tiles.tile(*place, images)
        sheet.show(axes, image)
        found, wanted = predicted[n][annotated[n]], true[n][annotated[n]]
        for line in np.stack([found, wanted], axis=1):
            effects = sheet.outline("black", 4)
            axes.plot(*line.T, color="white", linewidth=sheet.in_points(2), path_effects=effects)
        axes.plot(*wanted.T, **sheet.dot("D", sheet.TRUE, 11))
        axes.plot(*found.T, **sheet.dot("o", sheet.PREDICTED, 9))
        error = np.linalg.norm((found - wanted) * enlarged[n], axis=-1)
        tiles.caption(*place, f"mean error {error.mean():.2f} px" if len(error) else "none annotated")
    entries = {"predicted": sheet.dot("o", sheet.PREDICTED, 9), "true": sheet.dot("D", sheet.TRUE, 11)}
    tiles.legend(entries, down=0)
    return sheet.render(tiles.figure)
