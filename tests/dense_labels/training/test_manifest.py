"""Tests of what tells whether a run goes on with the pictures that it began with."""

import json

import pytest

from dense_labels import files
from dense_labels.training import manifest


def check(workdir, pictures, folder="/pics", allow_changes=False, boxes=(), count=9):
    """As a training does."""
    both = ({f"{folder}/{name}": digest for name, digest in dict(each).items()} for each in (pictures, boxes))
    shown = manifest.Shown(*(manifest.relative(each, folder) for each in both), count)
    known = manifest.check(workdir, shown, allow_changes=allow_changes)
    manifest.save(workdir, shown)
    return known


BEGUN = {"a.png": "1", "in/b.png": "2", "c.png": "3"}


def test_the_same_pictures_go_on_wherever_they_lie(tmp_path, capsys):
    check(tmp_path, BEGUN)
    check(tmp_path, BEGUN)
    check(tmp_path, BEGUN, folder="/moved/pics")
    assert capsys.readouterr().out == ""
    written = json.loads((tmp_path / manifest.FILE).read_text())
    assert files.unsealed(written) == ({"version": 1, "sha256": BEGUN, "boxes": {}, "examples": 9, "order": None}, True)


def test_a_pattern_and_the_folder_of_its_files_give_the_same_names(tmp_path, capsys):
    """Also where an earlier version has named them from the pattern."""
    (tmp_path / "data").mkdir()
    found = {f"{tmp_path}/data/faces-{n}.tfrecord": str(n) for n in range(3)}
    names = {f"faces-{n}.tfrecord": str(n) for n in range(3)}
    assert manifest.relative(found, f"{tmp_path}/data/faces-*.tfrecord") == names
    assert manifest.relative(found, f"{tmp_path}/data") == names
    manifest.save(tmp_path, manifest.Shown({f"../{name}": digest for name, digest in names.items()}, examples=9))
    assert manifest.check(tmp_path, manifest.Shown(names, examples=9), allow_changes=False)
    with pytest.raises(
        ValueError, match=r"began with: 1 edited \(faces-1.tfrecord\), 1 new \(faces-3.tfrecord\); bring"
    ):
        more = {**names, "faces-1.tfrecord": "9", "faces-3.tfrecord": "3"}
        manifest.check(tmp_path, manifest.Shown(more), allow_changes=False)
    with pytest.raises(ValueError, match="1 edited"):
        manifest.check(tmp_path, manifest.Shown({**names, "faces-1.tfrecord": "9"}), allow_changes=False)


@pytest.mark.parametrize(
    "now, words",
    [
        ({**BEGUN, "a.png": "9"}, "1 edited (a.png)"),
        ({"a.png": "1", "c.png": "3"}, "1 gone (in/b.png)"),
        ({**BEGUN, "d.png": "4"}, "1 new (d.png)"),
        ({"a.png": "1", "in/z.png": "2", "c.png": "3"}, "1 renamed (in/b.png)"),
        ({"a.png": "3", "in/b.png": "2", "c.png": "1"}, "2 edited (a.png, c.png)"),
        ({"a.png": "1", "in/e\u0301.png": "2", "c.png": "3"}, "1 renamed (in/b.png)"),
        ({str(k): "5" for k in range(5)}, "3 gone (a.png, c.png, in/b.png), 5 new (0, 1, 2, ...)"),
    ],
)
def test_other_pictures_are_refused_unless_that_is_allowed(tmp_path, capsys, now, words):
    check(tmp_path, BEGUN)
    with pytest.raises(ValueError) as refused:
        check(tmp_path, now)
    assert f"not those that {tmp_path} began with: {words}; bring these back" in str(refused.value)
    assert json.loads((tmp_path / manifest.FILE).read_text())["sha256"] == BEGUN
    check(tmp_path, now, allow_changes=True)
    assert f"not those that the run began with: {words}\n" in capsys.readouterr().out
    check(tmp_path, now)  # it has gone on with these


def test_names_whose_accents_are_written_otherwise_are_told():
    apart, composed = ({f"{name}.png": "1"} for name in ("e\u0301", "\u00e9"))
    said = manifest.differences(manifest.Shown(apart), manifest.Shown(composed))
    assert said == "1 whose accents another file system wrote otherwise (e\u0301.png)"


def test_boxes_that_changed_are_other_pictures(tmp_path, capsys):
    boxes = {"a.png": "7", "c.png": "8"}
    assert not check(tmp_path, BEGUN, boxes=boxes)  # the run begins
    assert check(tmp_path, BEGUN, boxes=boxes)
    for other in ({**boxes, "a.png": "9"}, {"c.png": "8"}):
        with pytest.raises(ValueError, match=r"began with: 1 with other boxes \(a\.png\); bring these back"):
            check(tmp_path, BEGUN, boxes=other)
    with pytest.raises(ValueError, match=r"began with: 1 edited \(a\.png\); bring"):  # said once
        check(tmp_path, {**BEGUN, "a.png": "9"}, boxes={**boxes, "a.png": "9"})
    assert check(tmp_path, BEGUN, boxes={}, allow_changes=True)
    assert "with other boxes (a.png, c.png)" in capsys.readouterr().out


def test_other_pairs_of_the_same_frames_are_a_change(tmp_path):
    """Of a video, those of which the flow tells that they move."""
    check(tmp_path, BEGUN)
    with pytest.raises(ValueError, match="began with: 8 to draw from, and not 9; bring these back"):
        check(tmp_path, BEGUN, count=8)
    assert check(tmp_path, BEGUN, count=8, allow_changes=True)


def test_a_run_of_an_older_version_does_not_tell_boxes_and_count(tmp_path, capsys):
    text = json.dumps(files.sealed({"version": 1, "sha256": BEGUN}))
    (tmp_path / manifest.FILE).write_text(text)
    assert not check(tmp_path, BEGUN)  # what is drawn from is compared with the configuration
    assert capsys.readouterr().out == ""
    for allowed in (False, True):
        (tmp_path / manifest.FILE).write_text(text)
        assert check(tmp_path, BEGUN, boxes={"a.png": "7"}, allow_changes=allowed) == allowed
        assert "whether the boxes are those it began with cannot be told" in capsys.readouterr().out


def test_a_run_of_an_older_version_and_a_simulation_go_on(tmp_path):
    check(tmp_path, {})
    assert not (tmp_path / manifest.FILE).exists()
    check(tmp_path, BEGUN)
    assert (tmp_path / manifest.FILE).exists()
    manifest.save(tmp_path, manifest.Shown({}))  # what a training that never had a checkpoint left is of another run
    assert not (tmp_path / manifest.FILE).exists()


def test_the_same_pictures_in_another_order_are_not_drawn_in_the_same(tmp_path):
    """As of a COCO file that was exported again: pictures are drawn in the order of the file."""

    class Source:
        def __init__(self, names):
            self.names = names

        def files(self, split):
            return {f"/pics/{name}": BEGUN[name] for name in sorted(self.names)}

        def boxes(self, split):
            return {}

        def origins(self, split):
            return [(f"/pics/{name}", BEGUN[name]) for name in self.names]

        def count(self, split):
            return len(self.names)

    begun, other = (manifest.of_source(Source(names), "/pics") for names in (list(BEGUN), list(BEGUN)[::-1]))
    manifest.save(tmp_path, begun)
    assert manifest.check(tmp_path, begun, allow_changes=False)
    with pytest.raises(ValueError, match="began with: the same in another order, as of annotations that were written"):
        manifest.check(tmp_path, other, allow_changes=False)
    assert not manifest.differences(begun._replace(order=None), other)  # of an older version


def test_a_name_or_digest_in_which_a_bit_has_turned_is_no_other_picture(tmp_path, capsys):
    for old, new in (("a.png", "q.png"), (': "2"', ': "3"'), ("version", "vershon")):
        check(tmp_path, BEGUN)
        path = tmp_path / manifest.FILE
        path.write_text(path.read_text().replace(old, new))
        check(tmp_path, BEGUN)
        assert f"warning: {path} is damaged: whether the pictures are still the same" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "[]", '{"version": 1}', '{"sha256": 3}', "\x00" * 9])
def test_a_damaged_list_is_said_and_made_anew(tmp_path, capsys, content):
    (tmp_path / manifest.FILE).write_text(content)
    check(tmp_path, BEGUN)
    assert "cannot be told" in capsys.readouterr().out
    check(tmp_path, {**BEGUN}, allow_changes=False)
    assert capsys.readouterr().out == ""
