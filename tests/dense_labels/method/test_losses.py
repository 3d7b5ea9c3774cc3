"""Tests of the losses: values against the paper's equations in plain float64 loops, gradients against differences."""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.method import geometry, losses
from tests.dense_labels.method import layers

STRIDE, HEIGHT, WIDTH, LENGTH = 2, 3, 4, 3
KINDS = [
    ("log", None),
    ("dist", 1.0),
    ("dist", 0.5),
    ("dist", 0.25),
    ("dist", 0.7),
    ("dist", 2.0),
    ("margin", 1.0),
    ("margin", 0.5),
]
IDS = [f"{name}-{gamma}" for name, gamma in KINDS]
every_loss = pytest.mark.parametrize("name, gamma", KINDS, ids=IDS)


# --- the equations, one u and one v at a time ---


def centre(row, column):
    return np.array([(column + 0.5) * STRIDE, (row + 0.5) * STRIDE])


def label_at(labels, point):
    """The label at a real-valued point, bilinear between cell centres; the border reaches outwards."""
    height, width, _ = labels.shape
    x = min(max(point[0] / STRIDE - 0.5, 0), width - 1)
    y = min(max(point[1] / STRIDE - 0.5, 0), height - 1)
    j, i = min(int(x), width - 2), min(int(y), height - 2)
    top = labels[i, j] * (1 - (x - j)) + labels[i, j + 1] * (x - j)
    bottom = labels[i + 1, j] * (1 - (x - j)) + labels[i + 1, j + 1] * (x - j)
    return top * (1 - (y - i)) + bottom * (y - i)


def value_at_u(name, gamma, label_u, labels_b, place):
    """What one point u adds: the summand of equation (4) or (5), or the integrand of footnote 2."""
    height, width, _ = labels_b.shape
    scores, distances = [], []
    for i in range(height):
        for j in range(width):
            scores.append(float(np.dot(label_u, labels_b[i, j])))
            distances.append(math.hypot(*(centre(i, j) - place)))
    score_at_place = float(np.dot(label_u, label_at(labels_b, place)))
    if name == "margin":
        return max(0.0, max(d**gamma + s for d, s in zip(distances, scores)) - score_at_place)
    normaliser = math.log(sum(math.exp(s) for s in scores))
    if name == "log":
        return -(score_at_place - normaliser)
    return sum(d**gamma * math.exp(s - normaliser) for d, s in zip(distances, scores))


def error_at_u(label_u, labels_b, place):
    """Distance of the most probable cell, the quantity inside equation (2)."""
    best, error = -math.inf, None
    for i, row in enumerate(labels_b):
        for j, label_v in enumerate(row):
            if np.dot(label_u, label_v) > best:
                best, error = np.dot(label_u, label_v), math.hypot(*(centre(i, j) - place))
    return error


def image_means(of_u, labels_a, labels_b, points_in_b, visible):
    """Mean of `of_u` over the visible cells of each image, 0 where there is none."""
    means = []
    for a, b, places, seen in zip(labels_a, labels_b, points_in_b, visible):
        values = [of_u(a[index], b, places[index]) for index in np.ndindex(*seen.shape) if seen[index]]
        means.append(sum(values) / len(values) if values else 0.0)
    return np.array(means)


def oracle(name, gamma, *batch):
    return image_means(lambda *arguments: value_at_u(name, gamma, *arguments), *batch)


