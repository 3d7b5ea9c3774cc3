"""Tests of the annotation page: what it holds, what is escaped, and what it hands out, as the readers take it."""

import base64
import dataclasses
import hashlib
import html.parser
import io
import itertools
import json
import pathlib
import re
import shutil
import subprocess

import numpy as np
import PIL.Image
import pytest

from dense_labels.batches import Frame, LabelMap
from dense_labels.config import DataConfig
from dense_labels.registry import READERS
from dense_labels.reporting import annotation_page, page

TEMPLATES = pathlib.Path(page.__file__).parent / "templates"
EVIL = "</script><img src=https://example.org/x onerror=alert(1)><!-- & {{data}} \u2028"
NAMES = ('a,b/"quoted" 1.png', f"{EVIL[:9].replace('/', '_')} & é.png", "plain.png")
FRAME = Frame((24, 36), 4, margin=2)  # pictures become 28 x 40
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="there is no JavaScript outside a browser here")


def sheet(**changed):
    random = np.random.default_rng(0)
    given = {
        "names": NAMES,
        "labels": LabelMap(random.normal(size=[3, 6, 9, 5]).astype(np.float32), 4),
        "points": random.uniform(0, 80, size=[3, 2, 2]),
        "annotated": np.array([[1, 0], [0, 0], [0, 0]]),
        "hidden": np.zeros([3, 2]),
        "landmark_names": ('left, "eye"', "nose"),
        "frame": FRAME,
        "category": "fly wing",
        "settings": {"window": 3, "finer": 4},
        "others": [("other.png", (50, 60), np.array([[1.5, 2.25], [3, 4]]), np.array([1, 1]), np.array([0, 0]))],
    }
    return annotation_page.Sheet(**{**given, **changed})


def pictures(sizes=((84, 120), (84, 120), (84, 120))):
    random = np.random.default_rng(1)
    return [random.integers(0, 256, [height, width, 3], np.uint8) for height, width in sizes]


