"""Shards by a pipeline: every picture once, the same files however often, and what training and resuming know."""

import json
import os
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from dense_labels.config import Config
from dense_labels.prediction import inputs
from input_pipeline import pipeline as input_of_training
from input_pipeline.storage import shard_journal, shard_writing
from tests import commands
from tests import shards as drawn

RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"  # DirectRunner looks for another on the network
NAMES = [f"{'below/' if n % 3 else ''}{n:02}.{'webp' if n == 4 else 'png'}" for n in range(12)]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Twelve pictures in two folders, one of them no JPEG or PNG, and one that is cut off."""
    folder = tmp_path_factory.mktemp("in") / "pictures"
    (folder / "below").mkdir(parents=True)
    for n, name in enumerate(NAMES):
        (folder / name).write_bytes(drawn.picture(n, format="WEBP" if n == 4 else "PNG")[0])
    (folder / "cut.png").write_bytes(drawn.picture(20)[0][:200])
    return folder


def write(given, output, shards=3):
    pytest.importorskip("apache_beam", reason="Apache Beam is an extra: beam")
    from serving.bulk import pipeline, sources
    from serving.bulk import shards as of_bulk

    source = sources.find(str(given), "", image_key="", name_key="")
    return of_bulk.write(source, pipeline.choose(RUNNER), output=str(output), shards=shards)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def records(folder):
    """(name, encoded picture) of each record, file by file."""
    spec = {f"image/{name}": tf.io.FixedLenFeature([], tf.string) for name in ("filename", "encoded")}
    paths = sorted(str(path) for path in folder.glob("*.tfrecord"))
    read = [tf.io.parse_single_example(each, spec) for each in tf.data.TFRecordDataset(paths)]
    return [(each["image/filename"].numpy().decode(), each["image/encoded"].numpy()) for each in read]


def test_the_records_are_those_of_write_shards_and_written_again_the_same(pictures, tmp_path, capsys):
    out = tmp_path / "out"
    written = write(pictures, out / "mine")
    assert (written.pictures, written.shards, written.bad) == (12, 3, {"cut.png": "truncated"})
    assert (
        f"warning: 1 pictures cannot be read, and are left out; {out}/mine.json names them" in capsys.readouterr().out
    )
    paths = sorted(str(path) for path in pictures.rglob("*.*"))
    shard_writing.write(paths, str(pictures), tmp_path / "one" / "mine", 1)
    assert sorted(records(out)) == sorted(records(tmp_path / "one")) and len(records(out)) == 12
    first = contents(out)
    assert sorted(first) == [*(f"mine-{n:05d}-of-00003.tfrecord" for n in range(3)), "mine.json"]
    plan = json.loads(first["mine.json"])["plan"]
    (out / "mine.json").write_bytes(shard_journal.content(plan, {}, {}))  # as where a run was killed
    (out / "mine-00001-of-00003.tfrecord").write_bytes(b"of other pictures")
    (out / ".mine-00002-of-00003.tfrecord.0123456789abcdef").write_bytes(b"half of it")
    (out / ".mine-2-00002-of-00003.tfrecord.0123456789abcdef").write_bytes(b"of another run")
    write(pictures, out / "mine")
    assert contents(out) == {**first, ".mine-2-00002-of-00003.tfrecord.0123456789abcdef": b"of another run"}


def test_a_store_that_renames_to_no_name_that_is_taken_is_written_again(pictures, tmp_path):
    """As HDFS is, where a bundle that is tried again, or a second run, finds the files of the first."""
    pytest.importorskip("apache_beam", reason="Apache Beam is an extra: beam")
    from serving.bulk import storage
    from tests import stores

    write(pictures, "store://out/mine")
    first = {path: content for path, content in stores.CONTENTS.items() if path.startswith("store://out/")}
    assert len(first) == 4
    (tmp_path / "shard").write_bytes(b"new")
    storage.copy_whole(tmp_path / "shard", "store://out/mine-00001-of-00003.tfrecord")
    assert stores.CONTENTS["store://out/mine-00001-of-00003.tfrecord"] == b"new"
    write(pictures, "store://out/mine")
    assert {path: content for path, content in stores.CONTENTS.items() if path.startswith("store://out/")} == first


def test_a_rename_that_fails_removes_nothing(tmp_path, monkeypatch):
    """Neither a folder of that name on a disk, nor at a URL a file of which no new one is there."""
    pytest.importorskip("apache_beam", reason="Apache Beam is an extra: beam")
    from serving.bulk import storage
    from tests import stores

    (tmp_path / "mine.csv" / "below").mkdir(parents=True)
    with pytest.raises(OSError, match="Rename operation failed"):
        storage.write_whole(f"{tmp_path}/mine.csv", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"] and (tmp_path / "mine.csv" / "below").is_dir()

    def fails_late(self, sources, destinations, rename=stores.Store.rename):
        rename(self, sources, destinations)
        raise OSError("timed out")

    monkeypatch.setattr(stores.Store, "rename", fails_late)
    with pytest.raises(OSError, match="timed out"):
        storage.write_whole("store://late/mine.csv", b"new")
    assert stores.CONTENTS["store://late/mine.csv"] == b"new"


def test_a_training_reads_them_and_a_list_names_what_is_not_there(pictures, tmp_path, capsys):
    listed = tmp_path / "some.txt"
    first = str(pictures / NAMES[0])
    listed.write_text("\n".join([first, os.path.relpath(first, tmp_path), "gone.png", str(pictures)]), "utf-8-sig")
    written = write(listed, tmp_path / "out" / "mine", shards=2)  # of which one is empty
    assert written.bad == {"gone.png": "no such file or directory", str(pictures): "is a directory"}
    config = Config()
    config.data.name, config.data.dir, config.data.size = "shards", str(tmp_path / "out"), (36, 30)
    source = input_of_training.prepare(config)
    assert source.count("train") == 1
    images, _ = input_of_training.example_images(source, "train", count=1)
    np.testing.assert_allclose(255 * images.image[0], drawn.picture(0)[1], atol=0.01)
    assert "hold no record" not in capsys.readouterr().out  # for its journal says that one is to be empty
    (full,) = (path for path in (tmp_path / "out").glob("*.tfrecord") if path.stat().st_size)
    full.write_bytes(b"")
    with pytest.raises(ValueError, match=f"{full} is cut off or was changed: it has 0 records, and had 1 in"):
        input_of_training.prepare(config)


def test_a_pattern_finds_what_predict_main_finds(pictures, tmp_path):
    """At the top, below, and in a folder that is a link; from a disk and from a URL, where there are no links."""
    pytest.importorskip("apache_beam", reason="Apache Beam is an extra: beam")
    from tests import stores

    top = tmp_path / "in"
    (top / "below" / "more").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (top / "linked").symlink_to(tmp_path / "elsewhere")
    names = ["a.png", "below/b.png", "below/more/c.png", "below/.d.png"]
    for name in (*names, "../elsewhere/e.png"):
        shutil.copy(pictures / NAMES[0], top / name)
    found = inputs.find(f"{top}/**/*.png").names
    assert found == (*names[:3], "linked/e.png")
    write(f"{top}/**/*.png", tmp_path / "out" / "mine", shards=1)
    assert tuple(name for name, _ in records(tmp_path / "out")) == found
    write(top, tmp_path / "whole" / "mine", shards=1)
    assert records(tmp_path / "whole") == records(tmp_path / "out")

    stores.CONTENTS.update({f"store://in/{name}": (top / name).read_bytes() for name in names})
    write("store://in/**/*.png", tmp_path / "there" / "mine", shards=1)
    assert [name for name, _ in records(tmp_path / "there")] == names[:3]


def test_a_folder_that_cannot_be_read_ends_it_before_the_work(pictures, tmp_path, monkeypatch):
    pytest.importorskip("apache_beam", reason="Apache Beam is an extra: beam")

    def scan(path, scandir=os.scandir):
        if os.fspath(path).endswith("below"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
    for given in (pictures, pictures / "**", pictures / "**" / "*.png"):
        with pytest.raises(PermissionError, match="below"):
            write(given, tmp_path / "out" / "mine")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("given", ["hdfs://in/sub", "hdfs://in/sub/", "hdfs://in/sub/**", "hdfs://in/sub/*/a.jpg"])
def test_what_is_below_a_folder_of_hdfs_is_refused(given):
    """Beam lists one folder there, so that the others would be lost."""
    said = re.escape(
        f"--input={given}: Beam lists one folder of HDFS, and not those below; give a pattern of the files "
    )
    with pytest.raises(ValueError, match=said + r"in one, such as 'hdfs://in/sub/\*\.jpg', or a list \.txt"):
        write(given, "out")


def test_what_is_in_the_way_is_refused(pictures, tmp_path):
    pytest.importorskip("apache_beam", reason="Apache Beam is an extra: beam")
    (tmp_path / "mine.json").write_text('{"images": []}')
    with pytest.raises(ValueError, match=r"mine\.json is in the way, and was not written here"):
        write(pictures, tmp_path / "mine")
    (tmp_path / "mine.json").write_bytes(shard_journal.content("others", {}, {}))
    with pytest.raises(ValueError, match=r"mine\.json tells of other pictures or shards; remove all of them, or"):
        write(pictures, tmp_path / "mine")
    drawn.write(tmp_path / "two-00000-of-00002.tfrecord", [b"x"])
    content = (tmp_path / "two-00000-of-00002.tfrecord").read_bytes()
    for shards in (2, 3):  # without a journal, it is somebody else's
        with pytest.raises(ValueError, match=r"two-00000-of-00002.tfrecord was not written by this command"):
            write(pictures, tmp_path / "two", shards)
    assert (tmp_path / "two-00000-of-00002.tfrecord").read_bytes() == content
    assert not (tmp_path / "two.json").exists()
    with pytest.raises(ValueError, match=r"these are shards; give a folder or pattern of pictures, or a list"):
        write(tmp_path / "two-00000-of-00002.tfrecord", tmp_path / "three")
    with pytest.raises(ValueError, match=r"--output=.*\*: give the beginning of file names, without"):
        write(pictures, tmp_path / "mine-*")
    with pytest.raises(ValueError, match=r"none of 1 pictures can be read; see .*bad\.json"):
        write(pictures / "cut.png", tmp_path / "bad", shards=1)
    assert json.loads((tmp_path / "bad.json").read_text())["bad"] == {"0": {"cut.png": "truncated"}}


def test_shards_that_a_runner_loses_are_told(pictures, tmp_path, monkeypatch):
    pytest.importorskip("apache_beam", reason="Apache Beam is an extra: beam")
    from serving.bulk import pipeline

    monkeypatch.setattr(pipeline, "finished", lambda made, source: None)
    with pytest.raises(ValueError, match="the runner lost shards of .*mine; run the same command again, or"):
        write(pictures, tmp_path / "mine")


def test_the_command_says_what_is_missing(tmp_path):
    try:
        import apache_beam  # noqa: F401
    except ImportError:
        said = "error: writing shards in bulk needs Apache Beam, which is not installed: pip install "
    else:
        said = "error: --input=/nowhere: nothing is there; give a folder"
    ran = commands.run("serving/bulk/write_shards.py", "--input=/nowhere", f"--output={tmp_path}/x", "--num_shards=2")
    assert ran.returncode == 1 and ran.stderr.startswith(said), ran.stderr
