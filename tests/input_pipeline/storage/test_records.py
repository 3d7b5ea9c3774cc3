"""Tests of records by their place: TensorFlow's own reader of whole files is the oracle."""

import gzip
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from input_pipeline.storage import records, shard_journal
from tests import shards

CONTENTS = [[b"a", b"", b"bb" * 300], [b"second file"], [], [b"c" * 70_000, b"last"]]


@pytest.fixture
def paths(tmp_path):
    paths = [tmp_path / f"mine-{number:05d}-of-00004.tfrecord" for number in range(4)]
    for path, contents in zip(paths, CONTENTS):
        shards.write(path, contents)
    return list(map(str, paths))


def read(found, order):
    numbered = tf.data.Dataset.from_tensor_slices(np.array(order, np.int64))
    return list(numbered.map(found.read).as_numpy_iterator())


def test_each_record_is_read_where_it_lies_in_any_order(paths, tmp_path):
    found = records.index(paths)
    whole = list(tf.data.TFRecordDataset(paths).as_numpy_iterator())
    assert len(found) == len(whole) == 6
    order = [5, 0, 3, 2, 1, 4, 4]
    assert read(found, order) == [whole[index] for index in order]
    assert found.first() == b"a"
    assert found.starts.tolist() == [0, 3, 4, 4, 6] and found.places.dtype == np.int64
    assert found.places[:3].tolist() == shards.write(tmp_path / "again", CONTENTS[0])
    assert found.name(tf.constant(5, tf.int64)).numpy().decode() == f"record 1 of {paths[3]}"


def test_the_digest_of_a_file_changes_with_any_of_its_contents(paths, tmp_path):
    before = records.index(paths).digests
    shards.write(tmp_path / "same", CONTENTS[3])
    assert records.index([str(tmp_path / "same")]).digests == before[3:] and len(set(before)) == 4
    shards.write(tmp_path / "other", [b"c" * 70_000, b"lasT"])
    assert records.index([str(tmp_path / "other")]).digests != before[3:]


def test_a_record_that_was_changed_is_noticed_and_the_others_are_read(paths):
    found = records.index(paths)
    with open(paths[3], "r+b") as file:
        file.seek(found.places[4] + 500)
        file.write(b"x")
    assert read(found, [5]) == [b"last"]
    with pytest.raises(tf.errors.DataLossError):
        read(found, [4])
    with open(paths[0], "r+b") as file:
        file.seek(12)
        file.write(b"z")
    with pytest.raises(ValueError, match="the first record of .*mine-00000-of-00004.tfrecord is damaged"):
        found.first()


@pytest.mark.parametrize(
    "spoil, said",
    [
        (lambda content: content[:-3], "is cut off or damaged after 1 records; write or copy it again"),
        (lambda content: b"these are words, not records at all", "is no TFRecord file, or cut off"),
        (lambda content: content + b"12345", "is cut off or damaged after 2 records"),
        (gzip.compress, "is compressed as a whole; write it uncompressed"),
    ],
)
def test_a_file_that_is_no_chain_is_refused_by_name(paths, tmp_path, spoil, said):
    bad = tmp_path / "bad"
    bad.write_bytes(spoil(pathlib.Path(paths[3]).read_bytes()))
    with pytest.raises(ValueError, match=f"{bad} {said}"):
        records.index([*paths, str(bad)])


def test_a_length_that_begins_as_a_compressed_file_does_is_no_sign_of_one(tmp_path):
    """35,615 bytes are 1f 8b at the beginning of the file, as with gzip; so are others above 65,536."""
    for length in (0x8B1F, 0x18B1F):
        shards.write(tmp_path / "mine", [b"a" * length, b"bc"])
        assert (tmp_path / "mine").read_bytes().startswith(b"\x1f\x8b")
        found = records.index([str(tmp_path / "mine")])
        assert found.places.tolist() == [0, length + 16] and read(found, [1]) == [b"bc"]
    cut = tmp_path / "cut"
    cut.write_bytes((tmp_path / "mine").read_bytes()[:50])
    with pytest.raises(ValueError, match="cut is no TFRecord file, or cut off"):
        records.index([str(cut)])


def test_files_that_are_gone_or_empty_are_refused(paths, tmp_path):
    with pytest.raises(ValueError, match=r"gone: no such file or directory"):
        records.index([str(tmp_path / "gone")])
    with pytest.raises(ValueError, match=r"there is no record in 1 files"):
        records.index(paths[2:3])


