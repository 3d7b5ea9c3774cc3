"""Tests of changes of appearance: what was drawn is read off the result, which numpy or a library then makes anew."""

import colorsys
import io
import itertools
import re

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from PIL import Image

from input_pipeline.views import colours, random_maps

pytestmark = pytest.mark.filterwarnings(r"ignore:C\+\+/CUDA kernel of `adjust_hsv_in_yiq`:DeprecationWarning")

CHANGE = tf.function(
    colours.change, autograph=False
)  # one for all tests: it is traced once for what several of them ask for
OFF = dict.fromkeys(["brightness", "contrast", "saturation", "hue", "lighting", "jpeg", "rescale"], 0)
GREY = np.array([0.299, 0.587, 0.114])
FACTORS = ["brightness", "contrast", "saturation"]


def pictures(count, size=(8, 9), low=0.24, high=0.38):
    """Random colours that no change of the tests drives out of [0, 1]."""
    return np.random.default_rng(0).uniform(low, high, [count, *size, 3]).astype(np.float32)


def seeds(count):
    return np.stack([np.full(count, 7), np.arange(count)], axis=-1)


def change(images, **strengths):
    """The named changes alone."""
    return np.array(CHANGE(images, seeds(len(images)), **{**OFF, **strengths}))


def fixed_part(images, name):
    """What a factor of 0 would leave of the images."""
    grey = (images @ GREY)[..., np.newaxis]
    return {"brightness": 0 * grey, "contrast": grey.mean(axis=(1, 2, 3), keepdims=True), "saturation": grey}[name]


def drawn_factors(images, changed, name):
    """[B, 1, 1, 1], by least squares."""
    before, after = images - fixed_part(images, name), changed - fixed_part(images, name)
    square = np.sum(before**2, axis=(1, 2, 3), keepdims=True)
    return np.sum(before * after, axis=(1, 2, 3), keepdims=True) / square


def drawn_angles(images, changed):
    """[B], radians, at the first pixel: I and Q are a complex number."""
    to_chroma = np.array([0.596 + 0.211j, -0.274 - 0.523j, -0.322 + 0.312j])
    return np.angle((changed[:, 0, 0] @ to_chroma) / (images[:, 0, 0] @ to_chroma))


def is_uniform(numbers, low, high):
    return scipy.stats.kstest(np.ravel(numbers), scipy.stats.uniform(low, high - low).cdf).pvalue > 0.01


@pytest.mark.parametrize("name", FACTORS)
@pytest.mark.parametrize("strength, low, high", [(0.4, 0.6, 1.4), (1.5, 0, 2.5)])
def test_a_factor_scales_the_difference_to_what_stays(name, strength, low, high):
    images = pictures(300)
    found = change(images, **{name: strength})
    factors, fixed = drawn_factors(images, found, name), fixed_part(images, name)
    np.testing.assert_allclose(found, fixed + factors * (images - fixed), atol=1e-5)
    assert is_uniform(factors, low, high)


def turned_in_yiq(images, angle):
    """Images [..., 3] whose hues are turned by an angle in radians, in the YIQ of NTSC."""
    to_yiq = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    return images @ (np.linalg.inv(to_yiq) @ turn @ to_yiq).T


def test_hues_are_turned_here_as_in_tensorflow_addons():
    addons = pytest.importorskip("tensorflow_addons")
    images, angle = pictures(3), np.float32(0.4)
    np.testing.assert_allclose(
        turned_in_yiq(images, angle), addons.image.adjust_hsv_in_yiq(images, angle, 1, 1), atol=1e-5
    )


def test_hue_is_a_rotation_in_yiq():
    images = pictures(300)
    found = change(images, hue=0.1)
    angles = drawn_angles(images, found)
    expected = [turned_in_yiq(image, angle) for image, angle in zip(images, angles)]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert is_uniform(angles, -0.2 * np.pi, 0.2 * np.pi)


