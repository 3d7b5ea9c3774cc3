"""Labelling networks: image -> label map, and the heads that read label maps."""

from models import chain, dilations, simple

_FILTERS = {"simple": simple.FILTERS, "dilations": dilations.FILTERS}
STRIDE = chain.STRIDE


def create(config, precision="float32"):
    """Creates the network a configuration names.

    Args:
      config: `dense_labels.config.ModelConfig`.
      precision: Keras dtype or policy name of the convolutions; the weights and the labels are float32.

    Returns:
      `tf.keras.Model` from images [B, H, W, 3] in [0, 1] to labels, float32 [B, h, w, label_size].
    """
    return chain.chain(
        _FILTERS[config.name],
        config.label_size,
        norm=config.norm,
        activation=config.activation,
        mean=config.mean,
        std=config.std,
        dtype=precision,
        name=config.name,
    )
