"""Bulk prediction: the same as `predict_main.py` writes, from pictures, lists and TFRecords, as often as it is run."""

import glob
import hashlib
import json
import shutil
import sys
import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import dense_labels
from dense_labels import command_line
from serving.bulk import __main__ as command
from tests import colours, commands

RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"  # DirectRunner looks for another on the network
FORMATS = ("csv", "scores", "deeplabcut", "coco", "tfrecord", "parquet")
KEYS = {"image_key": "image/encoded", "name_key": "image/filename"}


@pytest.fixture(scope="module")
def bulk():
    """The modules of bulk prediction."""
    pytest.importorskip("apache_beam", reason="Apache Beam is an extra: beam")
    from serving.bulk import pipeline, predicting, sources, storage, turns, writing

    parts = (pipeline, predicting, sources, storage, turns, writing)
    return types.SimpleNamespace(**{part.__name__.rpartition(".")[2]: part for part in parts})


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Folder of an exported model."""
    out = tmp_path_factory.mktemp("served")
    colours.publish(colours.network(), colours.head(), out, verified=False, only=("landmarks", "serving_default"))
    return str(out)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """40 pictures of all sizes and orientations, in two folders, and three files that are none."""
    folder, random = tmp_path_factory.mktemp("in") / "pictures", np.random.default_rng(0)
    (folder / "below").mkdir(parents=True)
    for index in range(40):
        exif = Image.Exif()
        exif[0x0112] = 1 + index % 8
        picture = Image.fromarray(random.integers(0, 256, [4, 5, 3], np.uint8))
        name = f"{'below/' if index % 3 else ''}{index:02}.{'jpg' if index % 2 else 'png'}"
        picture.resize(random.integers(30, 90, 2).tolist(), Image.Resampling.BICUBIC).save(folder / name, exif=exif)
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.jpg").write_bytes((folder / "below" / "01.jpg").read_bytes()[:300])
    (folder / "text.png").write_bytes(b"no picture")
    (folder / ".hidden.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def predicted(model, pictures, tmp_path_factory):
    """The folder that `predict_main.py` writes of them, and what it found."""
    out = tmp_path_factory.mktemp("predicted")
    formats = [name for name in FORMATS if name != "parquet"]
    return out, dense_labels.load(model).predict(pictures, out=out, formats=formats)


def run(bulk, model, given, output, **options):
    source, chosen = bulk.sources.find(str(given), "", **KEYS), bulk.pipeline.choose(RUNNER)
    return bulk.pipeline.run(model, source, chosen, output=str(output), **options)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def table(content):
    return sorted(content.decode().splitlines()[1:])


def test_it_writes_what_predict_main_writes(bulk, model, pictures, predicted, tmp_path, capsys):
    out, found = predicted
    outcome = run(bulk, model, pictures, tmp_path / "mine", formats=FORMATS)
    assert (outcome.pictures, outcome.failed) == (40, 3) == (len(found), len(found.failed))
    for file in ("points.csv", "scores.csv", "points_deeplabcut.csv", "points.json", "points.tfrecord"):
        stem, _, ending = file.partition(".")
        assert (tmp_path / f"mine-{stem}-00000-of-00001.{ending}").read_bytes() == (out / file).read_bytes(), file
    failed = (tmp_path / "mine-failed-00000-of-00001.csv").read_text().splitlines()
    assert failed == ["file,reason", *(f"{name},{reason}" for name, reason in found.failed)]
    said = capsys.readouterr().out
    assert "warning: 3 pictures cannot be read; they are in " in said and "predicted 40 pictures in " in said
    assert "decoding " in said and "network " in said  # the counters of the workers

    import pyarrow.parquet

    read = pyarrow.parquet.read_table(tmp_path / "mine-points-00000-of-00001.parquet").to_pydict()
    assert tuple(read["file"]) == found.names and read["height"] == found.sizes[:, 0].tolist()
    np.testing.assert_array_equal(np.float32([read["1_x"], read["1_y"]]).T, found.points[:, 1])
    np.testing.assert_array_equal(np.float32(read["2_score"]), found.score[:, 2])


def test_run_again_it_writes_the_same_files(bulk, model, pictures, predicted, tmp_path, capsys):
    """Also where a worker was killed: what it left is taken away, and what is there is written anew.

    What another run is writing stays, though its output begins alike.
    """
    options = {"shards": 5, "formats": ("csv", "tfrecord")}
    run(bulk, model, f"{pictures}/**", tmp_path / "out" / "mine", **options)
    first = contents(tmp_path / "out")
    assert len(first) == 3 * 5 + 1
    assert f"they are in {tmp_path}/out/mine-failed-*-of-00005.csv\n" in capsys.readouterr().out
    rows = [row for name, content in first.items() if "-points-" in name and ".csv" in name for row in table(content)]
    assert sorted(rows) == table((predicted[0] / "points.csv").read_bytes())
    (tmp_path / "out" / "mine-points-00001-of-00005.csv").unlink()
    (tmp_path / "out" / ".mine-points-00001-of-00005.csv.0123456789abcdef").write_bytes(b"half of it")
    (tmp_path / "out" / ".mine-points-00008-of-00009.tfrecord.0123456789abcdef").write_bytes(b"half of it")
    (tmp_path / "out" / ".mine-summary.json.0123456789abcdef").write_bytes(b"half of it")
    (tmp_path / "out" / "mine-summary.json").unlink()
    others = [f".{name}-points-00000-of-00001.csv.0123456789abcdef" for name in ("mine2", "mine-2", "mine-points")]
    for name in others:
        (tmp_path / "out" / name).write_bytes(b"half of it")
    run(bulk, model, f"{pictures}/**", tmp_path / "out" / "mine", **options)
    assert contents(tmp_path / "out") == {**first, **dict.fromkeys(others, b"half of it")}


def test_shards_without_a_picture_are_whole_files_too(bulk, model, pictures, tmp_path):
    run(bulk, model, pictures / "00.png", tmp_path / "mine", shards=3, formats=FORMATS)
    headers = {path.read_text().splitlines()[0] for path in tmp_path.glob("mine-points-*.csv")}
    assert headers == {"file,x0,y0,x1,y1,x2,y2"}
    assert len(list(tmp_path.glob("mine-*-of-00003.*"))) == 3 * (len(FORMATS) + 1)


def test_lists_of_several_folders_are_refused(bulk, tmp_path):
    """Their paths start from the folder of each, and one folder is kept."""
    for name in ("a", "b"):
        (tmp_path / "sets" / name).mkdir(parents=True)
        (tmp_path / "sets" / name / "names.txt").write_text("1.png\n")
    for given in (f"{tmp_path}/sets/*/names.txt", f"{tmp_path}/sets/**/*.txt", "gs://bucket/sets/*/names.txt"):
        with pytest.raises(
            ValueError, match="paths of a list start from its folder, which lists of several folders do"
        ):
            bulk.sources.find(given, "", **KEYS)
    found = bulk.sources.find(f"{tmp_path}/sets/a/*.txt", "", **KEYS)
    assert found.kind == "list" and found.folder == f"{tmp_path}/sets/a/"


def test_a_list_names_pictures_from_its_folder_or_with_whole_paths(bulk, model, pictures, predicted, tmp_path):
    lines = ["below/01.jpg", str(pictures / "00.png"), "", "./below/01.jpg", "gone.png", "below/../00.png", "below"]
    (pictures / "some.txt").write_text("\n".join(lines), encoding="utf-8-sig")
    try:
        outcome = run(bulk, model, pictures / "some.txt", tmp_path / "mine", formats=["csv"])
    finally:
        (pictures / "some.txt").unlink()
    assert (outcome.pictures, outcome.failed) == (2, 2)
    rows = table((tmp_path / "mine-points-00000-of-00001.csv").read_bytes())
    expected = table((predicted[0] / "points.csv").read_bytes())
    assert rows == [row for row in expected if row.startswith(("00.png,", "below/01.jpg,"))]
    failed = table((tmp_path / "mine-failed-00000-of-00001.csv").read_bytes())
    assert failed == ["below,is a directory", "gone.png,no such file or directory"]


@pytest.mark.parametrize(
    "folder, line, name, path",
    [
        ("/in/", "./a.png", "a.png", "/in/a.png"),
        ("/in/", "\ufeff below//a.png ", "below/a.png", "/in/below/a.png"),
        ("/in/", "/in/below/../a.png", "a.png", "/in/a.png"),
        ("/in/", "../in/~a.png", "~a.png", "/in/~a.png"),
        ("/in/", "../b/a.png", "/b/a.png", "/b/a.png"),
        ("/in/", "/b/./a.png", "/b/a.png", "/b/a.png"),
        ("gs://in/", "/b/./a.png", "/b/a.png", "/b/a.png"),
        ("gs://in/", "below//a.png", "below//a.png", "gs://in/below//a.png"),
        ("gs://in/", "gs://in/a.png", "a.png", "gs://in/a.png"),
        ("/in/", "gs://in/./a.png", "gs://in/./a.png", "gs://in/./a.png"),
    ],
)
def test_a_line_of_a_list_is_one_picture_however_it_is_spelt(bulk, folder, line, name, path):
    source = bulk.sources.Source("list", f"{folder}some.txt", folder)
    assert [*bulk.sources.of_line(line.encode(), source)] == [bulk.sources.Picture(name, path)]


def record(content=None, name=None):
    features = {"image/encoded": content, "image/filename": name.encode() if isinstance(name, str) else name}
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                for key, value in features.items()
                if value is not None
            }
        )
    ).SerializeToString()


def test_records_hold_pictures(bulk, model, pictures, predicted, tmp_path):
    """Nothing is lost: a second picture of a name, what holds none and what is no record of that kind have failed."""
    one, other = ((pictures / name).read_bytes() for name in ("00.png", "below/01.jpg"))
    records = [record(one, "00.png"), record(other), record(None, "none.png"), b"\xff", record(one, "00.png")]
    records.append(record(other, "00.png"))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "in [1]").mkdir()
    (tmp_path / "in [1]" / "linked").symlink_to(tmp_path / "elsewhere")
    for name, held in {"in [1]/in.tfrecord": records[:3], "elsewhere/in.tfrecord-00000-of-00001": records[3:]}.items():
        with tf.io.TFRecordWriter(str(tmp_path / name)) as writer:
            for each in held:
                writer.write(each)
    given = f"{glob.escape(str(tmp_path / 'in [1]'))}/**/in.tfrecord*"
    outcome = run(bulk, model, given, tmp_path / "mine", formats=["csv"])
    assert (outcome.pictures, outcome.failed) == (2, 3)
    points = {row.split(",")[0]: row for row in table((tmp_path / "mine-points-00000-of-00001.csv").read_bytes())}
    expected = {row.split(",")[0]: row for row in table((predicted[0] / "points.csv").read_bytes())}
    (nameless,) = points.keys() - {"00.png"}
    kept = expected["00.png"] if points["00.png"] == expected["00.png"] else expected["below/01.jpg"]
    assert points["00.png"].split(",")[1:] == kept.split(",")[1:]
    assert points[nameless].split(",")[1:] == expected["below/01.jpg"].split(",")[1:]
    failed = [row.partition(",")[2] for row in table((tmp_path / "mine-failed-00000-of-00001.csv").read_bytes())]
    assert sorted(failed) == ["another picture has this name", "has no image/encoded", "not a tf.train.Example"]


def test_records_of_empty_names_and_of_names_that_are_no_text_are_all_predicted(bulk, model, pictures, tmp_path):
    """Many programs write the feature of a name empty; names that differ in bytes that are no UTF-8 stay different."""
    files = [path.read_bytes() for path in sorted((pictures / "below").iterdir())[:5]]
    with tf.io.TFRecordWriter(str(tmp_path / "in.tfrecord")) as writer:
        for file, name in zip(files, (b"", b"", None, b"caf\xe9.png", b"caf\xe8.png")):
            writer.write(record(file, name))
    outcome = run(bulk, model, tmp_path / "in.tfrecord", tmp_path / "mine", formats=["csv"])
    assert (outcome.pictures, outcome.failed) == (5, 0)
    names = [row.split(",")[0] for row in table((tmp_path / "mine-points-00000-of-00001.csv").read_bytes())]
    digests = [hashlib.sha256(record(file, name)).hexdigest()[:16] for file, name in zip(files, (b"", b"", None))]
    assert sorted(names) == sorted([*digests, r"caf\xe8.png", r"caf\xe9.png"])


def test_damaged_records_are_told_in_one_line(bulk, model, pictures, tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "in.tfrecord")) as writer:
        writer.write(record((pictures / "00.png").read_bytes(), "00.png"))
    path = tmp_path / "in.tfrecord"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="in.tfrecord: a file is damaged, cut off, or holds no TFRecords"):
        run(bulk, model, path, tmp_path / "mine")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all names are text")
def test_a_name_that_is_no_text_fails_by_itself(bulk, model, pictures, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b\udcff.png"):
        shutil.copy(pictures / "00.png", tmp_path / "in" / name)
    (tmp_path / "in" / "list.txt").write_bytes(b"a.png\r\nb\xff.png\n")
    for given in ("in", "in/list.txt"):
        outcome = run(bulk, model, tmp_path / given, tmp_path / "mine", formats=["csv", "tfrecord"])
        assert (outcome.pictures, outcome.failed) == (1, 1)
        failed = table((tmp_path / "mine-failed-00000-of-00001.csv").read_bytes())
        assert failed == [r"b\udcff.png,its name is not UTF-8"]


def test_a_folder_is_itself_whatever_its_name_holds(bulk, model, pictures, tmp_path, capsys):
    """And what an earlier run left of another format is named."""
    for folder in ("in [x]{1}*.txt", "in x{1}*.txt"):
        (tmp_path / folder).mkdir()
        shutil.copy(pictures / "00.png", tmp_path / folder / f"{folder[:4]}[0].png")
    given = tmp_path / "in [x]{1}*.txt"
    assert run(bulk, model, given, tmp_path / "mine", formats=["csv", "scores"]).pictures == 1
    assert table((tmp_path / "mine-points-00000-of-00001.csv").read_bytes())[0].startswith("in [[0].png,")
    assert "earlier run" not in capsys.readouterr().out
    assert run(bulk, model, given / "in [[0].png", tmp_path / "mine", formats=["tfrecord", "scores"]).pictures == 1
    left = (
        f"note: an earlier run left {tmp_path}/mine-points-00000-of-00001.csv, of formats that this one has not written"
    )
    assert left in capsys.readouterr().out
    assert table((tmp_path / "mine-scores-00000-of-00001.csv").read_bytes())[0].startswith("in [[0].png,")
    with pytest.raises(ValueError, match=r"^--input=.*\.txt: is a folder, and --input_kind=list needs a file; leave"):
        bulk.sources.find(str(given), "list", **KEYS)


def test_where_none_can_be_read_it_fails(bulk, model, pictures, tmp_path):
    shutil.copy(pictures / "empty.png", tmp_path)
    with pytest.raises(ValueError, match="none of the 1 pictures can be read; see .*mine-failed-00000-of-00001.csv"):
        run(bulk, model, tmp_path, tmp_path / "mine")


def test_the_same_lines_are_one_whatever_their_order(bulk):
    a, other = {"name": "a", "digest": "1"}, {"name": "a", "digest": "2"}
    bad = {"name": "a", "digest": "", "failed": "empty"}
    twice = {"name": "a", "digest": "2", "failed": "another picture has this name"}
    lost, found = bulk.writing.announced("b"), bulk.writing.announced("a")
    for lines in ([a, other, found, bad, a, lost], [lost, bad, a, a, other, bad, found]):
        assert bulk.writing.distinct(lines) == [a, twice, bad, lost]


def test_a_network_may_see_one_at_once(bulk, model, pictures, predicted, tmp_path, monkeypatch):
    """As Beam's Dask runner needs it, which loses what is left of a batch; the last digit may be another."""
    load, loaded = bulk.predicting.predictor.load, []
    monkeypatch.setattr(bulk.predicting.predictor, "load", lambda folder: loaded.append(folder) or load(folder))
    run(bulk, model, pictures, tmp_path / "mine", formats=["csv"], batch_size=1)
    found = np.genfromtxt(tmp_path / "mine-points-00000-of-00001.csv", delimiter=",", skip_header=1)[:, 1:]
    expected = np.genfromtxt(predicted[0] / "points.csv", delimiter=",", skip_header=1)[:, 1:]
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert len(loaded) == 1  # for 43 batches