def drawn_lighting(images, changed):
    """[B, 3], how much of each principal component was added: the axes of the colours of ImageNet, R, G, B in rows."""
    axes = [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
    return np.mean(changed - images, axis=(1, 2)) @ np.array(axes) / [0.2175, 0.0188, 0.0045]


def test_lighting_adds_one_colour_of_normal_components():
    images = pictures(300)
    found = change(images, lighting=0.1)
    np.testing.assert_allclose(np.ptp(found - images, axis=(1, 2)), 0, atol=1e-6)
    for numbers in drawn_lighting(images, found).T:
        assert scipy.stats.kstest(numbers, scipy.stats.norm(0, 0.1).cdf).pvalue > 0.01


@pytest.mark.parametrize("order", [FACTORS + ["hue"], ["hue", "contrast", "saturation", "brightness"]])
def test_changes_of_colour_are_made_one_after_the_other_in_any_order(order):
    images = pictures(300)
    strengths = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1, "lighting": 0.1}
    alone = {name: change(images, **{name: strength}) for name, strength in strengths.items()}
    expected = images
    for name in order:
        if name == "hue":
            angles = drawn_angles(images, alone["hue"])
            expected = np.stack([turned_in_yiq(image, angle) for image, angle in zip(expected, angles)])
        else:
            fixed = fixed_part(expected, name)
            expected = fixed + drawn_factors(images, alone[name], name) * (expected - fixed)
    expected = expected + (alone["lighting"] - images)
    np.testing.assert_allclose(change(images, **strengths), expected, atol=2e-5)


def rescale_with_pillow(image, smaller):
    """`smaller` is (height, width)."""
    height, width = image.shape[:2]
    channels = [Image.fromarray(channel) for channel in np.moveaxis(image, -1, 0)]
    down = [channel.resize(smaller[::-1], Image.Resampling.BILINEAR) for channel in channels]
    return np.stack([channel.resize((width, height), Image.Resampling.BILINEAR) for channel in down], axis=-1)


def possible_sizes(size, rescale):
    """[300, 2], as often as they are to be drawn."""
    return np.maximum(np.round(np.linspace(1 - rescale, 1, 300)[:, np.newaxis] * size), 1).astype(int)


def drawn_sizes(images, changed, rescale):
    """[B, 2]: the sizes at which Pillow makes the same."""
    sizes = np.unique(possible_sizes(images.shape[1:3], rescale), axis=0)
    made = np.array([[rescale_with_pillow(image, tuple(smaller)) for smaller in sizes.tolist()] for image in images])
    errors = np.abs(made - changed[:, np.newaxis]).max(axis=(2, 3, 4))  # [B, sizes]
    assert errors.min(axis=1).max() < 1e-5 and np.sort(errors, axis=1)[:, 1].min() > 1e-4
    return sizes[errors.argmin(axis=1)]


@pytest.mark.parametrize("size, rescale", [((16, 24), 0.5), ((16, 24), 0.25), ((3, 3), 0.99)])
def test_rescaling_is_that_of_pillow(size, rescale):
    images = pictures(50, size)
    sizes, expected = drawn_sizes(images, change(images, rescale=rescale), rescale), possible_sizes(size, rescale)
    np.testing.assert_array_equal([sizes.min(axis=0), sizes.max(axis=0)], [expected.min(axis=0), expected.max(axis=0)])
    np.testing.assert_allclose(np.mean(sizes / size), np.mean(expected / size), atol=0.06)


def write_and_read_with_pillow(image, quality):
    file = io.BytesIO()
    Image.fromarray(np.uint8(np.round(image * 255))).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)) / 255


def drawn_qualities(images, changed):
    """[B]: the quality at which Pillow makes the same, or within a level where its decoder is another one."""
    qualities = np.arange(26, 101)
    made = np.array([[write_and_read_with_pillow(image, int(q)) for q in qualities] for image in images])
    errors = np.abs(made - changed[:, np.newaxis])
    best = errors.mean(axis=(2, 3, 4)).argmin(axis=1)
    assert errors[np.arange(len(images)), best].max() < 1.01 / 255
    return qualities[best]


@pytest.mark.parametrize("jpeg, worst", [(1, 30), (0.5, 64)])
def test_jpeg_is_that_of_pillow(jpeg, worst):
    images = pictures(40, (13, 21), 0, 1)
    qualities = drawn_qualities(images, change(images, jpeg=jpeg))
    assert worst <= qualities.min() < worst + 8 and 90 < qualities.max() <= 98
    np.testing.assert_allclose(qualities.mean(), (worst + 98) / 2, atol=(98 - worst) / 8)


