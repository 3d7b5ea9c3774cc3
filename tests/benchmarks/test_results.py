"""The figures of README.md are those of the project's records."""

import json

import numpy as np
import pytest

from dense_labels.evaluation import tables
from tests.commands import ROOT

RESULTS = ROOT / "benchmarks" / "results"


def detectors(folder, row, figure):
    """The mean of a figure over the three draws of a row, as README has it."""
    paths = sorted((RESULTS / f"detectors_{folder}").glob(f"{row}_?.json"))
    assert len(paths) == 3
    return f"{np.mean([json.loads(path.read_text())[figure] for path in paths]):.1f}"


def row_of(beginning):
    (line,) = (line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith(f"| {beginning}"))
    return [cell.strip() for cell in line.strip("| ").split(" | ")]


def test_faces_by_regression():
    paths = sorted((RESULTS / "faces_40000").glob("dilations_dist_L64_both*.json"))
    results = [json.loads(path.read_text())["result"] for path in paths]
    regress = [result["metrics"]["regress_error_percent"] for result in results]
    few = [np.mean(result["few_shot_error_percent"]["regress"]["20"]) for result in results]
    minutes = [result["minutes"] for result in results]
    name, ours, theirs = row_of("faces, five landmarks by regression")
    assert len(paths) == 3 and name.endswith(f"in {min(minutes):.0f} to {max(minutes):.0f} minutes; three seeds")
    all_of_them, twenty = (tables.mean_and_deviation(each, 1) for each in (regress, few))
    assert ours == f"{all_of_them} % of the eye distance off, {twenty} % with 20 annotated pictures"
    assert theirs == f"the mean shape: {results[0]['metrics']['mean_shape_error_percent']:.1f} %"


@pytest.mark.parametrize(
    "beginning, folder, counts, unit, ours, theirs",
    [
        ("faces, five landmarks, a detector", "faces", (20, 5), "percent", ("", ""), "detector"),
        ("fly wings, twelve landmarks", "wings", (20, 5), "px", ("", "_without_pile"), "dlib"),
        ("a mouse in a box", "mouse", (20, 92), "px", ("_without_pile", ""), "detector"),
    ],
)
def test_detectors(beginning, folder, counts, unit, ours, theirs):
    """A small pile is left out where it does not pay, as in an evaluation; compared are detectors without either."""
    name, found, compared = row_of(beginning)
    assert all(str(count) in name.split(";")[part] for part, count in enumerate(counts))
    own = [detectors(folder, f"detector_{count}", f"error_{unit}{of}") for count, of in zip(counts, ours)]
    of = "_without_either" if theirs == "detector" else ""
    other = [detectors(folder, f"{theirs}_{count}", f"error_{unit}{of}") for count in counts]
    for cell, (first, second) in ((found, own), (compared.partition(": ")[2], other)):
        begin, end = cell.split("; ")
        assert begin.split()[0] == first and end.split()[0] == second