class Page(html.parser.HTMLParser):
    """The elements of a page, and the texts of its scripts and style."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.attributes, self.texts = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attributes]
        self.addresses += [value for name, value in attributes if name in ("src", "href")]
        self.texts.append((tag, dict(attributes), ""))

    def handle_data(self, text):
        if self.texts:
            tag, attributes, before = self.texts[-1]
            self.texts[-1] = tag, attributes, before + text

    def handle_endtag(self, tag):
        self.texts.append(("", {}, ""))

    def text(self, tag, **attributes):
        return next(text for name, found, text in self.texts if name == tag and found == attributes)


def written(tmp_path, **changed):
    path = tmp_path / "annotate.html"
    annotation_page.write(path, EVIL, sheet(**changed), iter(pictures()), command=EVIL)
    return Page(path.read_text(encoding="utf-8"))


def test_what_was_put_in_is_what_the_page_reads():
    given = sheet()
    data = annotation_page.page_data(given, pictures([(84, 120), (3000, 1500), (20, 20)]))
    assert [(each["name"], each["height"], each["width"]) for each in data["pictures"]] == [
        (NAMES[0], 84, 120),
        (NAMES[1], 3000, 1500),
        (NAMES[2], 20, 20),
    ]
    for n, each in enumerate(data["pictures"]):
        labels = np.frombuffer(base64.b64decode(each["labels"]), "<i2").reshape([6, 9, 5]) * data["scale"]
        np.testing.assert_allclose(labels, given.labels.values[n], atol=data["scale"])
    shown = [PIL.Image.open(io.BytesIO(base64.b64decode(each["image"].partition(",")[2]))) for each in data["pictures"]]
    assert [each.size for each in shown] == [(120, 84), (512, 1024), (20, 20)]  # never larger than 1,024, nor enlarged
    assert data["pictures"][0]["points"] == [pytest.approx(given.points[0, 0].round(3).tolist()), None]
    assert data["others"] == [{"name": "other.png", "height": 50, "width": 60, "points": [[1.5, 2.25], [3, 4]]}]
    assert (data["stride"], data["margin"], data["full_size"]) == (4, 2, [28, 40])


def test_pages_of_other_content_are_kept_apart_in_the_browser():
    first, again = (annotation_page.page_data(sheet(), pictures())["id"] for _ in range(2))
    assert first == again != annotation_page.page_data(sheet(names=("x", "y", "z")), pictures())["id"]


def test_a_page_of_other_content_stays_where_it_is(tmp_path, capsys):
    """A browser may hold what was annotated in it, by its path."""
    ids = {names: annotation_page.page_data(sheet(names=names), pictures())["id"] for names in (NAMES, ("x", "y", "z"))}
    first, second = ids.values()
    for names in (NAMES, NAMES, ("x", "y", "z")):
        written(tmp_path, names=names)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"annotate-{second}.html", "annotate.html"]
    for name, own in (("annotate.html", first), (f"annotate-{second}.html", second)):
        assert f'"{own}"' in (tmp_path / name).read_text("utf-8")
    assert capsys.readouterr().out.count("the page that is there stays, for points in it may not be downloaded") == 1


def test_nothing_that_comes_from_outside_becomes_markup(tmp_path):
    page = written(tmp_path, landmark_names=(EVIL, "b"), names=(EVIL, "b", "c"))
    assert page.tags.count("script") == 2 and "img" not in page.tags
    data = json.loads(page.text("script", id="data", type="application/json"))
    assert data["landmark_names"][0] == data["pictures"][0]["name"] == EVIL
    assert page.text("pre", tabindex="0") == EVIL and page.text("h1") == EVIL


def test_the_policy_lets_only_the_pages_own_script_and_style_run(tmp_path):
    page = written(tmp_path)
    policy = next(value for tag, name, value in page.attributes if name == "content" and "default-src" in value)
    rules = dict(rule.split(maxsplit=1) for rule in policy.split(";"))
    for rule, tag in (("script-src", "script"), ("style-src", "style")):
        digest = base64.b64encode(hashlib.sha256(page.text(tag).encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:" and page.addresses == ["data:,"]
    assert not [name for _, name, _ in page.attributes if name.startswith("on") or name == "style"]
    script = page.text("script")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|fetch\(|XMLHttp", script)


SCRIPTS = ("matching.js", "suggesting.js", "refining.js", "annotation_files.js", "annotation_state.js")
MAPS = """
const input = JSON.parse(require("fs").readFileSync(0, "utf8"));
const data = input.data;
const maps = data.pictures.map((picture) => ({
  height: data.height, width: data.width, length: data.length, stride: data.stride,
  labels: labelsOf(picture.labels, data.scale),
}));
"""


def javascript(script, **values):
    text = "".join((TEMPLATES / name).read_text() for name in SCRIPTS) + MAPS + script
    done = subprocess.run(["node", "-e", text], input=json.dumps(values), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


HANDED_OUT = """
let state = initialState(data);
for (const [n, id, point] of input.changes) state = withPoints(state, n, {[id]: point});
const { landmarks, rows, leftOut, marksLeftOut } = handedOut(data, state);
const written = { csv: csvOf(landmarks, rows, hadMarks(data)), json: cocoOf(landmarks, rows, data.category) };
console.log(JSON.stringify({...written, leftOut, marksLeftOut}));
"""


@needs_node
@pytest.mark.parametrize("kind", ["csv", "coco"])
@pytest.mark.parametrize("whole", [False, True])
def test_what_the_page_hands_out_is_what_the_readers_take(tmp_path, kind, whole):
    points = np.array([[[10, 20], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]]) + (0 if whole else 0.375)
    others = [("other.png", (50, 60), np.array([[1, 2], [3, 4]]), np.array([1, 1]), np.array([0, 1]))]
    data = annotation_page.page_data(sheet(points=points, others=others), pictures())
    changes = [[1, 1, [30, 41, "hidden"]], [2, 0, "hidden"], [2, 1, [5, 6]], [1, 0, None]]
    done = javascript(HANDED_OUT, data=data, changes=changes)
    read = read_back(tmp_path, kind, done)
    assert read.category == ("fly wing" if kind == "coco" else "")
    np.testing.assert_array_equal(read.hidden, [[0, 1], [0, 0], [0, 1], [1, 0]])
    assert read.landmark_names == ('left, "eye"', "nose")
    assert [pathlib.Path(found).relative_to(tmp_path).as_posix() for found in read.paths] == ["other.png", *NAMES]
    np.testing.assert_array_equal(read.annotated, [[1, 1], [1, 0], [0, 1], [0, 1]])
    expected = [[1, 2], [3, 4], points[0, 0], [30, 41], [5, 6]]
    np.testing.assert_allclose(read.landmarks[read.annotated > 0], expected, atol=0.0011)
    assert done["leftOut"] == 2  # the nose of the first picture, the eye of the second: not what is hidden
    assert done["marksLeftOut"] == 0
    for each in json.loads(done["json"])["annotations"]:  # what pycocotools and others need beside
        assert min(each["bbox"][2:]) >= 1  # of one landmark too, for readers use the boxes of all annotations or none
        assert (each["area"], each["iscrowd"], each["segmentation"]) == (
            pytest.approx(np.prod(each["bbox"][2:])),
            0,
            [],
        )
    again = page_of(read, tmp_path, data["pictures"], data["others"])
    assert again == data_after(data, changes)


def read_back(folder, kind, done):
    """Writes what the page hands out beside drawn pictures, and reads it as --annotations does."""
    for name, size in (*((name, (120, 84)) for name in NAMES), ("other.png", (60, 50))):
        (folder / name).parent.mkdir(exist_ok=True)
        PIL.Image.new("RGB", size).save(folder / name)
    path = folder / f"points.{'csv' if kind == 'csv' else 'json'}"
    path.write_text(done["csv" if kind == "csv" else "json"], encoding="utf-8")
    return READERS[kind].value(DataConfig(name=kind, dir=str(folder), annotations=str(path)))["annotated"]


def page_of(read, folder, *shown):
    """What a new page says of the pictures that were read: name -> the points of a state."""
    said = {}
    for path, *known in zip(read.paths, read.landmarks, read.annotated, read.hidden):
        said[pathlib.Path(path).relative_to(folder).as_posix()] = annotation_page._points(*known)
    return {each["name"]: nearly(said.get(each["name"])) for each in itertools.chain(*shown)}


def data_after(data, changes):
    """The same of the page that handed them out, once it was changed."""
    points = [list(each["points"]) for each in data["pictures"]]
    for n, k, point in changes:
        points[n][k] = point
    shown = {each["name"]: nearly(known) for each, known in zip(data["pictures"], points)}
    return shown | {each["name"]: nearly(each["points"]) for each in data["others"]}


def nearly(points):
    """Places to a hundredth of a pixel, for a thousandth may be added to whole ones."""
    return [
        [*(round(value, 2) for value in each[:2]), *each[2:]] if isinstance(each, list) else each for each in points
    ]


@needs_node
def test_what_the_files_cannot_say_of_hidden_landmarks_is_counted():
    """The mark of a picture without any point, and that of a landmark that is placed nowhere."""
    data = annotation_page.page_data(sheet(others=[]), pictures())
    done = javascript(HANDED_OUT, data=data, changes=[[1, 0, "hidden"], [0, 1, "hidden"]])
    assert done["marksLeftOut"] == 2 and done["csv"].splitlines()[0] == 'file,"left, ""eye""_x","left, ""eye""_y"'


@needs_node
@pytest.mark.parametrize("hidden", [0, 1])
def test_a_table_says_that_the_last_mark_was_taken_away(tmp_path, hidden):
    """It has the columns of the marks where the page began with one, for a table without them says nothing of marks."""
    data = annotation_page.page_data(sheet(others=[], hidden=np.array([[hidden, 0], [0, 0], [0, 0]])), pictures())
    done = javascript(HANDED_OUT, data=data, changes=[[0, 0, [10, 20]], [0, 1, [5, 6]]])
    read = read_back(tmp_path, "csv", done)
    assert read.hidden.tolist() == [[0, 0]] if hidden else read.hidden is None


MARKED = """
const points = [[1, 2], [1, 2, HIDDEN], HIDDEN, undefined];
console.log(JSON.stringify({
  marked: points.map(withMark), moved: points.map((point) => movedTo(point, [3, 4])), hidden: points.map(isHidden),
  kept: [[1, 2, HIDDEN], [1, HIDDEN], [1, 2, 3], [1, 2, HIDDEN, HIDDEN]].map((point) =>
    isState(withPoints(initialState(data), 1, {0: point}), data)),
}));
"""


@needs_node
def test_a_hidden_landmark_keeps_its_place_and_its_mark():
    done = javascript(MARKED, data=annotation_page.page_data(sheet(), pictures()))
    assert done["marked"] == [[1, 2, "hidden"], [1, 2], "hidden", "hidden"]
    assert done["moved"] == [[3, 4], [3, 4, "hidden"], [3, 4, "hidden"], [3, 4]]
    assert done["hidden"] == [False, True, True, False] and done["kept"] == [True, False, False, False]


@needs_node
def test_landmarks_that_are_nowhere_are_not_handed_out():
    data = annotation_page.page_data(sheet(others=[]), pictures())
    done = javascript(HANDED_OUT, data=data, changes=[])
    assert done["csv"].splitlines()[0] == 'file,"left, ""eye""_x","left, ""eye""_y"'
    assert len(done["csv"].splitlines()) == 2 and len(json.loads(done["json"])["annotations"]) == 1


SUGGESTED = """
const state = initialState(data);
const means = meanLabels(data, maps, state);
const { width, height } = greySize(data);
const pixels = (grey) => grey.flat().flatMap((value) => [value, value, value, 255]);
const seen = input.greys.map((grey) => grey && greyOf({ width, height, data: pixels(grey) }));
console.log(JSON.stringify(data.pictures.map((_, n) => suggestionsFor(data, maps, state, means, n, seen))));
"""


@needs_node
def test_suggestions_are_those_of_python_in_pixels_of_the_pictures():
    from dense_labels.annotation import suggesting
    from dense_labels.method import geometry

    given = sheet(annotated=np.array([[1, 0], [1, 0], [0, 0]]))
    settings = {"window": suggesting.WINDOW, "finer": suggesting.FINER}
    given = dataclasses.replace(given, settings=settings)
    data = annotation_page.page_data(given, pictures())
    found = javascript(SUGGESTED, data=data, greys=[None, None, None])
    assert [list(each) for each in found] == [[], [], ["0"]]  # neither what is placed, nor what is placed nowhere
    scale = np.array([120 / 40, 84 / 28])
    vectors = geometry.mean_labels(given.labels.values, given.points / scale - 2, given.annotated, given.labels.stride)
    points, probability = suggesting.suggest(given.labels[2:], vectors)
    np.testing.assert_allclose(found[2]["0"]["point"], (points[0, 0] + 2) * scale, atol=0.05)
    np.testing.assert_allclose(found[2]["0"]["probability"], probability[0, 0], rtol=5e-3)


@needs_node
def test_suggestions_lie_where_the_detail_of_the_pictures_agrees():
    from dense_labels.annotation import refining

    given = dataclasses.replace(sheet(annotated=np.array([[1, 1], [0, 1], [0, 0]])))
    given = dataclasses.replace(given, settings={**given.settings, **refining.SETTINGS})
    data = annotation_page.page_data(given, pictures())
    greys = [refining.grey(picture, (28 / 4, 40 / 4)) for picture in pictures()]
    labels_alone = javascript(SUGGESTED, data=data, greys=[None, None, greys[2].tolist()])
    found = javascript(SUGGESTED, data=data, greys=[grey.tolist() for grey in greys])
    scale = np.array([120, 84]) / greys[0].shape[::-1]
    starts = np.array([labels_alone[2][k]["point"] for k in "01"])
    probability = np.array([labels_alone[2][k]["probability"] for k in "01"])
    places = refining.refine(greys, given.points / scale, given.annotated > 0, 2, starts / scale, probability)
    np.testing.assert_allclose([found[2][k]["point"] for k in "01"], np.clip(places * scale, 0, [120, 84]), atol=0.05)
    assert np.linalg.norm(places * scale - starts, axis=-1).max() > 1 and list(found[1]) == ["0"]
    assert [found[2][k]["probability"] for k in "01"] == probability.tolist()


REMEMBERED = """
const { width, height } = greySize(data);
const pixels = (grey) => grey.flat().flatMap((value) => [value, value, value, 255]);
const seen = input.greys.map((grey) => greyOf({ width, height, data: pixels(grey) }));
let [state, found] = [initialState(data), null];
for (const [n, id, point, asked] of input.steps) {
  state = withPoints(state, n, {[id]: point});
  if (asked !== null) found = suggestionsFor(data, maps, state, meanLabels(data, maps, state), asked, seen);
}
console.log(JSON.stringify(found));
"""


@needs_node
def test_what_was_asked_before_does_not_change_what_is_suggested():
    """Most of it is remembered from one click to the next: each step asks for the suggestions of a picture."""
    from dense_labels.annotation import refining

    given = sheet()
    data = annotation_page.page_data(
        dataclasses.replace(given, settings={**given.settings, **refining.SETTINGS}), pictures()
    )
    greys = [refining.grey(picture, (28 / 4, 40 / 4)).tolist() for picture in pictures()]
    steps = [[0, 1, [20, 30], 2], [0, 1, [40, 50], 2], [1, 0, [9, 8], 2], [1, 1, [60, 70], 0], [1, 0, [15, 25], 2]]
    for last in range(2, len(steps) + 1):
        alone = [[*step[:3], None] for step in steps[: last - 1]] + [steps[last - 1]]
        found, anew = (javascript(REMEMBERED, data=data, greys=greys, steps=each) for each in (steps[:last], alone))
        assert found == anew and (found or steps[last - 1][3] == 0)


@needs_node
def test_what_a_detector_predicts_is_suggested_where_there_is_no_point_and_labels_suggest_the_rest():
    predicted = np.array(
        [[[70.0, 50.0, 0.9], [30.0, 20.25, 0.75]], [[41.5, 22, 0.5], [np.nan] * 3], [[np.nan] * 3] * 2]
    )
    data = annotation_page.page_data(sheet(predicted=predicted), pictures())
    first, second, third = javascript(SUGGESTED, data=data, greys=[None, None, None])
    assert first == {
        "1": {"point": [30, 20.25], "probability": 0.75}
    }  # the other one is placed, and on no other picture
    assert second == {"0": {"point": [41.5, 22], "probability": 0.5}} and list(third) == ["0"]
    plain = annotation_page.page_data(sheet(), pictures())
    assert third == javascript(SUGGESTED, data=plain, greys=[None, None, None])[2] and plain["id"] != data["id"]
    counted = "const state = initialState(data); console.log(JSON.stringify(handedOut(data, state).leftOut));"
    assert javascript(counted, data=data) == 3 and javascript(counted, data=plain) == 2


CHANGED = """
let state = withLandmark(initialState(data), usableName(initialState(data), "  tip   of the wing "), data);
const added = state.landmarks.at(-1);
state = withPoints(state, 1, {[added.id]: [1, 2], 0: HIDDEN});
const names = [" nose ", "", "tip of the wing", "tail"].map((name) => usableName(state, name));
const removed = withoutLandmark(state, added.id);
const done = withPoints(state, 1, {1: [3, 4]});
console.log(JSON.stringify({
  added, names, free: freeName(state), removed: removed.points[1], again: withLandmark(removed, "x", data).landmarks,
  renamed: withName(state, 1, "tail").landmarks[1], done: [0, 1, 2].map((n) => isDone(done, n)),
  kept: [state, {}, null, {...state, points: []}, {...state, points: [{0: ["a", 1]}, {}, {}]}]
    .map((each) => isState(each, data)),
}));
"""


@needs_node
def test_landmarks_come_go_and_are_renamed():
    done = javascript(CHANGED, data=annotation_page.page_data(sheet(), pictures()))
    assert done["added"] == {"id": 2, "name": "tip of the wing"} and done["free"] == "point4"
    assert done["names"] == [None, None, None, "tail"]  # no two alike, none without a name
    assert done["removed"] == {"0": "hidden"}
    assert done["again"] == [{"id": 0, "name": 'left, "eye"'}, {"id": 1, "name": "nose"}, {"id": 2, "name": "x"}]
    assert done["renamed"] == {"id": 1, "name": "tail"} and done["done"] == [False, True, False]
    assert done["kept"] == [True, False, False, False, False]


def test_as_many_pictures_as_names_are_needed():
    with pytest.raises(ValueError, match="zip"):
        annotation_page.page_data(sheet(), pictures()[:2])