def test_draws_do_not_depend_on_each_other():
    images, few = pictures(100), pictures(100, (16, 16))
    drawn = [drawn_factors(images, change(images, **{name: 0.4}), name) for name in FACTORS]
    drawn.append(drawn_angles(images, change(images, hue=0.1)))
    drawn.extend(drawn_lighting(images, change(images, lighting=0.1)).T)
    drawn.append(drawn_sizes(few, change(few, rescale=0.5), 0.5)[:, 0])
    drawn.append(drawn_qualities(few, change(few, jpeg=1)))
    np.testing.assert_allclose(np.corrcoef([np.ravel(numbers)[:100] for numbers in drawn]), np.eye(9), atol=0.3)


def test_without_strength_nothing_changes():
    images = pictures(3, low=0, high=1)
    np.testing.assert_array_equal(change(images), images)


def test_the_seed_alone_decides():
    images, all_seeds = pictures(3, (12, 10), 0, 1), tf.constant(seeds(3), tf.int32)
    found = colours.change(images, all_seeds, hue=0.1)
    for k in range(3):
        alone = colours.change(images[k : k + 1], tf.cast(all_seeds[k : k + 1], tf.int64), hue=0.1)
        np.testing.assert_allclose(alone[0], found[k], atol=1e-6)
    np.testing.assert_allclose(colours.change(images[::-1], all_seeds[::-1], hue=0.1)[::-1], found, atol=1e-6)
    same = colours.change(np.stack([images[0]] * 3), all_seeds)
    for a, b in itertools.combinations(same.numpy(), 2):
        assert np.abs(a - b).mean() > 0.01


def test_it_is_the_same_inside_a_dataset_whose_batches_differ():
    images = pictures(5, (12, 10), 0, 1)
    expected = colours.change(images, seeds(5))
    dataset = tf.data.Dataset.from_tensor_slices((images, seeds(5))).batch(2).map(colours.change)
    assert dataset.element_spec == tf.TensorSpec([None, 12, 10, 3], tf.float32)
    np.testing.assert_allclose(np.stack(list(dataset.unbatch().as_numpy_iterator())), expected, atol=1e-6)


@pytest.mark.parametrize("last", [{}, {"rescale": 0.5}, {"jpeg": 1}])
def test_values_stay_between_0_and_1(last):
    strong = {"brightness": 1, "contrast": 2, "saturation": 2, "hue": 0.5, "lighting": 1}
    images = np.round(pictures(20, (16, 16), 0, 1))
    found = change(images, **strong, **last)
    assert found.min() == 0 and found.max() == 1
    bright = change(pictures(20, low=0.6, high=0.9), brightness=0.8)
    dim = change(pictures(20, low=0.6, high=0.9) / 4, brightness=0.8)
    np.testing.assert_allclose(bright, np.minimum(4 * dim, 1), atol=1e-6)


def test_grey_stays_grey():
    images = np.repeat(pictures(20, low=0, high=1)[..., :1], 3, axis=-1)
    np.testing.assert_allclose(change(images, saturation=2, hue=0.5), images, atol=1e-6)


IMAGES, SEEDS = tf.zeros([2, 4, 5, 3]), tf.zeros([2, 2], tf.int32)
EXPECTED = "images must be float32 [B, H, W, 3] with H and W known, and seeds integer [B, 2]; found "


@pytest.mark.parametrize(
    "images, seeds, found",
    [
        (tf.cast(IMAGES, tf.uint8), SEEDS, "uint8 (2, 4, 5, 3) and int32 (2, 2)"),
        (IMAGES[0], SEEDS, "float32 (4, 5, 3) and int32 (2, 2)"),
        (IMAGES[..., :1], SEEDS, "float32 (2, 4, 5, 1) and int32 (2, 2)"),
        (IMAGES, tf.cast(SEEDS, tf.float32), "float32 (2, 4, 5, 3) and float32 (2, 2)"),
        (IMAGES, SEEDS[0], "float32 (2, 4, 5, 3) and int32 (2,)"),
        (IMAGES, SEEDS[:1], "float32 (2, 4, 5, 3) and int32 (1, 2)"),
    ],
)
def test_wrong_arrays_are_named(images, seeds, found):
    with pytest.raises(ValueError, match=re.escape(EXPECTED + found)):
        colours.change(images, seeds)