def batch_of_pairs():
    """Three images: a part, nothing and all visible; places between centres, on one, and out at the border."""
    rng = np.random.default_rng(5)
    labels_a, labels_b = rng.normal(size=[2, 3, HEIGHT, WIDTH, LENGTH])
    points_in_b = rng.uniform([0, 0], [WIDTH * STRIDE, HEIGHT * STRIDE], size=[3, HEIGHT, WIDTH, 2])
    visible = np.stack([rng.uniform(size=[HEIGHT, WIDTH]) < 0.5, np.zeros([HEIGHT, WIDTH]), np.ones([HEIGHT, WIDTH])])
    points_in_b[2, 0, 0] = centre(1, 2)
    points_in_b[2, 0, 1] = [0.2, 5.9]
    points_in_b[2, 0, 2] = [WIDTH * STRIDE, 0.0]
    # As float32 holds them, so that the oracle sees the very same numbers.
    return [np.float64(np.float32(values)) for values in (labels_a, labels_b, points_in_b, visible)]


def as_tensors(batch):
    return tuple(tf.constant(values, tf.float32) for values in batch)


def value_and_gradients(layer, batch):
    """The layer's added loss, its outputs, and the gradient with respect to both label maps."""
    inputs = as_tensors(batch)
    with tf.GradientTape() as tape:
        tape.watch(inputs[:2])
        outputs = layer(inputs)
        (added,) = layer.losses
    return added.numpy(), outputs, [gradient.numpy() for gradient in tape.gradient(added, inputs[:2])]


@functools.cache
def value_and_gradients_of_pairs(name, gamma, pack):
    """The same for the batch of pairs; many tests compare with it."""
    return value_and_gradients(layers.create(name, STRIDE, gamma=gamma, pack=pack), batch_of_pairs())


@functools.cache
def gradients_by_differences(name, gamma):
    """Central differences of the equations, averaged over the images, with respect to both label maps."""
    batch, epsilon, gradients = batch_of_pairs(), 1e-5, []
    for which in (0, 1):
        expected = np.zeros_like(batch[which])
        for index in np.ndindex(*expected.shape):
            if not batch[3][index[0]].any():
                continue  # the oracle does not look at these labels
            one_image = [values[index[0] : index[0] + 1].copy() for values in batch]
            one_image[which][0][index[1:]] += epsilon
            above = oracle(name, gamma, *one_image)[0]
            one_image[which][0][index[1:]] -= 2 * epsilon
            below = oracle(name, gamma, *one_image)[0]
            expected[index] = (above - below) / (2 * epsilon) / len(batch[0])
        gradients.append(expected)
    return gradients


# --- values ---


