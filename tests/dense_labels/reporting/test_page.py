"""Tests of the page: what it computes against the method, what is escaped, what it needs."""

import base64
import configparser
import dataclasses
import html.parser
import io
import json
import pathlib
import shutil
import subprocess

import numpy as np
import PIL.Image
import pytest

from dense_labels.batches import LabelMap
from dense_labels.evaluation.result import Result
from dense_labels.method import geometry, label_sphere, matching
from dense_labels.registry import METRICS
from dense_labels.reporting import filling, page, page_text

TEMPLATES = pathlib.Path(page.__file__).parent / "templates"
RNG = np.random.default_rng
STRIDE = 2


def examples(length=3, count=3, rows=6, columns=9):
    labels = (4 * RNG(2).normal(size=[count, rows, columns, length])).astype(np.float32)
    images = RNG(0).uniform(size=[count, STRIDE * rows, STRIDE * columns, 3]).astype(np.float32)
    landmarks = RNG(1).uniform(0, STRIDE * rows, size=[count, 2, 2])
    annotated = np.array([[1, 1], [1, 0], [0, 1]])[:count]
    return page.Examples(images, LabelMap(labels, STRIDE), images[..., 0] > 0.2, landmarks, annotated)


def stored(data, n):
    """The labels of a picture as the page reads them."""
    whole = np.frombuffer(base64.b64decode(data["pictures"][n]["labels"]), "<i2")
    return whole.reshape(data["rows"], data["columns"], data["length"]) * np.float32(data["scale"])


@pytest.mark.parametrize("length", [2, 3, 16])
def test_stored_labels_match_as_the_labels_do(length):
    labels = examples(length).labels.values
    data = page.page_data(examples(length))
    centres = geometry.cell_centres(6, 9, STRIDE).numpy().reshape([-1, 2])
    a, b = (labels[n].reshape([-1, length]) for n in (0, 1))
    log_p = matching.match_log_probability(a, b).numpy()
    of_stored = matching.match_log_probability(*(stored(data, n).reshape([-1, length]) for n in (0, 1)))
    best = of_stored.numpy().argmax(axis=1)
    np.testing.assert_allclose(log_p[np.arange(54), best], log_p.max(axis=1), atol=0.05)
    expected = matching.expected_match(log_p, centres)
    np.testing.assert_allclose(matching.expected_match(of_stored, centres), expected, atol=0.05)


def test_a_name_that_is_no_text_is_spelt_out(tmp_path):
    page.write(tmp_path / "report.html", "runs\udcff", None, result=Result(), panels={})
    assert r"runs\udcff" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_quantise_is_off_by_half_a_step_at_most():
    labels = RNG(0).normal(size=[50, 7])
    whole, scale = page.quantise(labels)
    assert whole.dtype == np.int16 and np.abs(whole).max() == 32767
    assert np.abs(whole * scale - labels).max() <= scale / 2 * (1 + 1e-6)
    assert page.quantise(np.zeros(3))[1] == 1.0


JAVASCRIPT = """
const data = JSON.parse(require("fs").readFileSync(0, "utf8"));
const map = (n) => ({...data, height: data.rows, width: data.columns,
                     labels: labelsOf(data.pictures[n].labels, data.scale)});
const answers = data.points.map((point) => {
  const label = labelAt(map(0), point);
  return {...findLabel(map(1), label), label, place: placeOf(label, data.basis)};
});
console.log(JSON.stringify(answers, (key, value) => value instanceof Float32Array ? [...value] : value));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no JavaScript outside a browser here")
@pytest.mark.parametrize("length", [3, 16])
def test_the_page_computes_what_the_method_does(length):
    data = page.page_data(examples(length))
    points = np.float32([[3.0, 5.0], [4.2, 7.7], [-2.0, 30.0], [17.9, 0.1]])
    script = (TEMPLATES / "matching.js").read_text() + JAVASCRIPT
    text = json.dumps({**data, "points": points.tolist()})
    done = subprocess.run(["node", "-e", script], input=text, capture_output=True, text=True, check=True)
    answers = json.loads(done.stdout)
    found = {name: np.array([each[name] for each in answers]) for name in answers[0]}
    a, b = stored(data, 0), stored(data, 1)
    label = geometry.bilinear_sample(a[np.newaxis], points[np.newaxis], STRIDE)[0].numpy()
    np.testing.assert_allclose(found["label"], label, rtol=1e-5, atol=1e-5)
    log_p = matching.match_log_probability(label, b.reshape([-1, length]))
    np.testing.assert_allclose(found["probability"], np.exp(log_p), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found["largest"], np.exp(log_p).max(axis=1), rtol=1e-3)
    centres = geometry.cell_centres(6, 9, STRIDE).numpy().reshape([-1, 2])
    np.testing.assert_allclose(found["best"], matching.best_match(log_p, centres))
    np.testing.assert_allclose(found["expected"], matching.expected_match(log_p, centres), atol=1e-3)
    place = label_sphere.project(label, np.array(data["basis"]))
    place /= np.maximum(np.linalg.norm(place, axis=-1, keepdims=True), 1)
    np.testing.assert_allclose(found["place"], place, atol=1e-5)


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no JavaScript outside a browser here")
def test_shares_are_written_to_two_figures():
    shares = {0.00053: "0.053 %", 0.0294: "2.9 %", 0.0996: "10 %", 0.154: "15 %", 0.997: "100 %", 1.0: "100 %"}
    script = (TEMPLATES / "matching.js").read_text() + f"console.log(JSON.stringify({list(shares)}.map(inPercent)));"
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == list(shares.values())


class Page(html.parser.HTMLParser):
    """The elements of a page, the addresses it names and the text of its data."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.data, self.inside = [], [], "", False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.addresses += [attributes[name] for name in ("src", "href") if name in attributes]
        self.inside = attributes.get("id") == "data"

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, text):
        self.data += text * self.inside