def test_images_of_unknown_size_are_refused():
    function = tf.function(
        colours.change, input_signature=[tf.TensorSpec([None, None, 5, 3]), tf.TensorSpec([2, 2], tf.int32)]
    )
    with pytest.raises(ValueError, match=re.escape(EXPECTED + "float32 (None, None, 5, 3)")):
        function.get_concrete_function()


@pytest.mark.parametrize(
    "name, value, interval",
    [
        ("brightness", -0.1, "[0, inf)"),
        ("contrast", float("nan"), "[0, inf)"),
        ("saturation", float("inf"), "[0, inf)"),
        ("lighting", -1, "[0, inf)"),
        ("hue", 0.6, "[0, 0.5]"),
        ("jpeg", 1.1, "[0, 1]"),
        ("rescale", 1, "[0, 1)"),
    ],
)
def test_a_strength_out_of_its_range_is_named(name, value, interval):
    with pytest.raises(ValueError, match=re.escape(f"{name}={value} must be in {interval}; 0 switches it off")):
        colours.change(IMAGES, SEEDS, **{name: value})


def as_ssd_by_hand(image, brightness, contrast, saturation, hue, contrast_first):
    """Pixel by pixel, with the standard library; `None` is a change that is not made."""
    result = np.empty_like(image)
    for place in np.ndindex(image.shape[:2]):
        pixel = np.clip(image[place] + (brightness or 0), 0, 1)
        if contrast is not None and contrast_first:
            pixel = np.clip(pixel * contrast, 0, 1)
        h, s, v = colorsys.rgb_to_hsv(*pixel)
        pixel = np.array(
            colorsys.hsv_to_rgb((h + (hue or 0)) % 1, min(1, s * (1 if saturation is None else saturation)), v)
        )
        if contrast is not None and not contrast_first:
            pixel = np.clip(pixel * contrast, 0, 1)
        result[place] = pixel
    return result


def test_changes_of_ssd_are_those_of_a_loop_over_pixels():
    """What was drawn is found among all combinations of made and not made, in both orders."""
    images = np.random.default_rng(0).uniform(size=[40, 3, 4, 3]).astype(np.float32)
    seeds = [[7, index] for index in range(40)]
    changed = colours.change_as_ssd(images, seeds).numpy()
    made, orders = [], []
    for index, image in enumerate(images):
        seed = random_maps.split(tf.constant(seeds[index]), 2)[0]
        amounts = tf.random.stateless_uniform([4], seed, -1.0, 1.0).numpy()
        drawn = 32 / 255 * amounts[0], 1 + 0.5 * amounts[1], 1 + 0.5 * amounts[2], 18 / 360 * amounts[3]
        fits = []
        for which in itertools.product([False, True], repeat=5):
            values = [value if on else None for value, on in zip(drawn, which)]
            if np.abs(as_ssd_by_hand(image, *values, which[4]) - changed[index]).max() < 1e-4:
                fits.append(which)
        assert fits
        if len(fits) == 1:
            orders.append(fits[0][4])
        made.append(fits[0][:4])
    assert (np.abs(np.mean(made, axis=0) - 0.5) < 0.25).all()
    assert 0.2 < np.mean(orders) < 0.8


def test_changes_of_ssd_depend_on_their_seed_and_strength():
    images = np.random.default_rng(0).uniform(size=[6, 8, 8, 3]).astype(np.float32)
    seeds = tf.stack([tf.zeros(6, tf.int64), tf.range(6, dtype=tf.int64)], axis=1)
    whole = colours.change_as_ssd(images, seeds).numpy()
    np.testing.assert_allclose(colours.change_as_ssd(images[3:4], seeds[3:4])[0], whole[3], atol=1e-6)
    np.testing.assert_allclose(colours.change_as_ssd(images, seeds, strength=0.0), images, atol=1e-5)
    strong = colours.change_as_ssd(images, seeds, strength=3.0).numpy()
    assert np.abs(strong - images).mean() > 1.5 * np.abs(whole - images).mean()
    assert strong.min() >= 0 and strong.max() <= 1
    with pytest.raises(ValueError, match=r"strength=-1 must be in \[0, inf\)"):
        colours.change_as_ssd(images, seeds, strength=-1)
