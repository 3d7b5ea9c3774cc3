"""The warps and changes of colour that a configuration chooses from.

The value of a warp is a function `(seed, size, *, stride, crop, strength, views) -> view_maps.ViewMaps`: it draws the
geometry of two views of each picture, and is not concerned with borders, mirroring or landmarks. `views` is the
`ViewsConfig` of the run; `strength` is given apart, for annotated pictures are warped less.

The value of a change of colour is a function `(images, seeds, views) -> images` of float32 [B, H, W, 3] in [0, 1] and
int64 [B, 2].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dense_labels.config import Config, ViewsConfig
from dense_labels.registry import COLOURS, WARPS

if TYPE_CHECKING:
    import tensorflow as tf

    from input_pipeline.views.view_maps import ViewMaps

_TOO_STRONG = 4  # for affine maps: one could shrink the picture to nothing


@WARPS.register(
    "tps",
    "view B is a thin-plate spline and an affine map of the picture, view A another of view B, as in paper 1's code",
    keys=("views.projective",),
)
def draw_tps(
    seed: tf.Tensor, size: tuple[int, int], *, stride: int, crop: int, strength: float, views: ViewsConfig
) -> ViewMaps:
    """Draws thin-plate splines; see `view_maps.draw_tps`."""
    from input_pipeline.views import view_maps

    strengths = {"strength": strength, "projective": views.projective, "shift": views.shift}
    return view_maps.draw_tps(seed, size, stride=stride, crop=crop, **strengths)


def _check_affine(config: Config) -> None:
    if config.views.strength >= _TOO_STRONG:
        raise ValueError(
            f"config.views.strength={config.views.strength}: must be below {_TOO_STRONG} for "
            "config.views.warp='affine', or a map could shrink the picture to nothing"
        )


@WARPS.register("affine", "both views are affine maps of the picture, as in paper 2", check=_check_affine)
def draw_affine(
    seed: tf.Tensor, size: tuple[int, int], *, stride: int, crop: int, strength: float, views: ViewsConfig
) -> ViewMaps:
    """Draws affine maps; see `view_maps.draw_affine`."""
    from input_pipeline.views import view_maps

    return view_maps.draw_affine(seed, size, stride=stride, crop=crop, strength=strength, shift=views.shift)


@COLOURS.register(
    "dve",
    "brightness, contrast, saturation, hue, lighting, sharpness and JPEG, as in paper 1's code",
    keys=(
        "views.brightness",
        "views.contrast",
        "views.saturation",
        "views.hue",
        "views.lighting",
        "views.jpeg",
        "views.rescale",
    ),
)
def change_as_dve(images: tf.Tensor, seeds: tf.Tensor, views: ViewsConfig) -> tf.Tensor:
    """Makes seven changes, each of its own strength; see `colours.change`."""
    from input_pipeline.views import colours

    return colours.change(
        images,
        seeds,
        brightness=views.brightness,
        contrast=views.contrast,
        saturation=views.saturation,
        hue=views.hue,
        lighting=views.lighting,
        jpeg=views.jpeg,
        rescale=views.rescale,
    )


@COLOURS.register(
    "ssd", "brightness, contrast, saturation and hue as in SSD, which paper 2 follows", keys=("views.colour_strength",)
)
def change_as_ssd(images: tf.Tensor, seeds: tf.Tensor, views: ViewsConfig) -> tf.Tensor:
    """Makes four changes, each with probability 1/2; see `colours.change_as_ssd`."""
    from input_pipeline.views import colours

    return colours.change_as_ssd(images, seeds, strength=views.colour_strength)