EVIL = "</script><img src=https://example.org/x onerror=alert(1)><!-- & {{data}}"
RESULT = Result(
    metrics={
        "mean_shape_error_percent": 18.25,
        "regress_error_percent": 7.5,
        "matching_different_cell_px": 3.75,
        "matching_different_subpixel_px": 2.5,
        "risk_area": 0.125,
    },
    landmark_error_percent={"mean_shape": [18.0, 18.5], "regress": [None, 7.5]},
    few_shot_error_percent={"regress": {5: [9.0, 11.0]}},
    protocol={"error": "in % of eye distance", "test_images": 600, EVIL: EVIL, "regress": "by fifty points"},
    landmark_names=("left_eye", "nose"),
)


def page_of(tmp_path, **changed):
    path, panels = tmp_path / "report.html", {EVIL: np.zeros([4, 5, 3], np.uint8)}
    result = dataclasses.replace(RESULT, **changed)
    page.write(path, EVIL, examples(), result=result, panels=panels, summary=EVIL)
    return path.read_text()


def test_nothing_that_comes_from_outside_becomes_markup(tmp_path):
    names = (EVIL, "b")
    page = Page(page_of(tmp_path, landmark_names=names))
    assert page.tags.count("script") == 2 and page.tags.count("img") == 1
    assert json.loads(page.data)["landmark_names"] == list(names)
    assert page.addresses and all(address.startswith("data:") for address in page.addresses)


def test_a_page_without_examples_has_nothing_to_point_at(tmp_path):
    path = tmp_path / "report.html"
    page.write(path, "Sparse", None, result=RESULT, panels={"curves": np.zeros([4, 5, 3], np.uint8)})
    text = path.read_text()
    assert "<script" not in text and "<canvas" not in text and "{{explorer}}" not in text
    assert "18.250" in text and text.count("<section") == text.count("</section>") == 2


def test_the_page_holds_the_figures_in_words(tmp_path):
    page = page_of(tmp_path)
    for text in ("18.250", "7.500", "in % of eye distance", "left eye", "10.00 ± 1.41", "test images</dt><dd>600"):
        assert text in page
    assert '<th scope="row">another picture</th><td>3.75</td><td>2.50</td>' in page  # of one kind of pair alone
    assert '<th scope="row">risk area</th><td>0.125</td>' in page  # a figure it knows no words for
    assert "<dt>regress</dt><dd>by fifty points" in page  # beside the figures, how they came about


def test_figures_from_outside_are_columns_of_their_own_and_headings_are_the_metrics_words(tmp_path, monkeypatch):
    monkeypatch.setattr(METRICS, "_entries", dict(METRICS.items()))
    METRICS.register("largest_percent", "the largest <error>, %")(max)
    page = page_of(
        tmp_path, metrics={**RESULT.metrics, "mean_shape_largest_percent": 50, "regress_largest_percent": 40}
    )
    words = METRICS["error_percent"].words
    assert f'<th scope="col">{words}</th><th scope="col">the largest &lt;error&gt;, %</th>' in page
    assert '<th scope="row">regress</th><td>7.500</td><td>40.000</td>' in page


