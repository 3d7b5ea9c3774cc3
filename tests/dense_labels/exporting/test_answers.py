"""What an exported model answers: every signature, in pixels of the caller, and what it refuses."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from dense_labels.batches import Frame
from dense_labels.exporting import model_card, signatures
from dense_labels.exporting.served_model import ServedModel
from dense_labels.method import geometry, matching
from models import heatmap_landmarks, nearest_landmarks
from tests.colours import COLOURS, FRAME, SIZE, STRIDE, as_uint8, centres, coloured_cells, publish, smooth_images
from tests.colours import head as head_of
from tests.colours import network as network_of

LANDMARKS, MARGIN = 4, 4


@pytest.fixture(scope="module")
def network():
    """A small network with random weights, whose labels are about as long as trained ones."""
    layers = [
        tf.keras.layers.Rescaling(4.0, -2.0),
        tf.keras.layers.Conv2D(8, 5, STRIDE, "same", activation="relu"),
        tf.keras.layers.BatchNormalization(),
        tf.keras.layers.Conv2D(8, 5, 1, "same", activation="relu"),
        tf.keras.layers.Conv2D(3, 1),
    ]
    network = tf.keras.Sequential([tf.keras.Input([None, None, 3]), *layers])
    random = np.random.default_rng(0)
    for layer, gain in zip((layers[1], layers[3], layers[4]), (2, 2, 30)):
        kernel = random.normal(0, np.sqrt(gain / np.prod(layer.kernel.shape[:3])), layer.kernel.shape)
        layer.set_weights([kernel, random.normal(0, 0.1, layer.bias.shape)])
    return network


@pytest.fixture(scope="module")
def head(network):
    labels = network(smooth_images(1, SIZE, 9)).numpy().reshape(-1, 3)
    chosen = labels[:: len(labels) // LANDMARKS][:LANDMARKS]
    return nearest_landmarks.NearestLandmarks(chosen / labels.std(), STRIDE, upsample=2)


@pytest.fixture(scope="module")
def folder(network, head, tmp_path_factory):
    return publish(network, head, tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="module")
def served(folder):
    return tf.saved_model.load(str(folder))


@pytest.fixture(scope="module")
def colour_served(colour_served_dir):
    return tf.saved_model.load(str(colour_served_dir / "1")).signatures


@pytest.fixture(scope="module")
def heatmap_served(colour_network, tmp_path_factory):
    """The same network, with a head whose map k is high where colour k is missing from white."""
    features, maps = np.zeros([3, 3, 3, 512], np.float32), np.zeros([3, 3, 512, 3], np.float32)
    features[1, 1, range(3), range(3)], maps[1, 1, range(3), range(3)] = -1.0, 6.0
    norm = {"gamma": np.ones(512), "beta": np.ones(512), "moving_mean": np.zeros(512), "moving_variance": np.ones(512)}
    state = {"features": features, **norm, "maps": maps, "biases": np.full(3, -3.0), "stride": STRIDE}
    head = heatmap_landmarks.HeatMapLandmarks.from_state(state)
    only = ("keypoints", "keypoints_float", "landmarks_float")
    return tf.saved_model.load(str(publish(colour_network, head, tmp_path_factory.mktemp("heatmaps"), only=only)))


def live_answers(network, head, image_a, image_b):
    """What the live network says of images of its own size, and where it leaves no doubt."""
    labels_a, labels_b = network(image_a).numpy(), network(image_b).numpy()
    count, height, width, length = labels_a.shape
    cells = tf.reshape(geometry.cell_centres(height, width, STRIDE), [-1, 2])
    flat_a, flat_b = (x.reshape(count, height * width, length) for x in (labels_a, labels_b))
    log_probability = matching.match_log_probability(flat_a, flat_b)
    best = np.sort(log_probability.numpy(), axis=-1)
    found = head(labels_a)
    return {
        "labels": labels_a,
        "confidence": np.sqrt(np.sum(labels_a**2, axis=-1)),
        "points": found["subpixel"].numpy(),
        "score": found["score"].numpy(),
        "points_in_a": np.broadcast_to(cells.numpy().reshape(height, width, 2), [count, height, width, 2]),
        "points_in_b": matching.best_match(log_probability, cells).numpy().reshape(count, height, width, 2),
        "probability": np.exp(best[..., -1]).reshape(count, height, width),
        "certain": (best[..., -1] - best[..., -2] > 1e-4).reshape(count, height, width),
    }


def test_a_version_has_every_signature_for_either_type(served, colour_served):
    outputs = {name: set(f.structured_outputs) for name, f in served.signatures.items()}
    assert outputs["serving_default"] == outputs["labels_float"] == {"labels", "confidence"}
    assert outputs["landmarks"] == outputs["landmarks_float"] == {"points", "score"}
    matches = {"points_in_a", "points_in_b", "probability", "confidence"}
    assert outputs["match"] == outputs["match_float"] == outputs["match_encoded"] == matches
    assert outputs["descriptors"] == outputs["descriptors_float"] == {"descriptors", "confidence"}
    assert outputs["encoded"] == {"labels", "confidence", "points", "score"}
    with_heat_maps = set(colour_served)
    assert with_heat_maps == set(signatures.named()) == {*outputs, "keypoints", "keypoints_float"}


def test_key_points_come_with_their_heat_maps(heatmap_served):
    cells, scale = [(2, 3), (7, 9), (12, 1)], (3, 2)
    image = 1 - coloured_cells(cells, scale=scale)
    for name, pixels in (("keypoints", as_uint8(image)), ("keypoints_float", image)):
        found = heatmap_served.signatures[name](images=tf.constant(pixels))
        assert set(found) == {"points", "score", "heatmaps"}
        np.testing.assert_allclose(found["points"][0], centres(cells, scale=scale), atol=0.05)
        heatmaps = found["heatmaps"].numpy()
        assert heatmaps.shape == (1, SIZE[0] // STRIDE, SIZE[1] // STRIDE, 3)
        for k, (row, column) in enumerate(cells):
            assert heatmaps[0, row, column, k] == heatmaps[..., k].max() == found["score"][0, k] > 0.7
            assert np.sort(heatmaps[..., k].ravel())[-2] < 0.1
    points = heatmap_served.landmarks(tf.constant(image))["points"]
    np.testing.assert_allclose(points[0], centres(cells, scale=scale), atol=0.05)


def test_a_process_with_tensorflow_alone_gets_the_live_answers(network, head, folder, tmp_path):
    image_a, image_b = smooth_images(2, SIZE, 2), smooth_images(2, SIZE, 3)
    expected = live_answers(network, head, image_a, image_b)
    assert expected["certain"].mean() > 0.9
    np.savez(tmp_path / "live.npz", image_a=image_a, image_b=image_b, **expected)
    code = """
