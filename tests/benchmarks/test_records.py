"""Tests of what is taken for a finished row: a folder in which one has ended, and records, the project's too."""

import json
import pathlib
import subprocess
import sys
import types

import pytest

from benchmarks import faces, finetuning, records, rows, seeds
from tests.commands import ROOT, environment

RESULTS = ROOT / "benchmarks" / "results"


@pytest.fixture
def made(monkeypatch, tmp_path):
    """The commands that rows run, which only write what the real ones do."""
    commands = []

    def command(main, *flags):
        commands.append(main)
        folder = pathlib.Path(next(each.removeprefix("--workdir=") for each in flags if each.startswith("--workdir=")))
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        if main == "eval_main.py":
            kind = "eval_untrained" if "--untrained" in flags else "eval"
            (folder / kind).mkdir(exist_ok=True)
            (folder / kind / "result.json").write_text(json.dumps({"metrics": {"evaluated": len(commands)}}))

    monkeypatch.setattr(rows, "_command", command)
    keep(monkeypatch, None)
    return commands


def keep(monkeypatch, folder):
    monkeypatch.setattr(rows, "_RESULTS", types.SimpleNamespace(value=folder and str(folder)))


def test_a_row_that_was_killed_and_looked_at_goes_on(made, tmp_path, monkeypatch):
    """Its result.json is of a network that was trained for some of its epochs."""
    workdir, finished = str(tmp_path / "row"), rows._command

    def killed(main, *flags):
        finished(main, *flags)
        raise KeyboardInterrupt

    monkeypatch.setattr(rows, "_command", killed)
    with pytest.raises(KeyboardInterrupt):
        rows.run("c.py", workdir, [])
    finished("eval_main.py", f"--workdir={workdir}")
    monkeypatch.setattr(rows, "_command", finished)
    made.clear()
    assert rows.run("c.py", workdir, [])["metrics"] == {"evaluated": 2}
    assert made == ["train_main.py", "eval_main.py"]


def test_a_row_that_has_ended_is_read_until_it_is_evaluated_in_another_way(made, tmp_path, capsys):
    workdir = str(tmp_path / "row")
    first = rows.run("c.py", workdir, [])
    assert rows.run("c.py", workdir, []) == first and made == ["train_main.py", "eval_main.py"]
    assert capsys.readouterr().out == f"row: read from {workdir}/eval/result.json\n"
    rows._command("eval_main.py", f"--workdir={workdir}")
    assert rows.run("c.py", workdir, [])["metrics"] == {"evaluated": 5}


def test_a_folder_that_an_earlier_version_left_is_evaluated_again(made, tmp_path):
    """It has no done.json; a training that has ended ends at once."""
    workdir = tmp_path / "row"
    rows.run("c.py", str(workdir), [])
    (workdir / "done.json").unlink()
    made.clear()
    rows.run("c.py", str(workdir), [])
    assert made == ["train_main.py", "eval_main.py"] and (workdir / "done.json").exists()


def test_a_folder_with_a_run_that_no_row_began_is_refused(made, tmp_path):
    (tmp_path / "row" / "checkpoints").mkdir(parents=True)
    with pytest.raises(
        SystemExit, match=r"^error: .*row holds a run, and no how.json says .*; give another --workdir$"
    ):
        rows.run("c.py", str(tmp_path / "row"), [])
    assert not made


def test_a_row_is_told_by_its_weights_whatever_folder_they_lie_in(made, tmp_path, monkeypatch):
    keep(monkeypatch, tmp_path / "records")
    with_weights = lambda file: rows.run("c.py", str(tmp_path / "row"), [f"--config.model.weights={file}"])  # noqa: E731
    assert with_weights("/here/mine.h5") == with_weights("/there/mine.h5") and len(made) == 2
    for other in ("none", "imagenet", "/here/other.h5"):
        with pytest.raises(SystemExit, match=r"row.json was made in another way .*mine.h5"):
            with_weights(other)


@pytest.mark.parametrize(
    "weights, same",
    [
        ("imagenet", True),
        ("a/mobilenet_v2_imagenet_notop.h5", True),
        ("mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5", True),
        ("none", False),
        ("mine.h5", False),
    ],
)
def test_a_record_that_does_not_say_its_weights_is_of_published_ones(weights, same):
    committed = json.loads((RESULTS / "introspection_faces" / "confidence_exchange.json").read_text())["how"]
    asked = {**committed, "changes": [f"--config.model.weights={weights}", *committed["changes"]]}
    assert records.serves(committed, records.how(asked)) is same
    assert records.serves(records.how(asked), committed) is same