@pytest.mark.parametrize("stride", [2, 8, 16])
def test_cells_have_what_is_seen_at_their_centres_where_sides_are_no_multiple_of_the_stride(stride):
    rows, columns = 90 // stride, 118 // stride
    images = RNG(0).uniform(size=[2, 90, 118, 3])
    labels = RNG(1).normal(size=[2, rows, columns, 3]).astype(np.float32)
    masks = RNG(2).uniform(size=[2, 90, 118]) > 0.5
    data = page.page_data(page.Examples(images, LabelMap(labels, stride), masks))
    assert (data["height"], data["width"], data["stride"]) == (90, 118, stride)  # of the page's own computation
    assert (data["rows"], data["columns"]) == (rows, columns)
    picture = data["pictures"][1]
    for name, expected in (
        ("label_colours", 255 * label_sphere.label_colours(labels[1])),
        ("picture_colours", 255 * images[1, stride // 2 :: stride, stride // 2 :: stride][:rows, :columns]),
        ("object", masks[1, stride // 2 :: stride, stride // 2 :: stride][:rows, :columns]),
    ):
        cells = np.frombuffer(base64.b64decode(picture[name]), np.uint8)
        np.testing.assert_allclose(cells, np.ravel(expected), atol=0.51, err_msg=name)
    np.testing.assert_allclose(stored(data, 1), labels[1], atol=data["scale"])


def test_of_a_run_without_landmarks_the_page_says_so(tmp_path):
    data = page.page_data(dataclasses.replace(examples(length=2), landmarks=None, annotated=None))
    assert data["landmark_names"] == [] and [each["landmarks"] for each in data["pictures"]] == [[]] * 3
    assert data["basis"] is None  # labels of two numbers have no sphere
    assert page_text.numbers(Result()) == "<p>Nothing was measured.</p>"
    assert "<td>1.50</td><td>-</td>" in page_text.numbers(Result(metrics={"matching_same_cell_px": 1.5}))


def test_how_labels_carry_over_is_a_sentence():
    said = page_text.numbers(Result(metrics={"cycle_median_px": 2.345, "cycle_within_percent": 71.2}))
    assert "71 % of the points end within 5 px" in said and "<table" not in said and "Nothing" not in said


def test_landmarks_that_are_not_annotated_are_not_places():
    landmarks = [each["landmarks"] for each in page.page_data(examples())["pictures"]]
    assert [[point is None for point in points] for points in landmarks] == [[0, 0], [0, 1], [1, 0]]
    np.testing.assert_allclose(landmarks[2][1], examples().landmarks[2, 1])


def test_as_many_pictures_are_stored_as_fit(monkeypatch):
    assert len(page.page_data(examples())["pictures"]) == 3
    monkeypatch.setattr(page, "_MOST_BYTES", 2.5 * 6 * 9 * 3 * 8 / 3)  # of two maps and a half
    assert len(page.page_data(examples())["pictures"]) == 2


def test_every_template_is_installed():
    setup = configparser.ConfigParser()
    setup.read(pathlib.Path(__file__).parents[3] / "setup.cfg")
    pattern = setup["options.package_data"]["dense_labels.reporting"]
    assert set(TEMPLATES.parent.glob(pattern)) == set(TEMPLATES.iterdir()) and len(set(TEMPLATES.iterdir())) == 13


def test_errors_say_what_was_given_and_what_is_needed():
    with pytest.raises(ValueError, match=r"mask.* must be \[3, 12, 18\]; found shape \(3, 12, 17\)"):
        page.page_data(dataclasses.replace(examples(), masks=np.ones([3, 12, 17])))
    with pytest.raises(ValueError, match="images must be float in"):
        page.page_data(dataclasses.replace(examples(), images=np.full([3, 12, 18, 3], 7.0)))


def test_a_panel_looks_as_it_is_and_is_a_fraction_as_long():
    y, x = np.mgrid[:200, :300] / 20
    waves = 127 + 60 * np.sin(np.stack([x, y, x + y], axis=-1)) + RNG(0).normal(size=[200, 300, 3])
    head, _, written = filling.webp_uri(np.uint8(waves), page._QUALITY).partition(",")
    shown = np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(written))))
    assert head == "data:image/webp;base64" and np.abs(shown - waves).mean() < 3
    assert len(written) < len(page._picture_uri(np.uint8(waves))) / 4


def test_a_panel_that_is_longer_than_a_webp_can_be_is_made_smaller():
    uri = filling.webp_uri(np.zeros([8, 17000, 3], np.uint8), 50)
    assert PIL.Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).size == (16383, 8)
