"""Tests of the probabilistic matching loss: an integral, a loop over all pairs, finite differences, drawn dots."""

import numpy as np
import pytest
import scipy.integrate
import tensorflow as tf

from dense_labels.method import geometry, introspection_loss

STRIDE, POINTS_STRIDE, CELLS, LENGTH = 8, 2, 4, 5  # views of 32 pixels, 16 x 16 points
SIDE = STRIDE * CELLS


def layer(**changes):
    options = {"points": 1000, "tau1": 2.5, "tau2": 9.0, "hard_negatives": 4, "dtype": "float64", **changes}
    return introspection_loss.IntrospectionLoss(STRIDE, POINTS_STRIDE, **options)


def batch(images=3, seed=0, shown=0.2):
    """Random labels, a random smooth motion, and a few visible points: of the last image none, of the first two."""
    rng = np.random.default_rng(seed)
    labels = [rng.normal(size=[images, CELLS, CELLS, LENGTH]) * rng.uniform(0.3, 9) for _ in "ab"]
    centres = geometry.cell_centres(SIDE // POINTS_STRIDE, SIDE // POINTS_STRIDE, POINTS_STRIDE).numpy()
    points = np.float32(0.9 * centres + rng.uniform(-1, 3, size=[images, 1, 1, 2]))
    visible = np.float32(rng.uniform(size=points.shape[:-1]) < shown)
    visible[-1] = 0
    visible[0] = 0
    visible[0, 3, 4:6] = 1
    return (*labels, points, visible)


def read(labels, point):
    """Unit descriptor and sigma at one point, by hand."""
    x, y = (np.clip(point / STRIDE - 0.5, 0, CELLS - 1)).tolist()
    left, top = int(x), int(y)
    phi, sigma = np.zeros(LENGTH), 0.0
    for row, column, weight in (
        (top, left, (1 - y + top) * (1 - x + left)),
        (top, left + 1, (1 - y + top) * (x - left)),
        (top + 1, left, (y - top) * (1 - x + left)),
        (top + 1, left + 1, (y - top) * (x - left)),
    ):
        if weight:
            length = np.linalg.norm(labels[row, column])
            phi += weight * labels[row, column] / length
            sigma += weight / length
    return phi / np.linalg.norm(phi), sigma


def exchanged(phi, labels_c):
    """A unit descriptor as the mean of those of another image, weighted by how like they are."""
    mean, total = np.zeros(LENGTH), 0.0
    for cell in np.ndindex(CELLS, CELLS):
        other = labels_c[cell] / np.linalg.norm(labels_c[cell])
        mean += np.exp(20 * phi @ other) * other
        total += np.exp(20 * phi @ other)
    return mean / total / np.linalg.norm(mean / total)


def by_hand(labels_a, labels_b, points_in_b, visible, *, confidence, tau1, tau2, hard_negatives, labels_c=None):
    """Loss and matching error of one image, pair by pair; equations (3) to (7) as they are printed."""
    cells = np.argwhere(visible > 0)
    if not len(cells):
        return 0.0, 0.0
    a = [read(labels_a, (cell[::-1] + 0.5) * POINTS_STRIDE) for cell in cells]
    if labels_c is not None:
        a = [(exchanged(phi, labels_c), sigma) for phi, sigma in a]
    matches = [points_in_b[tuple(cell)].astype(float) for cell in cells]
    b = [read(labels_b, match) for match in matches]
    positives, hard, errors = [], [], []
    for (phi, sigma), match in zip(a, matches):
        negatives, cosines = [], []
        for (phi_b, sigma_b), other in zip(b, matches):
            s, uncertainty = max(0.0, phi @ phi_b), (sigma + sigma_b) / 2
            cosines.append(phi @ phi_b)
            distance = np.linalg.norm(other - match)

            def value(matching_loss, uncertainty=uncertainty):
                normaliser = uncertainty * (np.exp(1 / uncertainty) - 1)
                p = np.exp((1 - matching_loss) / uncertainty) / normaliser
                return -np.log(p) if confidence else matching_loss

            if distance <= tau1:
                positives.append(value(1 - s))
            elif distance > tau2:
                negatives.append(value(s))
        hard += sorted(negatives, reverse=True)[:hard_negatives]
        errors.append(np.linalg.norm(matches[int(np.argmax(cosines))] - match))
    return (np.mean(positives) + (np.mean(hard) if hard else 0)) / 2, np.mean(errors)


@pytest.mark.parametrize("y", [1, -1])
@pytest.mark.parametrize("sigma", [1e-2, 0.1, 0.5, 1.0, 30.0, 1e3])
def test_the_density_integrates_to_one(y, sigma):
    def density(s):
        loss = tf.constant(1 - s if y == 1 else s, tf.float64)
        return np.exp(-introspection_loss.negative_log_likelihood(loss, tf.constant(sigma, tf.float64)).numpy())

    total, _ = scipy.integrate.quad(density, 0, 1, points=[0.01, 0.05, 0.95, 0.99])
    assert total == pytest.approx(1, abs=1e-6)


def test_the_likelihood_at_its_extremes():
    def value(matching_loss, sigma):
        return float(introspection_loss.negative_log_likelihood(tf.constant(matching_loss), tf.constant(sigma)))

    assert value(0.0, 1e-2) == pytest.approx(np.log(1e-2), rel=1e-6)  # what epsilon bounds the loss by
    assert value(0.7, 1e6) == pytest.approx(0, abs=1e-5)  # nothing is claimed, nothing is paid
    assert value(1.0, 1e-2) == pytest.approx(100 + np.log(1e-2))
    finer = [value(0.6, sigma) for sigma in (0.1, 0.5, 2.0, 10.0, 100.0)]
    assert finer == sorted(finer, reverse=True)  # a match worse than by chance: the less certain the better


@pytest.mark.parametrize("sigma", [1e-3, 1e-2, 1.0, 1e2, 1e5])
@pytest.mark.parametrize("matching_loss", [0.0, 0.4, 1.0])
def test_the_likelihood_has_finite_and_right_slopes(matching_loss, sigma):
    inputs = [tf.constant(matching_loss, tf.float64), tf.constant(sigma, tf.float64)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = introspection_loss.negative_log_likelihood(*inputs)
    d_loss, d_sigma = tape.gradient(value, inputs)
    assert float(d_loss) == pytest.approx(1 / sigma)
    z = 1 / sigma
    slope = -matching_loss * z * z + z - (z * z * np.exp(-z) / -np.expm1(-z))
    assert float(d_sigma) == pytest.approx(slope, rel=1e-5, abs=1e-9)
    inputs = [tf.constant(matching_loss), tf.constant(sigma)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = introspection_loss.negative_log_likelihood(*inputs)
    assert np.isfinite([value, *tape.gradient(value, inputs)]).all()


@pytest.mark.parametrize("confidence", [True, False])
@pytest.mark.parametrize("hard_negatives", [1, 4, 1000])
def test_the_loss_is_that_of_a_loop_over_all_pairs(confidence, hard_negatives):
    options = {"confidence": confidence, "tau1": 2.5, "tau2": 9.0, "hard_negatives": hard_negatives}
    inputs = batch()
    found = layer(**options)(inputs)
    expected = [by_hand(*(each[n] for each in inputs), **options) for n in range(3)]
    np.testing.assert_allclose(found["loss"], [loss for loss, _ in expected], rtol=1e-6)
    np.testing.assert_allclose(found["matching_error"], [error for _, error in expected], rtol=1e-5)
    np.testing.assert_array_equal(found["visible_cells"], inputs[3].sum(axis=(1, 2)))
    assert expected[-1] == (0, 0) and expected[1][0] != 0


def test_a_point_is_a_match_of_itself_at_a_threshold_of_0():
    options = {"confidence": True, "tau1": 0.0, "tau2": 9.0, "hard_negatives": 4}
    inputs = batch()
    expected = [by_hand(*(each[n] for each in inputs), **options)[0] for n in range(3)]
    np.testing.assert_allclose(layer(**options)(inputs)["loss"], expected, rtol=1e-6)


@pytest.mark.parametrize("confidence", [True, False])
def test_descriptors_are_exchanged_through_the_image_of_the_pair_before(confidence):
    options = {"confidence": confidence, "tau1": 2.5, "tau2": 9.0, "hard_negatives": 4}
    inputs = batch()
    found = layer(**options, exchange=True)(inputs)
    images = [[each[n] for each in inputs] for n in range(3)]
    plain = {**options, "confidence": False}
    expected = [by_hand(*image, **plain, labels_c=inputs[0][n - 1]) for n, image in enumerate(images)]
    direct = [by_hand(*image, **options)[0] if confidence else 0 for image in images]
    np.testing.assert_allclose(found["loss"], np.add(direct, [loss for loss, _ in expected]), rtol=1e-6)
    np.testing.assert_allclose(found["matching_error"], [error for _, error in expected], rtol=1e-5)
    assert np.abs(found["loss"] - layer(**options)(inputs)["loss"])[1] > 1e-3
    with pytest.raises(ValueError, match="labels are exchanged with another pair .*; found one pair"):
        layer(exchange=True)(tuple(each[:1] for each in inputs))


@pytest.mark.parametrize("dtype", [np.uint8, bool])
def test_visible_points_may_be_marked_by_small_integers(dtype):
    *maps, visible = batch()
    expected, found = (layer()((*maps, np.round(visible).astype(kind))) for kind in (np.float32, dtype))
    assert found["visible_cells"].dtype == expected["visible_cells"].dtype
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])


def test_neither_end_lies_where_no_cell_is():
    """Views of 38 pixels, of which the cells cover 32; what is drawn depends on what counts alone."""
    labels_a, labels_b, *_ = batch()
    side = 38 // POINTS_STRIDE
    points = geometry.cell_centres(side, side, POINTS_STRIDE).numpy()[np.newaxis].repeat(3, axis=0) - np.float32([9, 0])
    visible = np.float32((points > 0).all(axis=-1))
    loss = layer()((labels_a, labels_b, points, visible))["loss"]
    visible[:, SIDE // POINTS_STRIDE :] = visible[:, :, SIDE // POINTS_STRIDE :] = 0
    np.testing.assert_allclose(loss, layer()((labels_a, labels_b, points, visible))["loss"], rtol=1e-12)
    there = points + np.float32([9 + 5, 0])  # 5 pixels to the right, which leaves the cells of B
    beyond = np.float32((there > 0).all(axis=-1) & (there < 38).all(axis=-1) & (visible > 0))
    kept = beyond * (there <= SIDE).all(axis=-1)
    of_all, of_kept = (layer()((labels_a, labels_b, there, each))["loss"] for each in (beyond, np.float32(kept)))
    assert kept.sum() < beyond.sum()
    np.testing.assert_allclose(of_all, of_kept, rtol=1e-12)


def test_what_lies_between_the_thresholds_is_left_out():
    labels_a, labels_b, points, visible = batch(images=2)
    visible[:] = 0
    visible[0, 8, [4, 7]] = 1  # their matches are 0.9 * 6 px apart
    loss = {tau2: layer(tau2=tau2)((labels_a, labels_b, points, visible))["loss"][0] for tau2 in (5.0, 6.0)}
    positives = by_hand(
        labels_a[0], labels_b[0], points[0], visible[0], confidence=True, tau1=2.5, tau2=6.0, hard_negatives=4
    )
    assert float(loss[6.0]) == pytest.approx(positives[0])
    assert float(loss[5.0]) != pytest.approx(positives[0])


@pytest.mark.parametrize("confidence, exchange", [(True, False), (False, False), (True, True)])
def test_gradients_are_those_of_finite_differences(confidence, exchange):
    inputs = [tf.constant(each) for each in batch()]
    loss = layer(confidence=confidence, exchange=exchange)
    with tf.GradientTape() as tape:
        tape.watch(inputs[:2])
        value = tf.reduce_mean(loss(inputs)["loss"])
    gradients = tape.gradient(value, inputs[:2])
    rng = np.random.default_rng(1)
    for which in range(2):
        step = 1e-6 * rng.normal(size=inputs[which].shape)
        ends = []
        for sign in (1, -1):
            moved = list(inputs)
            moved[which] = inputs[which] + sign * step
            ends.append(float(tf.reduce_mean(loss(moved)["loss"])))
        assert (ends[0] - ends[1]) / 2 == pytest.approx(np.sum(gradients[which] * step), rel=1e-4)


def test_the_true_motion_is_what_matches():
    """A dot drawn in A and, where an affine map of A to B takes it, in B: its labels agree there and nowhere else."""
    size, rng = 64, np.random.default_rng(0)
    matrix, shift = np.array([[1.2, -0.2], [0.15, 1.3]]), np.array([-3.0, -6.0])
    centres = geometry.cell_centres(size, size, 1).numpy()
    codes = rng.normal(size=[size, size, 12])
    in_b = centres @ matrix.T + shift
    inside = ((in_b >= 0) & (in_b < size)).all(axis=-1)
    labels_b = rng.normal(size=[size, size, 12])
    for row, column in np.argwhere(inside):
        x, y = in_b[row, column].astype(int)
        labels_b[y, x] = codes[row, column]
    in_b = np.floor(in_b) + 0.5  # drawn to whole pixels
    args = codes[np.newaxis], labels_b[np.newaxis], in_b[np.newaxis].astype(np.float32), inside[np.newaxis] * 1.0
    right = introspection_loss.IntrospectionLoss(1, 1, dtype="float64")(args)
    wrong_way = (centres - shift) @ np.linalg.inv(matrix).T
    args = (*args[:2], wrong_way[np.newaxis].astype(np.float32), args[3])
    wrong = introspection_loss.IntrospectionLoss(1, 1, dtype="float64")(args)
    assert right["matching_error"][0] < 0.1 < 10 < wrong["matching_error"][0]
    assert right["loss"][0] < wrong["loss"][0]


def test_points_are_drawn_without_repetition_and_as_the_pair_has_them():
    inputs = batch(images=4, shown=0.9)
    drawn = layer(points=20)._draw(*inputs[2:])
    points, matches, there = (each.numpy() for each in drawn)
    again = [each.numpy()[::-1] for each in layer(points=20)._draw(*(each[::-1] for each in inputs[2:]))]
    np.testing.assert_array_equal(points, again[0])  # wherever in a batch the pair is
    assert there.sum(axis=1).tolist() == [2, 20, 20, 0]
    for n in (1, 2):
        cells = (points[n] // POINTS_STRIDE).astype(int)
        assert len({tuple(cell) for cell in cells}) == 20
        assert all(inputs[3][n, y, x] == 1 for x, y in cells)
        np.testing.assert_array_equal(matches[n], [inputs[2][n, y, x] for x, y in cells])
    assert (points[1] != points[2]).any()


@pytest.mark.parametrize("elsewhere", [-500.0, 1e30, np.nan])
def test_points_that_are_not_visible_have_no_influence(elsewhere):
    labels_a, labels_b, points, visible = batch()
    labels = [tf.constant(labels_a), tf.constant(labels_b)]
    found = []
    for places in (points, np.where(visible[..., np.newaxis] > 0, points, np.float32(elsewhere))):
        with tf.GradientTape() as tape:
            tape.watch(labels)
            outputs = layer()((*labels, places, visible))
            value = tf.reduce_mean(outputs["loss"])
        found.append([outputs["loss"], outputs["matching_error"], *tape.gradient(value, labels)])
    for first, second in zip(*found):
        np.testing.assert_allclose(second, first, rtol=1e-6, atol=1e-12)


def test_a_subset_is_as_good_as_the_whole_on_average():
    inputs = batch(images=2, shown=1.0)
    inputs[3][:] = 1
    whole = float(layer(confidence=False, hard_negatives=1000)(inputs)["loss"][0])
    moved = [(*inputs[:2], inputs[2] + np.float32(1e-4 * n), inputs[3]) for n in range(20)]
    some = [float(layer(confidence=False, hard_negatives=1000, points=40)(each)["loss"][0]) for each in moved]
    assert np.std(some) > 0
    assert np.mean(some) == pytest.approx(whole, abs=0.02)


def test_it_trains_with_static_and_unknown_shapes_in_float32():
    inputs = [tf.constant(each, tf.float32) for each in batch()]
    loss = layer(dtype="float32", exchange=True)
    expected = loss(inputs)["loss"]
    assert float(loss.losses[0]) == pytest.approx(float(tf.reduce_mean(expected)))
    specs = [tf.TensorSpec([None] * each.shape.rank, tf.float32) for each in inputs]
    specs[:2] = [tf.TensorSpec([None, None, None, LENGTH], tf.float32)] * 2
    specs[2] = tf.TensorSpec([None, None, None, 2], tf.float32)
    found = tf.function(lambda *each: loss(each)["loss"], input_signature=specs, autograph=False)(*inputs)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_copy_is_made_from_its_configuration():
    original = layer(confidence=False, exchange=True)
    copy = introspection_loss.IntrospectionLoss.from_config(original.get_config())
    np.testing.assert_array_equal(copy(batch())["loss"], original(batch())["loss"])
    assert copy.get_config() == original.get_config()


@pytest.mark.parametrize(
    "shapes, message",
    [
        ([(1, 4, 4, 5), (1, 4, 4, 6), (1, 8, 8, 2), (1, 8, 8)], r"label maps must be \[B, h, w, C\] of one C; found"),
        ([(1, 4, 5), (1, 4, 5), (1, 8, 8, 2), (1, 8, 8)], r"label maps must be \[B, h, w, C\] of one C; found \(1, 4"),
        ([(1, 4, 4, 5), (1, 4, 4, 5), (1, 8, 8, 2), (1, 8, 9)], r"visible must be \[B, p, q\] and points_in_b"),
        ([(1, 4, 4, 5), (1, 4, 4, 5), (1, 8, 8, 3), (1, 8, 8)], r"visible must be .*found \(1, 8, 8\) and \(1, 8, 8"),
    ],
)
def test_shapes_that_do_not_fit_are_named(shapes, message):
    with pytest.raises(ValueError, match=message):
        layer()(tuple(tf.ones(shape) for shape in shapes))


@pytest.mark.parametrize("tau1, tau2", [(9.5, 9.0), (-1.0, 9.0), (float("nan"), 9.0)])
def test_thresholds_that_would_match_what_they_tell_apart_are_refused(tau1, tau2):
    with pytest.raises(
        ValueError, match=f"^tau1 must be at least 0 and not above tau2; found tau1={tau1} and tau2=9.0"
    ):
        layer(tau1=tau1, tau2=tau2)
    assert layer(tau1=9.0, tau2=9.0).tau2 == 9.0  # nothing lies between