def test_an_untrained_network_is_told_by_its_row(made, tmp_path, monkeypatch):
    keep(monkeypatch, tmp_path / "records")
    workdir = str(tmp_path / "row")
    first = rows.untrained("c.py", workdir, ["--config.model.label_size=3"])
    assert first == rows.untrained("c.py", workdir, ["--config.model.label_size=3"])
    with pytest.raises(SystemExit, match="row_untrained.json was made in another way .*label_size=3.*--untrained"):
        rows.untrained("c.py", workdir, ["--config.model.label_size=64"])


def test_what_an_earlier_version_recorded_of_a_network_before_training_is_read(tmp_path, monkeypatch):
    keep(monkeypatch, tmp_path)
    earlier = {"how": {"changes": ["--untrained"]}, "command": "c", "result": {"metrics": {"m": 1}}}
    (tmp_path / "row_untrained.json").write_text(json.dumps(earlier))
    assert rows.untrained("c.py", "runs/row", ["--config.model.label_size=3"]) == {"metrics": {"m": 1}}
    assert not records.begun_alike(earlier["how"], {"config": "c.py", "changes": [], "evaluation": []})


def test_a_record_with_fewer_counts_is_read_and_that_is_said(made, tmp_path, monkeypatch, capsys):
    keep(monkeypatch, tmp_path / "records")
    found = rows.run("c.py", str(tmp_path / "row"), [], evaluation=["--few_shot=20"])
    assert rows.run("c.py", str(tmp_path / "row"), [], evaluation=["--few_shot=1,20"]) == found
    assert "row.json; it is of an earlier version, whose records lack some of --few_shot" in capsys.readouterr().out


def test_of_nested_settings_those_that_differ_are_named():
    made, asked = (
        {"run": {"model": {"weights": "a", "norm": "batch"}}, "step": 5},
        {"run": {"model": {"norm": "batch"}}},
    )
    assert records.unlike(made, {**asked, "step": 5}) == {"run": {"model": {"weights": "a"}}}


def test_more_counts_serve_for_fewer_but_not_the_other_way_round():
    row = lambda *evaluation: {"config": "c", "changes": [], "evaluation": list(evaluation)}  # noqa: E731
    many, few = row("--few_shot=1,5,20"), row("--few_shot=20")
    assert records.serves(many, few) and records.serves(many, row()) and not records.serves(few, many)
    assert not records.serves(many, row("--few_shot=20", "--heads=regress")) and records.begun_alike(few, many)


@pytest.fixture
def ask_faces(made, tmp_path, monkeypatch, capsys):
    """Asks for rows of faces; returns what is said of those that are read."""
    given = {
        "_IMAGES": "i",
        "_ANNOTATIONS": "a/train.json",
        "_ANNOTATIONS_TEST": "a/val.json",
        "_WORKDIR": str(tmp_path),
    }
    for name, value in given.items():
        monkeypatch.setattr(rows, name, types.SimpleNamespace(value=value))
    monkeypatch.setattr(faces, "_table", lambda measured: "")

    def ask(names, *passed, count=1):
        monkeypatch.setattr(rows, "_ONLY", types.SimpleNamespace(value=names.split(",")))
        monkeypatch.setattr(seeds, "_SEEDS", types.SimpleNamespace(value=count))
        faces.main(list(passed))
        return [line for line in capsys.readouterr().out.splitlines() if ": read from " in line]

    return ask


@pytest.mark.parametrize("recorded", [False, True])
def test_rows_of_faces_are_read_whatever_else_is_asked_for_with_them(ask_faces, made, tmp_path, monkeypatch, recorded):
    """The command of table 3 in docs/published.md, and then each row alone, as the other commands there have it."""
    keep(monkeypatch, tmp_path / "records" if recorded else None)
    names = "simple_log,simple_dist_1,simple_dist,dilations_log,dilations_dist,sparse_50"
    assert f"--only={names}" in (ROOT / "docs" / "published.md").read_text()
    assert ask_faces(names) == [] and len(made) == 2 * 6
    for name in names.split(","):
        path = tmp_path / ("records" if recorded else name) / (f"{name}.json" if recorded else "eval/result.json")
        assert ask_faces(name) == [f"{name}: read from {path}"]
    assert len(made) == 2 * 6


def test_the_projects_rows_of_faces_are_read_together_and_alone(ask_faces, made, monkeypatch):
    both, full = "dilations_dist,dilations_dist_L64_exchange", "dilations_dist_L64_exchange"
    keep(monkeypatch, RESULTS / "faces_40000")
    for names in (both, ",".join(reversed(both.split(","))), *both.split(",")):
        assert len(ask_faces(names, "--config.train.num_epochs=5", count=3)) == 3 * len(names.split(","))
    keep(monkeypatch, RESULTS / "faces")
    assert len(ask_faces(full)) == 1 and not made