import sys
import numpy as np
import tensorflow as tf

folder, path = sys.argv[1:]
live, signatures = np.load(path), tf.saved_model.load(folder).signatures
a, b = tf.constant(live["image_a"]), tf.constant(live["image_b"])
found = {
    **signatures["match_float"](image_a=a, image_b=b),
    **signatures["labels_float"](images=a),
    **signatures["landmarks_float"](images=a),
}
certain = live["certain"]
found["points_in_b"] = np.where(certain[..., None], found["points_in_b"], live["points_in_b"])
assert len(found) == 7
for name, value in found.items():
    tolerance = 1e-2 if name.startswith("points") else 1e-5
    np.testing.assert_allclose(value, live[name], rtol=1e-5, atol=tolerance, err_msg=name)
ours = {"dense_labels", "models", "input_pipeline", "tensorflow_addons", "tensorflow_graphics"}
assert not ours & {name.partition(".")[0] for name in sys.modules}
print("the same")
"""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(tmp_path / "live.npz")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "the same"


def test_the_graph_holds_core_tensorflow_ops_only(folder):
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    ops = {node.op for function in graph.library.function for node in function.node_def}
    ops |= {node.op for node in graph.node}
    assert {"Conv2D", "ScaleAndTranslate", "LogSoftmax"} <= ops
    assert [op for op in ops if not hasattr(tf.raw_ops, op)] == []
    assert [op for op in ops if "PyFunc" in op] == []  # registered, but needs Python to run


def test_uint8_images_get_the_answers_of_their_float_images(served):
    a, b = (as_uint8(smooth_images(2, (41, 57), seed)) for seed in (4, 5))
    float_a, float_b = (tf.constant(x / np.float32(255)) for x in (a, b))
    a, b = tf.constant(a), tf.constant(b)
    one, pair = [(a, float_a)], [(a, float_a), (b, float_b)]
    for name, other, arguments, images in (
        ("serving_default", "labels_float", ["images"], one),
        ("descriptors", "descriptors_float", ["images"], one),
        ("landmarks", "landmarks_float", ["images"], one),
        ("match", "match_float", ["image_a", "image_b"], pair),
    ):
        sent, seen = (dict(zip(arguments, of_a_type)) for of_a_type in zip(*images))
        found, expected = served.signatures[name](**sent), served.signatures[other](**seen)
        for key in expected:
            differs = np.abs(found[key] - expected[key]) > (1e-2 if "points" in key else 1e-4)
            assert differs.mean() <= (0.01 if name == "match" else 0)  # a near tie may turn


def encoded(image, *, write=tf.io.encode_png):
    return write(as_uint8(image)).numpy()


def test_files_of_different_sizes_get_the_answers_of_their_pixels(served):
    images = [smooth_images(1, size, seed)[0] for seed, size in enumerate([SIZE, (41, 57), (90, 20)])]
    found = served.signatures["encoded"](images=tf.constant([encoded(image) for image in images]))
    matches = served.signatures["match_encoded"](
        image_a=tf.constant([encoded(image) for image in images]), image_b=tf.constant([encoded(images[1])] * 3)
    )
    for n, image in enumerate(images):
        pixels = tf.constant(as_uint8(image)[np.newaxis])
        one = {**served.labels(pixels), **served.landmarks(pixels)}
        for name in one:
            np.testing.assert_allclose(found[name][n], one[name][0], atol=1e-2 if name == "points" else 1e-4)
        pair = served.match(pixels, tf.constant(as_uint8(images[1])[np.newaxis]))
        np.testing.assert_allclose(matches["points_in_a"][n], pair["points_in_a"][0], rtol=1e-6)
        differs = np.abs(matches["points_in_b"][n] - pair["points_in_b"][0]) > 1e-2
        assert differs.mean() <= 0.01  # a near tie may turn


def test_a_jpeg_is_read_and_what_is_no_picture_is_refused(served):
    image = smooth_images(1, SIZE, 3)[0]
    jpeg = tf.io.encode_jpeg(as_uint8(image), quality=98).numpy()
    sent = tf.constant([jpeg])
    pixels = tf.io.decode_jpeg(jpeg, dct_method="INTEGER_ACCURATE")[tf.newaxis]
    np.testing.assert_allclose(served.describe(sent)["points"], served.landmarks(pixels)["points"], atol=1e-2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="not a picture: it must be a JPEG, PNG or BMP file"):
        served.describe(tf.constant([b"no picture"]))


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK"])
def test_files_of_any_mode_are_what_a_viewer_shows_on_white(served, mode):
    image = Image.fromarray(as_uint8(smooth_images(1, SIZE, 3)[0])).convert("RGB" if mode == "CMYK" else mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    file, shown = io.BytesIO(), Image.new("RGBA", image.size, "white")
    shown.alpha_composite(image.convert("RGBA"))
    shown = np.asarray(shown.convert("RGB"))
    if mode == "CMYK":
        image.convert("CMYK").save(file, "JPEG", quality=100)
        shown = np.asarray(Image.open(io.BytesIO(file.getvalue())).convert("RGB"))
    else:
        image.save(file, "PNG")
    found = served.describe(tf.constant([file.getvalue()]))
    expected = served.labels(tf.constant(shown[np.newaxis]))
    differs = np.abs(found["labels"] - expected["labels"]) / np.abs(expected["labels"]).max()
    assert differs.mean() < 0.02  # Pillow and TensorFlow turn inks into slightly other colours
    assert mode == "CMYK" or differs.max() < 0.02


@pytest.fixture(scope="module")
def traced_with_margin(colour_network, colour_head):
    return ServedModel(colour_network, colour_head, frame=Frame(SIZE, STRIDE, MARGIN)).signatures()


@pytest.mark.parametrize("scale_y, scale_x", [(1, 1), (2, 3)])
def test_a_margin_is_cut_off_and_answers_are_in_the_whole_picture(traced_with_margin, scale_y, scale_x):
    traced, cells = traced_with_margin, [(3, 4), (10, 7), (6, 9)]
    inside = coloured_cells(cells)
    image = np.pad(inside, [(0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)])
    image = image.repeat(scale_y, axis=1).repeat(scale_x, axis=2)
    expected = (centres(cells) + MARGIN) * [scale_x, scale_y]
    for sent, names, match in (
        (tf.constant(image), ("labels_float", "landmarks_float"), "match_float"),
        (tf.constant(as_uint8(image)), ("serving_default", "landmarks"), "match"),
        (tf.constant([encoded(image[0])]), ("encoded",), "match_encoded"),
    ):
        answer = {key: value for name in names for key, value in traced[name](images=sent).items()}
        assert answer["labels"].shape == [1, SIZE[0] // 2, SIZE[1] // 2, 3]
        np.testing.assert_allclose(answer["points"][0], expected, atol=2e-2)
        found = traced[match](image_a=sent, image_b=sent)
        rows, columns = np.transpose(cells)
        for name in ("points_in_a", "points_in_b"):
            np.testing.assert_allclose(found[name].numpy()[0, rows, columns], expected, atol=1e-4)


def test_python_calls_take_tensors_of_either_type(served):
    images = smooth_images(1, SIZE, 6)
    for sent, suffix in ((tf.constant(images), "_float"), (tf.constant(as_uint8(images)), "")):
        found, expected = (
            served.landmarks(sent),
            served.signatures["landmarks" + suffix](images=sent),
        )
        np.testing.assert_allclose(found["points"], expected["points"], atol=1e-3)
        found = served.match(sent, sent)
        expected = served.signatures["match" + suffix](image_a=sent, image_b=sent)
        np.testing.assert_allclose(found["probability"], expected["probability"], atol=1e-5)
        assert served.labels(sent)["labels"].shape == [1, SIZE[0] // 2, SIZE[1] // 2, 3]


def test_landmarks_of_an_image_made_larger_grow_with_it(served):
    images = smooth_images(2, SIZE, 7, waves=2)
    larger = tf.constant(images.repeat(2, axis=1).repeat(2, axis=2))
    points = served.landmarks(tf.constant(images))["points"].numpy()
    assert np.ptp(points, axis=1).min() > 0.5  # the landmarks differ
    np.testing.assert_allclose(served.landmarks(larger)["points"], 2 * points, atol=0.4)


@pytest.mark.parametrize("scale_y, scale_x", [(1, 1), (2, 3), (4, 1)])
@pytest.mark.parametrize("suffix", ["", "_float"])
def test_landmarks_are_where_the_caller_drew_them(colour_served, scale_y, scale_x, suffix):
    cells = [(3, 4), (10, 7), (6, 9)]
    image = coloured_cells(cells, scale=(scale_y, scale_x))
    found = colour_served["landmarks" + suffix](images=tf.constant(image if suffix else as_uint8(image)))
    np.testing.assert_allclose(found["points"][0], centres(cells, scale=(scale_y, scale_x)), atol=1e-2)
    if scale_y == scale_x == 1:
        np.testing.assert_allclose(found["score"][0], 1.0, atol=1e-6)


def test_a_smaller_image_gives_points_in_its_own_pixels(colour_served):
    image = np.zeros([1, SIZE[0] // 3, SIZE[1] // 2, 3], np.float32)  # 10 x 12
    spots = [(2, 3), (7, 5), (4, 9)]
    for (row, column), colour in zip(spots, COLOURS):
        image[0, row, column] = colour
    found = colour_served["landmarks_float"](images=tf.constant(image))
    np.testing.assert_allclose(found["points"][0], np.float32(spots)[:, ::-1] + 0.5, atol=0.1)


def test_matches_are_in_pixels_of_b_whatever_the_two_sizes(colour_served):
    cells_a, cells_b = [(3, 4), (10, 7), (6, 9)], [(8, 2), (2, 8), (11, 5)]
    image_a, image_b = coloured_cells(cells_a, scale=(1, 2)), coloured_cells(cells_b, scale=(2, 3))
    found = colour_served["match_float"](image_a=tf.constant(image_a), image_b=tf.constant(image_b))
    rows, columns = np.transpose(cells_a)
    for name, cells, scale in (("points_in_a", cells_a, (1, 2)), ("points_in_b", cells_b, (2, 3))):
        np.testing.assert_allclose(found[name].numpy()[0, rows, columns], centres(cells, scale=scale), atol=1e-4)
    np.testing.assert_allclose(found["probability"].numpy()[0, rows, columns], 1.0, atol=1e-6)
    black = found["probability"].numpy()[0, 0, 0]  # a label of zeros matches every cell alike
    np.testing.assert_allclose(black, 1 / (15 * 12), rtol=1e-5)


def test_a_match_is_as_certain_as_the_mean_uncertainty_of_both_cells(colour_served):
    """Half a colour is half as long: of lengths 30 and 15, sigma is 1 / 30 and 1 / 15."""
    image_a, image_b = coloured_cells([(3, 4)]), coloured_cells([(8, 2)]) / 2
    found = colour_served["match_float"](image_a=tf.constant(image_a), image_b=tf.constant(image_b))
    assert found["confidence"].numpy()[0, 3, 4] == pytest.approx(2 / (1 / 30 + 1 / 15), rel=1e-5)
    assert found["confidence"].numpy()[0, 0, 0] == pytest.approx(0, abs=1e-9)  # a label of zeros claims nothing


def test_descriptors_are_the_labels_made_unit_length(served):
    image = tf.constant(smooth_images(2, (41, 57), 4))
    found, labels = (served.signatures[name](images=image) for name in ("descriptors_float", "labels_float"))
    lengths = np.linalg.norm(labels["labels"], axis=-1, keepdims=True)
    np.testing.assert_allclose(found["descriptors"], labels["labels"] / lengths, atol=1e-5)
    np.testing.assert_allclose(found["confidence"], labels["confidence"], rtol=1e-5)


def test_confidence_is_the_length_of_the_label(colour_served):
    image = coloured_cells([(3, 4), (10, 7), (6, 9)])
    found = colour_served["serving_default"](images=tf.constant(as_uint8(image)))
    expected = np.zeros([1, 15, 12])
    expected[0, [3, 10, 6], [4, 7, 9]] = 30.0
    np.testing.assert_allclose(found["confidence"], expected, atol=1e-5)
    np.testing.assert_allclose(found["labels"][0, 10, 7], [0.0, 30.0, 0.0], atol=1e-5)


def test_a_batch_is_matched_as_its_pairs_are(served):
    a, b = (tf.constant(smooth_images(3, SIZE, seed)) for seed in (11, 12))
    together = served.match(a, b)
    for n in range(3):
        alone = served.match(a[n : n + 1], b[n : n + 1])
        np.testing.assert_allclose(together["probability"][n], alone["probability"][0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "shape, message",
    [
        ([9, 9, 3], r"images \[9,9,3\] is not compatible with expected shape \[\?,\?,\?,3\]"),
        ([1, 9, 9, 4], r"\[1,9,9,4\] is not compatible with expected shape \[\?,\?,\?,3\]"),
        ([2, 0, 9, 3], r"at least one row and column; found the size\] \[0 9\]"),
        ([2, 9, 0, 3], r"at least one row and column; found the size\] \[9 0\]"),
        ([0, 9, 9, 3], r"a request must have from 1 to 64 pictures; found\] \[0\]"),
    ],
)
@pytest.mark.parametrize("name", ["serving_default", "labels_float", "landmarks", "landmarks_float"])
def test_a_bad_image_is_refused_by_name(served, name, shape, message):
    dtype = tf.float32 if name.endswith("_float") else tf.uint8
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        served.signatures[name](images=tf.zeros(shape, dtype))


@pytest.mark.parametrize("wrong", [1.5, 255.0, -0.1, np.nan])
def test_floats_that_are_not_from_0_to_1_are_refused(served, wrong):
    """Bytes that were cast would be answered wrongly, and with great certainty."""
    images = np.full([1, *SIZE, 3], 0.5, np.float32)
    images[0, 0, 0, 0] = wrong
    message = r"floating-point images must be in \[0, 1\], or be sent as uint8; found values from, to"
    for name in ("labels_float", "landmarks_float"):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            served.signatures[name](images=tf.constant(images))
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        served.signatures["match_float"](image_a=tf.fill([1, *SIZE, 3], 0.5), image_b=tf.constant(images))


@pytest.mark.parametrize("dtype", [tf.uint8, tf.float32])
def test_a_bad_pair_is_refused_by_name(served, dtype):
    good = tf.zeros([1, *SIZE, 3], dtype)
    with pytest.raises(tf.errors.InvalidArgumentError, match="image_b must hold as many images"):
        served.match(good, tf.zeros([2, *SIZE, 3], dtype))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"found the size\] \[30 0\]"):
        served.match(good, tf.zeros([1, 30, 0, 3], dtype))


def test_without_a_head_there_are_no_landmarks(colour_network):
    served = ServedModel(colour_network, None, frame=FRAME)
    assert not hasattr(served, "landmarks") and not hasattr(served, "keypoints")
    assert all(hasattr(served, task) for task in ("labels", "descriptors", "match", "describe"))


@pytest.mark.parametrize("stride", [2, 8, 16])
def test_the_sides_of_an_image_need_not_be_multiples_of_the_stride(stride):
    size, margin = (90, 118), 3
    served = ServedModel(network_of(stride), head_of(stride), frame=Frame(size, stride, margin))
    cells, others = [(1, 1), (3, 3), (2, 5)], [(90 // stride - 1, 2), (0, 118 // stride - 1), (2, 0)]

    def picture(cells, scale):
        inside = coloured_cells(cells, size=size, stride=stride)
        whole = np.pad(inside, [(0, 0), (margin, margin), (margin, margin), (0, 0)])
        return tf.constant(whole.repeat(scale[0], axis=1).repeat(scale[1], axis=2))

    labels = served.labels(picture(cells, (1, 1)))["labels"].numpy()
    assert labels.shape == (1, size[0] // stride, size[1] // stride, 3)
    rows, columns = np.transpose(cells)
    np.testing.assert_allclose(labels[0, rows, columns], 30 * COLOURS, atol=1e-4)
    points = served.landmarks(picture(cells, (2, 3)))["points"].numpy()[0]
    expected = (centres(cells, stride=stride) + margin) * [3, 2]
    np.testing.assert_allclose(points / [3, 2], expected / [3, 2], atol=0.01 * stride)
    found = served.match(picture(cells, (1, 1)), picture(others, (2, 3)))["points_in_b"].numpy()[0]
    expected = (centres(others, stride=stride) + margin) * [3, 2]
    np.testing.assert_allclose(found[rows, columns], expected, atol=1e-3)


def test_such_an_image_is_verified_and_written(tmp_path):
    path = publish(network_of(8), head_of(8), tmp_path, frame=Frame((90, 118), 8, 2), only=("encoded", "match_float"))
    assert model_card.read(path)["signatures"]["match_float"]["outputs"]["points_in_b"]["shape"] == [None, 11, 14, 2]