@pytest.mark.parametrize("pack", [True, False])
@every_loss
def test_value_is_the_papers(name, gamma, pack):
    batch = batch_of_pairs()
    outputs = layers.create(name, STRIDE, gamma=gamma, pack=pack)(as_tensors(batch))
    expected = oracle(name, gamma, *batch)
    assert outputs["loss"].dtype == tf.float32
    assert expected[1] == 0 and np.all(expected[[0, 2]] > 0.1), "the oracle has something to tell"
    np.testing.assert_allclose(outputs["loss"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pack", [True, False])
@every_loss
def test_added_loss_is_the_mean_over_the_images(name, gamma, pack):
    batch = batch_of_pairs()
    layer = layers.create(name, STRIDE, gamma=gamma, pack=pack)
    for _ in range(2):  # a second call adds nothing to the first
        layer(as_tensors(batch))
        assert len(layer.losses) == 1
        np.testing.assert_allclose(layer.losses[0], oracle(name, gamma, *batch).sum() / 3, rtol=1e-5)


@pytest.mark.parametrize("pack", [True, False])
def test_matching_error_is_the_distance_of_the_best_cell(pack):
    batch = batch_of_pairs()
    outputs = layers.create("log", STRIDE, pack=pack)(as_tensors(batch))
    np.testing.assert_allclose(outputs["matching_error"], image_means(error_at_u, *batch), rtol=1e-5)
    np.testing.assert_allclose(outputs["visible_cells"], batch[3].sum(axis=(1, 2)))


def test_b_may_hold_another_number_of_cells():
    labels_a, labels_b, points_in_b, visible = batch_of_pairs()
    batch = [labels_a, np.concatenate([labels_b, labels_b[:, :1] + 1], axis=1), points_in_b, visible]
    outputs = layers.create("dist", STRIDE, gamma=0.5)(as_tensors(batch))
    np.testing.assert_allclose(outputs["loss"], oracle("dist", 0.5, *batch), rtol=1e-5)


@pytest.mark.parametrize("pack", [True, False])
@every_loss
def test_places_that_no_cell_of_b_covers_do_not_count(name, gamma, pack):
    """Where the image is larger than its cells, as 95 pixels are than 47 cells of 2."""
    labels_a, labels_b, points_in_b, visible = batch_of_pairs()
    beyond = points_in_b.copy()
    beyond[:, 1, 1], beyond[:, 2, 0] = [WIDTH * STRIDE + 0.5, 3], [2, HEIGHT * STRIDE + 0.5]
    without = visible.copy()
    without[:, 1, 1] = without[:, 2, 0] = 0
    layer = layers.create(name, STRIDE, **({} if gamma is None else {"gamma": gamma}), pack=pack)
    found = layer(as_tensors([labels_a, labels_b, beyond, visible]))
    for key, expected in layer(as_tensors([labels_a, labels_b, points_in_b, without])).items():
        np.testing.assert_allclose(found[key], expected, rtol=1e-5)


# --- gradients ---


@pytest.mark.parametrize("pack", [True, False])
@every_loss
def test_gradients_are_those_of_the_equations(name, gamma, pack):
    _, _, found = value_and_gradients_of_pairs(name, gamma, pack)
    for gradient, expected in zip(found, gradients_by_differences(name, gamma), strict=True):
        assert np.abs(expected).max() > 1e-3
        np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=2e-6)


@every_loss
def test_packing_changes_nothing(name, gamma):
    packed, whole = (value_and_gradients_of_pairs(name, gamma, pack) for pack in (True, False))
    np.testing.assert_allclose(packed[0], whole[0], rtol=1e-6)
    for key in ("loss", "matching_error", "visible_cells"):
        np.testing.assert_allclose(packed[1][key], whole[1][key], rtol=1e-6)
    for first, second in zip(packed[2], whole[2]):
        np.testing.assert_allclose(first, second, atol=1e-6)


@pytest.mark.parametrize("pack", [True, False])
@every_loss
def test_a_batch_that_shows_nothing_costs_nothing(name, gamma, pack):
    *maps, visible = batch_of_pairs()
    value, outputs, gradients = value_and_gradients(
        layers.create(name, STRIDE, gamma=gamma, pack=pack), [*maps, np.zeros_like(visible)]
    )
    assert value == 0
    assert all(np.all(outputs[key].numpy() == 0) for key in outputs)
    assert all(np.all(gradient == 0) for gradient in gradients)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, bool])
@every_loss
def test_visible_cells_may_be_marked_by_small_integers(name, gamma, dtype):
    """Their sum is beyond what these can hold."""
    random, centres = np.random.default_rng(0), geometry.cell_centres(16, 16, STRIDE).numpy()[np.newaxis]
    labels = [random.normal(size=[1, 16, 16, 3]).astype(np.float32) for _ in range(2)]
    loss, visible = layers.create(name, STRIDE, gamma=gamma), np.ones([1, 16, 16])
    expected, found = (loss((*labels, centres, visible.astype(kind))) for kind in (np.float32, dtype))
    assert found["visible_cells"] == 256 and expected["loss"] > 0.1
    np.testing.assert_array_equal(found["loss"], expected["loss"])


@pytest.mark.parametrize("elsewhere", [-500.0, 1e30, np.nan])
@pytest.mark.parametrize("pack", [True, False])
@every_loss
def test_cells_that_are_not_visible_have_no_influence(name, gamma, pack, elsewhere):
    labels_a, labels_b, points_in_b, visible = batch_of_pairs()
    hidden = visible == 0
    layer = layers.create(name, STRIDE, gamma=gamma, pack=pack)
    value, outputs, gradients = value_and_gradients_of_pairs(name, gamma, pack)
    changed_labels = np.where(hidden[..., np.newaxis], labels_a * 3 + 1, labels_a)
    changed_points = np.where(hidden[..., np.newaxis], np.float32(elsewhere), points_in_b)
    again = value_and_gradients(layer, [changed_labels, labels_b, changed_points, visible])
    np.testing.assert_allclose(again[0], value, rtol=1e-6)
    np.testing.assert_allclose(again[1]["matching_error"], outputs["matching_error"], rtol=1e-6)
    np.testing.assert_allclose(again[2][1], gradients[1], atol=1e-7)
    assert np.all(gradients[0][hidden] == 0) and np.all(again[2][0][hidden] == 0)
    assert np.all(np.abs(gradients[0][~hidden]).sum(axis=-1) > 0)


# --- analytic extremes ---