def test_what_a_runner_loses_is_told(bulk, model, pictures, tmp_path, monkeypatch):
    """A picture that was announced, and of which nothing came, is in no summary but among the failed."""
    decode = bulk.predicting.Decode.process

    def losing(self, picture):
        yield from () if picture.name == "00.png" else decode(self, picture)

    monkeypatch.setattr(bulk.predicting.Decode, "process", losing)
    with pytest.raises(
        ValueError, match="the runner lost pictures, which .*mine-failed-00000-of-00001.csv names; Beam"
    ):
        run(bulk, model, pictures, tmp_path / "mine")
    assert "00.png,lost by the runner" in (tmp_path / "mine-failed-00000-of-00001.csv").read_text()
    assert not (tmp_path / "mine-summary.json").exists() and not (tmp_path / "mine-running.json").exists()


def overtaken(bulk, monkeypatch, overtake, function, number):
    """Has a function of the storage, at its call of that number for a file of points, first do something else."""
    done, calls = getattr(bulk.storage, function), []

    def first(path, *rest):
        calls.extend([path] if "-points-" in path else [])
        if len(calls) == number:
            monkeypatch.setattr(bulk.storage, function, done)
            overtake()
        return done(path, *rest)

    monkeypatch.setattr(bulk.storage, function, first)