def test_empty_files_beside_others_are_told(paths, capsys):
    """They may be meant to be, as where names were hashed; `write_shards` keeps which are, others do not."""
    assert len(records.index(paths)) == 6
    warned = f"warning: 1 of 4 shards hold no record; the first is {paths[2]}; if pictures ought to be in it, write or "
    assert capsys.readouterr().out == f"{warned}copy it again\n"
    sizes = {os.path.basename(paths[2]): [0, 0]}
    journal = pathlib.Path(paths[0].replace("-00000-of-00004.tfrecord", ".json"))
    journal.write_bytes(shard_journal.content("plan", {}, sizes))
    assert len(records.index(paths)) == 6 and not capsys.readouterr().out
    journal.write_text("[1]")  # of another program
    assert len(records.index(paths)) == 6 and warned in capsys.readouterr().out


def test_a_shard_of_another_size_than_its_journal_tells_is_refused(paths):
    """Also one that was cut off where a record ends, of which the chain is whole."""
    whole, path = records.index(paths), pathlib.Path(paths[0])
    sizes = {path.name: [path.stat().st_size, 3]}
    path.with_name("mine.json").write_bytes(shard_journal.content("plan", {}, sizes))
    assert len(records.index(paths)) == 6
    for left in (int(whole.places[1]), 0):
        path.write_bytes(path.read_bytes()[:left])
        said = f"is cut off or was changed: it has {left and 1} records, and had 3 in {sizes[path.name][0]} bytes when"
        with pytest.raises(ValueError, match=f"{path} {said} it was written; write or copy it again"):
            records.index(paths)


def test_shards_are_found_by_folder_and_by_pattern(paths, tmp_path):
    (tmp_path / "mine.json").write_text("{}")
    assert records.find(str(tmp_path)) == records.find(str(tmp_path / "*-of-*")) == paths
    tfds_named = tmp_path / "set-train.tfrecord-00000-of-00001"
    shards.write(tfds_named, [b"x"])
    assert records.find(str(tmp_path)) == [*paths, str(tfds_named)]
    (tmp_path / "below" / "more").mkdir(parents=True)
    shards.write(tmp_path / "below" / "more" / "deep.tfrecord", [b"x"])
    assert records.find(f"{tmp_path}/**/*.tfrecord") == [str(tmp_path / "below/more/deep.tfrecord"), *paths]


def test_what_is_no_set_of_shards_is_refused(paths, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty holds no files called \*\.tfrecord; give a folder of TFRecord shards"):
        records.find(str(tmp_path / "empty"))
    with pytest.raises(ValueError, match=r"no file matches .*nothing-\*; give"):
        records.find(str(tmp_path / "nothing-*"))
    for remote in ("gs://bucket/a-*", str(tmp_path / "gs:/bucket/a-*")):  # as it is given, and made absolute
        with pytest.raises(ValueError, match=r"^gs://bucket/a-\* is not a path of this machine; mount"):
            records.find(remote)
    (tmp_path / "a.array_record").write_bytes(b"")
    with pytest.raises(ValueError, match="ArrayRecord is read by Python alone, not inside tf.data"):
        records.find(str(tmp_path / "*.array_record"))
    with pytest.raises(ValueError, match="mine: only 3 of 4 shards are there; finish writing"):
        records.find(str(tmp_path / "mine-0000[0-2]*"))
    shards.write(tmp_path / "mine-00000-of-00001.tfrecord", [b"x"])
    with pytest.raises(ValueError, match=r"mine: shards of 1 and of 4 are there, which would repeat .*'\*-of-00001\*'"):
        records.find(str(tmp_path / "mine-*"))
    assert records.find(str(tmp_path / "*-of-00004*")) == paths


@pytest.mark.parametrize(
    "train, test",
    [
        (
            "faces-train.tfrecord-00000-of-00001",
            "faces-test.tfrecord-00000-of-00001",
        ),  # as tensorflow-datasets names them
        ("train-00000-of-00001.tfrecord", "validation-00000-of-00001.tfrecord"),
        ("contest.tfrecord", "TEST.tfrecord"),
    ],
)
def test_shards_for_testing_are_not_read_with_the_others(tmp_path, train, test):
    for name in (train, test):
        shards.write(tmp_path / name, CONTENTS[0])
    with pytest.raises(
        ValueError, match=f"holds {test} beside {train}: shards for testing would be trained on; choose"
    ):
        records.find(str(tmp_path))
    begin = train.partition(".")[0].partition("-0")[0]
    assert records.find(f"{tmp_path}/{begin}*") == [f"{tmp_path}/{train}"]
    (tmp_path / train).unlink()
    assert records.find(str(tmp_path)) == [f"{tmp_path}/{test}"]
