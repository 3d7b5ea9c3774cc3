"""Labelling networks: image -> label map, and the heads that read label maps."""

from models import chain, dilations, heatmap_landmarks, introspection, nearest_landmarks, regressed_landmarks, simple

_FILTERS = {"simple": simple.FILTERS, "dilations": dilations.FILTERS}


def stride(config):
    """Says how large a cell of a configuration's label maps is.

    Args:
      config: `dense_labels.config.ModelConfig`.

    Returns:
      Its side in pixels of the network's input, an int.
    """
    return config.stride if config.name == "introspection" else chain.STRIDE


def create(config, precision="float32"):
    """Creates the network a configuration names.

    Args:
      config: `dense_labels.config.ModelConfig`.
      precision: Keras dtype or policy name of the convolutions; the weights and the labels are float32.

    Returns:
      `tf.keras.Model` from images [B, H, W, 3] in [0, 1] to labels, float32 [B, h, w, label_size].
    """
    if config.name == "introspection":
        return introspection.introspection(
            config.trunk,
            config.label_size,
            weights=config.weights,
            stride=config.stride,
            frozen=config.frozen,
            confidence=config.confidence,
            dtype=precision,
        )
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


def fit_head(name, maps, *, stride, upsample, seed):
    """Fits the landmark head a configuration names.

    Args:
      name: "nearest" (section 4.1), "regress" (section 4.3) or "regress_each", with virtual points of each landmark;
        or "heatmaps" (section 4.3 of the CVPR 2018 paper).
      maps: `dense_labels.evaluation.landmarks.label_maps` of annotated images.
      stride: side of a cell of the label maps in pixels.
      upsample: of "nearest": how much finer than the label map it decodes.
      seed: of the virtual points, or of the first weights and the order of the images.

    Returns:
      A layer from labels to a dictionary that holds `points` [N, K, 2] and `score` [N, K].

    Raises:
      ValueError: if the labels hold nothing or a landmark is annotated nowhere.
    """
    known = maps["labels"], maps["landmarks"], maps["annotated"]
    if name == "nearest":
        return nearest_landmarks.NearestLandmarks(
            nearest_landmarks.fit_nearest(*known, stride=stride), stride, upsample=upsample
        )
    if name == "heatmaps":
        nearest_landmarks.check_annotated(maps["annotated"])
        return heatmap_landmarks.fit_heatmaps(*known, stride=stride, seed=seed)
    form = {"regress": "shared", "regress_each": "each"}[name]
    return regressed_landmarks.fit_regress(*known, stride=stride, form=form, seed=seed, picture=maps["picture"])