def whole(folder):
    """Whether a summary tells of just the files that are there."""
    digests = {name: hashlib.sha256(held).hexdigest() for name, held in contents(folder).items()}
    del digests["mine-summary.json"]
    return digests == json.loads((folder / "mine-summary.json").read_text())["sha256"]


def test_of_two_runs_to_one_output_the_one_that_began_last_writes_it(bulk, model, pictures, tmp_path, monkeypatch):
    """The other stops before its third shard, and goes on when the last one is done: it writes nothing more."""
    options, process, calls = {"shards": 5, "formats": ["csv"]}, bulk.writing.WriteShard.process, []

    def slow(self, element):
        calls.append(element[0])
        if len(calls) == 3:
            run(bulk, model, pictures / "below", tmp_path / "mine", **options)
        yield from process(self, element)

    monkeypatch.setattr(bulk.writing.WriteShard, "process", slow)
    with pytest.raises(ValueError, match="mine: another run has written to the same output, so this one") as raised:
        run(bulk, model, pictures, tmp_path / "mine", **options)
    assert command_line.is_expected(raised.value) and len(calls) == 10 and whole(tmp_path)
    assert json.loads((tmp_path / "mine-summary.json").read_text())["input"].endswith("/below/**")


def test_a_shard_that_an_earlier_run_writes_late_leaves_no_summary(bulk, model, pictures, tmp_path, monkeypatch):
    """Stopped where it has looked whose turn it is, it writes once more, which it notices itself."""
    options = {"shards": 2, "formats": ["csv"]}

    def other():
        run(bulk, model, pictures / "below", tmp_path / "mine", **options)
        assert whole(tmp_path)

    overtaken(bulk, monkeypatch, other, "write_whole", 2)
    with pytest.raises(ValueError, match="mine: another run has written to the same output"):
        run(bulk, model, pictures, tmp_path / "mine", **options)
    assert len(contents(tmp_path)) == 4 and not (tmp_path / "mine-summary.json").exists()
    run(bulk, model, pictures, tmp_path / "mine", **options)
    assert whole(tmp_path)