def test_the_command_of_the_documentation_reads_the_records_of_lengths(tmp_path):
    flags = ["--annotations=in/annotated.tps", "--annotations_test=test.tps", "--only=L3,L64,L64_exchange"]
    flags += [f"--workdir={tmp_path}", "--images=i", f"--results={RESULTS / 'lengths_wings'}"]
    passed = ["--config.train.num_epochs=5", "--config.train.steps_per_epoch=125"]
    command = [sys.executable, "-m", "benchmarks.lengths", *flags, "--", *passed]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    read = [line.split(": read from ")[0] for line in result.stdout.splitlines() if ": read from " in line]
    assert read == ["L3", "L64", "L64_exchange"]


@pytest.mark.parametrize("module", ["faces", "lengths", "roboarm", "sphere", "introspection", "framing"])
def test_a_mistake_of_the_user_is_one_line(module, tmp_path):
    data = ["--images=i", "--annotations=a.json", "--annotations_test=b.json"]
    wrong, said = ["--wrokdir=w"], "Unknown command line flag 'wrokdir'"
    if module == "framing":
        wrong, said = ["--workdirs=TYPO"], "TYPO"
    result = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *data, *wrong],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1 and len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stderr.startswith("error: ") and said in result.stderr


def test_what_a_record_of_an_earlier_version_lacks_is_said(tmp_path, monkeypatch, capsys):
    keep(monkeypatch, tmp_path)
    rows.recorded("row", {"model": "1"}, lambda: {"figure": 3})
    new = {"model": "1", "digest": "ab"}
    assert rows.recorded("row", new, None, later=("digest",))["figure"] == 3
    path = tmp_path / "row.json"
    said = f"row: read from {path}; it is of an earlier version, whose records lack digest\n"
    assert capsys.readouterr().out == said
    for asked, later in (({**new, "model": "2"}, ("digest",)), (new, ())):
        with pytest.raises(SystemExit, match="row.json was made in another way"):
            rows.recorded("row", asked, None, later)
    path.unlink()
    rows.recorded("row", new, dict, later=("digest",))
    with pytest.raises(SystemExit, match="row.json was made in another way"):
        rows.recorded("row", {**new, "digest": "cd"}, None, later=("digest",))


def test_the_projects_records_of_framing_are_read_by_the_facts_of_runs_today(monkeypatch, capsys):
    keep(monkeypatch, RESULTS / "framing_faces")
    paths = sorted((RESULTS / "framing_faces").glob("*.json"))
    assert paths
    for path in paths:
        asked = {**json.loads(path.read_text())["asked"], "data": {"name": "coco", "size": [100, 100], "crop": 15}}
        assert rows.recorded(path.stem, asked, None, rows.LATER)["framed_alike_px"] > 0
        assert f"{path.stem}: read from {path}; it is of an earlier version" in capsys.readouterr().out


def test_runs_of_other_pictures_are_told_apart():
    found = rows.facts(ROOT / "tests" / "fixtures" / "runs" / "stills")
    assert found["data"] == {"name": "coco", "size": [64, 64], "crop": 8, "num_pictures": 12} and found["step"] == 20
    assert set(found) == {"step", "run", *rows.LATER}


def test_a_run_is_trained_on_and_measured_before(made, tmp_path, monkeypatch, capsys):
    """Each network has heads of its own; records say which run was trained on, in whatever folder it was."""
    keep(monkeypatch, tmp_path / "records")
    commands = []
    command = rows._command
    monkeypatch.setattr(rows, "_command", lambda *given: (commands.append(given), command(*given)))
    for name in ("_WORKDIR", "_IMAGES", "_ANNOTATIONS", "_ANNOTATIONS_TEST"):
        monkeypatch.setattr(rows, name, types.SimpleNamespace(value=f"{tmp_path}/{name.strip('_').lower()}"))
    monkeypatch.setattr(rows, "_ONLY", types.SimpleNamespace(value=[]))
    monkeypatch.setattr(seeds, "_SEEDS", types.SimpleNamespace(value=1))
    monkeypatch.setattr(finetuning, "_INIT_FROM", types.SimpleNamespace(value=None))
    with pytest.raises(ValueError, match="--init_from is missing"):
        finetuning.main([])
    monkeypatch.setattr(finetuning, "_INIT_FROM", types.SimpleNamespace(value=f"{tmp_path}/init_from"))
    finetuning.main(["--config.train.num_epochs=1"])
    begun = [f"--config.train.init_from={tmp_path}/init_from" in each for each in commands]
    assert [each[0] for each in commands] == ["train_main.py", *["eval_main.py"] * 2, "train_main.py", "eval_main.py"]
    assert begun == [True, *[False] * 4] and "--untrained" in commands[2]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines if "---" not in line] == [
        "| network",
        "| before",
        "| finetuned",
        "| afresh",
    ]
    for name in ("finetuned", "finetuned_untrained"):
        how = json.loads((tmp_path / "records" / f"{name}.json").read_text())["how"]
        assert "--config.train.init_from=init_from" in how["changes"]
