"""The size that pictures are resized to."""

from dense_labels import progress
from dense_labels.config import DataConfig
from dense_labels.config_checks import LEAST_SIDE
from input_pipeline.storage import resized

_LONGER_SIDE = 100  # pixels, as in the first author's later code


def choose(data: DataConfig, found: resized.Found) -> tuple[int, int]:
    """Says what pictures there are, and chooses the size they are resized to where the configuration gives none.

    Args:
      data: says where the pictures are, and perhaps their `size`; (0, 0) leaves it to the pictures.
      found: how many pictures training sees, and of which sizes.

    Returns:
      (height, width) in pixels, the crop included.

    Raises:
      ValueError: if they are too small for the crop.
    """
    height, width = data.size if any(data.size) else resized.pick_size(found.sizes, longer_side=_LONGER_SIDE)
    inner = height - 2 * data.crop, width - 2 * data.crop
    if not any(data.size) and min(inner) < LEAST_SIDE:
        raise ValueError(
            f"{data.dir}: {found}; resized to {width} x {height} and less config.data.crop={data.crop} on each side, "
            f"views would be smaller than {LEAST_SIDE} pixels; set config.data.size to (height, width) of your own, "
            "or a smaller crop"
        )
    seen = f", of which the network sees the inner {inner[1]} x {inner[0]}" if data.crop else ""
    progress.say(f"{data.dir}: {found}; resized to {width} x {height}{seen}")
    return height, width