def test_a_file_that_is_not_the_one_that_was_written_leaves_no_summary(bulk, model, pictures, tmp_path, monkeypatch):
    for change in (lambda path: path.write_text("of another run"), lambda path: path.unlink()):
        spoil = lambda: change(tmp_path / "mine-points-00000-of-00002.csv")  # noqa: B023, E731
        overtaken(bulk, monkeypatch, spoil, "exists", 1)
        with pytest.raises(ValueError, match="mine: another run has written to the same output"):
            run(bulk, model, pictures, tmp_path / "mine", shards=2, formats=["csv"])
        assert not list(tmp_path.glob("mine-*.json"))


def test_a_run_that_was_killed_is_told_and_goes_on(bulk, model, pictures, tmp_path, capsys):
    bulk.turns.begin(f"{tmp_path}/mine-running.json", model)
    assert "note" not in capsys.readouterr().out
    run(bulk, model, pictures, tmp_path / "mine", formats=["csv"])
    said = f"note: {tmp_path}/mine-running.json: an earlier run was stopped, or still runs; it writes nothing more, and"
    assert said in capsys.readouterr().out and whole(tmp_path)


def test_the_command_passes_flags_on_to_beam(bulk, model, pictures, tmp_path):
    flags = [f"--model={model}", "--direct_num_wrokers=2", f"--input={pictures}", f"--output={tmp_path}/mine"]
    ran = commands.run("serving/bulk/__main__.py", *flags, PYTHONPATH=str(commands.ROOT))
    said = "error: --direct_num_wrokers: neither --help nor Apache Beam knows this option"
    assert ran.returncode == 1 and ran.stderr.splitlines()[-1] == said