def sharp_pair(size, shift):
    """Each cell its own label; A is found in B `shift` pixels on, and what leaves the map is not visible."""
    labels = np.broadcast_to(60 * np.eye(size * size).reshape([size, size, -1]), [1, size, size, size * size])
    rows, columns = np.indices([size, size])
    places = np.stack([columns + 0.5, rows + 0.5], axis=-1)[np.newaxis] * STRIDE + shift
    visible = np.all((places > 0) & (places < size * STRIDE), axis=-1)
    labels_b = np.roll(labels, (int(shift[1] // STRIDE), int(shift[0] // STRIDE)), axis=(1, 2))
    return [labels, labels_b, places, visible.astype(float)]


def test_distinctive_labels_that_move_along_cost_nothing():
    batch = as_tensors(sharp_pair(4, np.array([2.0, -4.0])))
    for name, gamma in KINDS:
        outputs = layers.create(name, STRIDE, gamma=gamma)(batch)
        assert outputs["visible_cells"].numpy() == [6]
        np.testing.assert_allclose(outputs["loss"], [0], atol=1e-5)
        np.testing.assert_allclose(outputs["matching_error"], [0], atol=1e-5)


@pytest.mark.parametrize("gamma", [1.0, 0.5, 0.7])
def test_distance_loss_of_a_perfect_choice_is_its_floor_between_cells(gamma):
    batch = as_tensors(sharp_pair(4, np.array([0.3, 0.4])))
    outputs = losses.DistanceLoss(STRIDE, gamma=gamma)(batch)
    np.testing.assert_allclose(outputs["loss"], [0.5**gamma], rtol=1e-4)
    np.testing.assert_allclose(outputs["matching_error"], [0.5], rtol=1e-5)


def test_constant_labels_say_nothing():
    batch = batch_of_pairs()
    constant = [np.ones_like(batch[0]), np.ones_like(batch[1]), *batch[2:]]
    outputs = losses.LogLikelihoodLoss(STRIDE)(as_tensors(constant))
    np.testing.assert_allclose(outputs["loss"], np.log(HEIGHT * WIDTH) * np.array([1, 0, 1]), rtol=1e-6)


# --- precision, graphs, XLA ---


@pytest.mark.parametrize("name, gamma", [("log", None), ("dist", 0.5), ("margin", 1.0)])
def test_half_precision_labels_are_compared_in_float32(name, gamma):
    labels_a, labels_b, points_in_b, visible = as_tensors(batch_of_pairs())
    half = [tf.cast(4 * labels, tf.bfloat16) for labels in (labels_a, labels_b)]
    policy = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        outputs = layers.create(name, STRIDE, gamma=gamma)((*half, points_in_b, visible))
    finally:
        tf.keras.mixed_precision.set_global_policy(policy)
    expected = oracle(name, gamma, *(np.float64(tf.cast(x, tf.float64)) for x in (*half, points_in_b, visible)))
    assert all(values.dtype == tf.float32 for values in outputs.values())
    np.testing.assert_allclose(outputs["loss"], expected, rtol=1e-5)


@pytest.mark.parametrize("pack", [True, False])
def test_sizes_may_be_known_only_when_run(pack):
    batch = batch_of_pairs()
    layer = layers.create("dist", STRIDE, gamma=0.5, pack=pack)
    maps = tf.TensorSpec([None, None, None, LENGTH])
    specs = (maps, maps, tf.TensorSpec([None, None, None, 2]), tf.TensorSpec([None, None, None]))
    run = tf.function(lambda inputs: layer(inputs)["loss"], input_signature=[specs], autograph=False)
    np.testing.assert_allclose(run(as_tensors(batch)), oracle("dist", 0.5, *batch), rtol=1e-5)


@every_loss
def test_xla_compiles_the_whole_comparison(name, gamma):
    layer = layers.create(name, STRIDE, gamma=gamma, pack=False)

    @tf.function(jit_compile=True, autograph=False)
    def compiled(labels_a, labels_b, points_in_b, visible):
        with tf.GradientTape() as tape:
            tape.watch([labels_a, labels_b])
            outputs = layer((labels_a, labels_b, points_in_b, visible))
            value = tf.reduce_mean(outputs["loss"])
        return outputs, tape.gradient(value, [labels_a, labels_b])

    outputs, gradients = compiled(*as_tensors(batch_of_pairs()))
    _, eager_outputs, eager_gradients = value_and_gradients_of_pairs(name, gamma, False)
    for key, values in eager_outputs.items():
        np.testing.assert_allclose(outputs[key], values, rtol=1e-5)
    for found, expected in zip(gradients, eager_gradients):
        np.testing.assert_allclose(found, expected, atol=1e-6)


# --- configuration and errors ---


@every_loss
def test_a_layer_made_from_its_configuration_is_the_same(name, gamma):
    layer = layers.create(name, STRIDE, gamma=gamma, pack=False)
    copy = type(layer).from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    assert (copy.stride, copy.pack, getattr(copy, "gamma", None)) == (STRIDE, False, gamma)
    batch = batch_of_pairs()
    np.testing.assert_allclose(copy(as_tensors(batch))["loss"], oracle(name, gamma, *batch), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [losses.DistanceLoss, losses.MarginLoss])
@pytest.mark.parametrize("gamma", [0, -0.5, float("nan")])
def test_gamma_must_be_above_zero(kind, gamma):
    with pytest.raises(ValueError, match=f"gamma must be above 0; found {gamma}"):
        kind(STRIDE, gamma=gamma)


@pytest.mark.parametrize(
    "shapes, message",
    [
        ([[3, 4, 3], [2, 3, 4, 3], [2, 3, 4, 2], [2, 3, 4]], r"label maps must be \[B, h, w, L\]; found \(3, 4, 3\)"),
        ([[2, 3, 4, 3], [2, 3, 4, 5], [2, 3, 4, 2], [2, 3, 4]], "must be of one length; found 3 and 5"),
        (
            [[2, 3, 4, 3], [2, 3, 4, 3], [2, 3, 4, 2], [2, 4, 3]],
            r"visible must be of shape \(2, 3, 4\); found \(2, 4, 3\)",
        ),
        (
            [[2, 3, 4, 3], [2, 3, 4, 3], [2, 4, 3, 2], [2, 3, 4]],
            r"points_in_b must be of shape \(2, 3, 4, 2\); found \(2, 4, 3, 2\)",
        ),
        ([[2, 3, 4, 3], [2, 3, 4, 3], [2, 3, 4, 3], [2, 3, 4]], r"points_in_b must be of shape \(2, 3, 4, 2\); found"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shapes, message):
    with pytest.raises(ValueError, match=message):
        losses.LogLikelihoodLoss(STRIDE)(tuple(tf.zeros(shape) for shape in shapes))
