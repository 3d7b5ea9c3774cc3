"""The commands behind the figures of the README."""

import pathlib
import subprocess
import sys

from benchmarks import roboarm

ROOT = pathlib.Path(__file__).resolve().parents[1]


def test_table_sets_the_figures_beside_the_paper():
    results = {
        "log": {"metrics": {"cell_error_percent": 0.912, "subpixel_error_percent": 0.208}, "minutes": 6.4},
        "dist_0.5_L20": {"metrics": {"cell_error_percent": 1.0, "subpixel_error_percent": 0.3}},
    }
    assert roboarm._table(results).splitlines()[2:] == [
        "| log | 0.97 % | 0.91 % | 0.21 % | 6 |",
        "| dist_0.5_L20 | 1.28 % | 1.00 % | 0.30 % | resumed |",
    ]


def test_an_unknown_row_is_one_line(tmp_path):
    command = [sys.executable, "-m", "benchmarks.roboarm", f"--workdir={tmp_path}", "--only=lgo"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [f"error: --only=lgo: there is no such row; choose {', '.join(roboarm.ROWS)}"]