MISTAKES = {
    "nothing is there": {"given": "nowhere/*.jpg"},
    "gone: nothing is there": {"given": "gone"},
    "no file there is called .jpg, ": {"given": __file__},
    "in/**.jpg: ** stands alone between slashes": {"given": "in/**.jpg"},
    "neither --help nor Apache Beam knows this option": {"options": ["--direct_num_wrokers=2"]},
    "unexpected argument 'more'; every option is written --name=value": {
        "options": ["--direct_num_workers", "2", "more"]
    },
    "--runner=NoRunner: ": {"runner": "NoRunner"},
    "--formats=sheet: is not for bulk prediction; choose of coco, csv, ": {"formats": ["sheet"]},
    "--formats=sleap: is not for bulk prediction; choose of coco, csv, ": {"formats": ["sleap"]},
    "there is no format": {"formats": ["xml"]},
    "give the beginning of file names": {"output": "out/*"},
    "00000-of-00002.csv is of another number of shards; remove it": {"output": "{here}/old"},
    "holds no exported model": {"model": "{here}"},
    "hdfs://in/served/1: Beam lists one folder of HDFS, and not those below": {"model": "hdfs://in/served/1"},
    "gcs://out/mine": {"output": "gcs://out/mine"},
    "--batch_size=65: the model takes at most 64 pictures at once": {"batch_size": 65},
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_are_told_before_the_work(bulk, model, pictures, tmp_path, words):
    (tmp_path / "old-failed-00000-of-00002.csv").write_text("")
    given = {"model": model, "given": str(pictures), "output": f"{tmp_path}/mine", "runner": RUNNER, "options": ()}
    changed = {
        key: value.replace("{here}", str(tmp_path)) if isinstance(value, str) else value
        for key, value in MISTAKES[words].items()
    }
    given |= changed
    with pytest.raises(ValueError) as raised:
        chosen = bulk.pipeline.choose(given.pop("runner"), given.pop("options"))
        source = bulk.sources.find(given.pop("given"), "", **KEYS)
        bulk.pipeline.run(given.pop("model"), source, chosen, **given)
    assert words in str(raised.value) and command_line.is_expected(raised.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old-failed-00000-of-00002.csv"]


def test_names_start_from_what_is_fixed_of_a_pattern(bulk):
    storage = bulk.storage
    assert storage.fixed_folder("/in/2024-*/a?/*.jpg") == "/in/"
    assert storage.fixed_folder("gs://bucket/in/a.jpg") == "gs://bucket/in/"
    assert storage.expanded("gs://bucket/in/") == "gs://bucket/in/"
    assert storage.expanded("/in/../out/") == "/out/"
    assert storage.patterns("gs://in/**/*/**/a.jpg") == [
        "gs://in/**/*/**/a.jpg",
        "gs://in/**/*/a.jpg",
        "gs://in/*/**/a.jpg",
        "gs://in/*/a.jpg",
    ]


def test_without_beam_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(ValueError, match=r'Apache Beam, which is not installed: pip install "dense-labels\[beam\]"'):
        command.main([])


def test_the_summary_says_what_was_asked_and_what_each_file_holds(bulk, model, pictures, tmp_path):
    outcome = run(bulk, model, pictures / "below" / "*.jpg", f"{tmp_path}/", formats=["csv"])
    assert outcome.summary == str(tmp_path / "summary.json")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["pictures"], summary["failed"]) == (outcome.pictures, 0) and summary["input"].endswith("/*.jpg")
    assert sorted(summary["sha256"]) == ["failed-00000-of-00001.csv", "points-00000-of-00001.csv"]
    for name, digest in summary["sha256"].items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest
