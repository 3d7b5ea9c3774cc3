"""Tests of the writing of shards: nothing is lost or half there, and what is written is what was seen."""

import contextlib
import dataclasses
import json
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from dense_labels import files
from input_pipeline import write_shards
from input_pipeline.storage import decoding, shard_writing
from input_pipeline.storage import records as reading
from tests import commands, shards


@pytest.fixture
def pictures(tmp_path):
    """A folder of pictures of several formats, of which one is damaged."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    for n, kind in enumerate(("PNG", "JPEG", "WEBP", "PNG", "BMP", "PNG", "PNG")):
        (folder / f"{n}.png").write_bytes(shards.picture(n, format=kind)[0])
    (folder / "more" / "cut.png").write_bytes(shards.picture(9)[0][:300])
    return folder


def write(folder, out, shards=3, **kwargs):
    paths = sorted(str(path) for path in folder.rglob("*.png"))
    return shard_writing.write(paths, str(folder), out, shards, **kwargs)


def records(out):
    """Name -> encoded picture, of all shards together; no name is there twice."""
    paths = sorted(str(path) for path in out.parent.glob(f"{out.name}-0*.tfrecord"))
    spec = {f"image/{name}": tf.io.FixedLenFeature([], tf.string) for name in ("filename", "encoded")}
    read = [tf.io.parse_single_example(each, spec) for each in tf.data.TFRecordDataset(paths)]
    found = {each["image/filename"].numpy().decode(): each["image/encoded"].numpy() for each in read}
    assert len(found) == len(read)
    return found


def state(out):
    return {path.name: path.stat().st_mtime_ns for path in out.parent.iterdir() if path.suffix == ".tfrecord"}


def test_every_picture_is_in_one_shard_and_shows_the_same_pixels(pictures, tmp_path):
    out = tmp_path / "data" / "mine"
    written = write(pictures, out)
    assert (written.pictures, written.shards) == (7, 3) and list(written.bad) == ["more/cut.png"]
    found = records(out)
    assert sorted(found) == [f"{n}.png" for n in range(7)]
    for name, file in found.items():
        pixels = tf.io.decode_image(file, channels=3).numpy()
        tolerance = 6 if name == "1.png" else 0  # a JPEG, which is decoded in a less exact way here
        assert np.abs(pixels.astype(int) - decoding.read_picture(pictures / name)).max() <= tolerance
    kept = [name for name in found if found[name] == (pictures / name).read_bytes()]
    assert sorted(kept) == ["0.png", "1.png", "3.png", "5.png", "6.png"]  # byte by byte; the others are PNG now
    assert sorted(state(out)) == [f"mine-{n:05d}-of-00003.tfrecord" for n in range(3)]


def test_a_writing_that_was_killed_goes_on_with_the_shard_it_was_at(pictures, tmp_path, monkeypatch):
    out = tmp_path / "mine"
    write(pictures, tmp_path / "whole")
    write_shard, calls = shard_writing._write_shard, []

    def killed(path, paths, folder):
        calls.append(path)
        if len(calls) == 2:
            files.temporary_name(path).mkdir()  # what a killed process leaves
            raise KeyboardInterrupt
        return write_shard(path, paths, folder)

    monkeypatch.setattr(shard_writing, "_write_shard", killed)
    with pytest.raises(KeyboardInterrupt):
        write(pictures, out)
    assert list(before := state(out)) and sum(name.startswith("mine-") for name in before) == 1
    monkeypatch.undo()
    written = write(pictures, out)
    assert (written.pictures, written.shards, list(written.bad)) == (7, 2, ["more/cut.png"])
    assert state(out)["mine-00000-of-00003.tfrecord"] == before["mine-00000-of-00003.tfrecord"]
    assert records(out) == records(tmp_path / "whole")
    assert not [path for path in tmp_path.iterdir() if files.is_temporary(path)]
    assert write(pictures, out).shards == 0
    (tmp_path / "mine-00001-of-00003.tfrecord").unlink()
    assert write(pictures, out).shards == 1 and records(out) == records(tmp_path / "whole")


def test_a_shard_that_was_cut_off_since_is_written_again(pictures, tmp_path):
    """Also where nothing is left of it, and where an earlier version kept no sizes."""
    out = tmp_path / "mine"
    write(pictures, out)
    whole, shard = records(out), tmp_path / "mine-00001-of-00003.tfrecord"
    for left in (0, 100):
        shard.write_bytes(shard.read_bytes()[:left])
        with pytest.raises(ValueError, match="mine-00001-of-00003.tfrecord is (cut off|no TFRecord file, or cut off)"):
            reading.index(reading.find(f"{out}-*"))
        assert write(pictures, out).shards == 1 and records(out) == whole
        assert len(reading.index(reading.find(f"{out}-*"))) == 7
    journal = tmp_path / "mine.json"
    values, _ = files.unsealed(json.loads(journal.read_text()))
    del values["sizes"]
    journal.write_text(json.dumps(files.sealed(values)))
    assert write(pictures, out).shards == 3 and write(pictures, out).shards == 0 and records(out) == whole


def test_another_link_to_a_picture_changes_nothing(pictures, tmp_path):
    write(pictures, tmp_path / "mine")
    os.link(pictures / "0.png", tmp_path / "kept.png")
    assert write(pictures, tmp_path / "mine").shards == 0


def test_a_shard_without_a_picture_that_can_be_read_is_whole(pictures, tmp_path, capsys):
    (pictures / "6.png").write_bytes(b"no picture")
    written = write(pictures, tmp_path / "mine", shards=8)
    assert written.pictures == 6 and write(pictures, tmp_path / "mine", shards=8).shards == 0
    assert len(reading.index(reading.find(f"{tmp_path / 'mine'}-*"))) == 6 and "warning" not in capsys.readouterr().out


def test_a_shard_without_a_picture_that_the_system_failed_to_read_is_not_whole(pictures, tmp_path, monkeypatch, capsys):
    """Also where it was whole, and is written again for another reason."""
    out, read, failing = tmp_path / "mine", decoding.read_picture, False

    def fail(path, **kwargs):
        if failing and path.endswith("3.png"):
            raise decoding.PictureError(path, "input/output error", may_pass=True)
        return read(path, **kwargs)

    monkeypatch.setattr(decoding, "read_picture", fail)
    monkeypatch.setattr(decoding.time, "sleep", lambda seconds: None)
    whole = write(pictures, out)
    assert (whole.pictures, whole.may_pass) == (7, 0)
    failing, shard = True, tmp_path / "mine-00001-of-00003.tfrecord"
    shard.write_bytes(shard.read_bytes()[:100])
    for _ in range(2):
        written = write(pictures, out)
        assert (written.pictures, written.shards, written.may_pass) == (6, 1, 1)
        assert written.bad["3.png"] == "input/output error"
        assert len(reading.index(reading.find(f"{out}-*"))) == 6  # what is there can be read
    failing = False
    assert write(pictures, out) == dataclasses.replace(whole, shards=1) and len(records(out)) == 7
    assert write(pictures, out) == dataclasses.replace(whole, shards=0)

    failing = True
    with pytest.raises(ValueError, match="^1 of the pictures that are left out may be as good as any, for the system"):
        write_shards.main(str(pictures), str(tmp_path / "other"), 3, False)
    assert "6 pictures in 3 shards, 3 of them written now" in capsys.readouterr().out


def test_nothing_gets_its_name_before_the_disk_has_it(pictures, tmp_path, monkeypatch):
    synced, sync, replace = set(), os.fsync, os.replace

    def noted(file):
        sync(file)
        synced.add(os.fstat(file).st_ino)

    def checked(source, target):
        assert os.stat(source).st_ino in synced, target
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(os, "replace", checked)
    assert write(pictures, tmp_path / "mine").shards == 3


def test_other_pictures_are_not_mixed_with_those_that_are_there(pictures, tmp_path):
    out = tmp_path / "mine"
    write(pictures, out)
    write(pictures, tmp_path / "mine-other")  # whose shards are not ours
    with pytest.raises(ValueError, match="mine: other pictures, or another number of shards, were written there"):
        write(pictures, out, shards=2)
    (pictures / "0.png").write_bytes(shards.picture(50)[0])
    with pytest.raises(ValueError, match="or replace them with --start_over"):
        write(pictures, out)
    assert write(pictures, out, shards=2, start_over=True).shards == 2
    assert sorted(path.name for path in tmp_path.glob("mine-0*")) == [f"mine-{n:05d}-of-00002.tfrecord" for n in (0, 1)]
    assert records(out)["0.png"] == (pictures / "0.png").read_bytes() and len(records(tmp_path / "mine-other")) == 7
    journal = tmp_path / "mine.json"
    journal.write_text(journal.read_text().replace(json.loads(journal.read_text())["plan"][:5], "00000"))
    with pytest.raises(ValueError, match="other pictures"):
        write(pictures, out, shards=2)


@pytest.mark.parametrize("step", ["make_whole", "write_whole"])
def test_it_may_be_killed_between_any_two_files(pictures, tmp_path, monkeypatch, step):
    """Also before anything is there, and when a shard is whole but nothing says so yet."""
    out, done = tmp_path / "mine", getattr(files, step)
    for survived in range(4):

        def killed(path, made, left=[survived]):  # noqa: B006, for it counts down
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            done(path, made)

        with monkeypatch.context() as patch:
            patch.setattr(files, step, killed)
            with contextlib.suppress(KeyboardInterrupt):
                write(pictures, out)
    assert write(pictures, out).pictures == 7 and len(records(out)) == 7


@pytest.mark.parametrize("start_over", [False, True])
def test_shards_of_somebody_else_are_neither_mixed_with_ours_nor_removed(pictures, tmp_path, start_over):
    theirs = tmp_path / "mine-00000-of-00016.tfrecord"
    theirs.write_bytes(b"theirs")
    said = f"mine: there are shards of that name, and no mine.json says that this command wrote {theirs.name}; choose"
    with pytest.raises(ValueError, match=said):
        write(pictures, tmp_path / "mine", start_over=start_over)
    assert theirs.read_bytes() == b"theirs" and not (tmp_path / "mine.json").exists()
    theirs.rename(tmp_path / "theirs")
    write(pictures, tmp_path / "mine")
    (tmp_path / "theirs").rename(theirs)
    with pytest.raises(ValueError, match=f"no mine.json says that this command wrote {theirs.name}; choose another"):
        write(pictures, tmp_path / "mine", start_over=start_over)
    assert theirs.read_bytes() == b"theirs" and len(list(tmp_path.glob("mine-*"))) == 4


def test_a_file_of_somebody_else_is_not_taken_for_a_journal(pictures, tmp_path):
    for content in ('{"images": []}', "[1]", "words"):
        (tmp_path / "mine.json").write_text(content)
        for start_over in (False, True):
            with pytest.raises(
                ValueError, match=r"mine\.json is in the way, and was not written here; write to another"
            ):
                write(pictures, tmp_path / "mine", start_over=start_over)
        assert (tmp_path / "mine.json").read_text() == content and not state(tmp_path / "mine")


def test_a_link_to_nothing_fails_by_itself(pictures, tmp_path):
    (pictures / "more" / "link.png").symlink_to(tmp_path / "nowhere")
    written = write(pictures, tmp_path / "mine")
    assert written.pictures == 7 and written.bad["more/link.png"] == "no such file or directory"


def test_what_cannot_be_written_is_refused(pictures, tmp_path):
    with pytest.raises(ValueError, match=r"--shards=9: must be from 1 to 8, for there are 8 pictures"):
        write(pictures, tmp_path / "mine", shards=9)
    with pytest.raises(ValueError, match=r"none of 1 pictures can be read; the first is cut\.png: truncated"):
        write(pictures / "more", tmp_path / "bad", shards=1)
    assert not list(tmp_path.glob("bad*"))


@pytest.mark.parametrize("ending", ["new/", "there", "there/"])
def test_a_folder_is_no_beginning_of_names(pictures, tmp_path, ending):
    (tmp_path / "there").mkdir()
    out = f"{tmp_path}/{ending}"
    said = rf"^--out={out}: is a folder; give the path that the names .* begin with, such as {out.rstrip('/')}/mine$"
    with pytest.raises(ValueError, match=said):
        write(pictures, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pictures", "there"]
    assert not list((tmp_path / "there").iterdir())


def test_what_was_begun_beside_a_folder_of_its_name_goes_on(pictures, tmp_path):
    begun = write(pictures, tmp_path / "there", shards=2)
    (tmp_path / "there").mkdir()
    again = write(pictures, tmp_path / "there", shards=2)
    assert (again.pictures, again.shards, begun.shards) == (begun.pictures, 0, 2)


def test_the_command_lists_at_the_end_what_cannot_be_read(pictures, tmp_path):
    command = ("input_pipeline/write_shards.py", f"--pictures={pictures}", f"--out={tmp_path / 'out' / 'mine'}")
    ran = commands.run(*command, "--shards=2")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "warning: 1 of 8 pictures cannot be read, and are left out:",
        "  more/cut.png: truncated",
        f"7 pictures in 2 shards, 2 of them written now: {tmp_path / 'out' / 'mine'}-*.tfrecord",
    ]
    assert len(list(pathlib.Path(tmp_path / "out").glob("*.tfrecord"))) == 2
    refused = commands.run("input_pipeline/write_shards.py", "--pictures=/nowhere", "--out=x", "--shards=2")
    assert refused.returncode == 1 and refused.stderr == "error: /nowhere does not exist; give a folder of pictures\n"
