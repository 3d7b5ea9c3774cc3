"""Tables 1 and 2 of "Unsupervised learning of object frames" (NIPS 2017): six trainings on the robot arm.

python -m benchmarks.roboarm --workdir=runs/roboarm [--only=log,dist_1] [-- --config.train.seed=1 ...]

What follows `--` goes to every training. Stopped and started again, it goes on where it was; rows that are done are
only read. Prints a Markdown table; each row's configuration and result stay in WORKDIR/ROW.
"""

import json
import os
import subprocess
import sys
import time

from absl import app, flags

# name -> (what is changed in configs/roboarm.py, error the paper reports in % of image width)
ROWS = {
    "log": ({"loss.name": "log"}, 0.97),
    "dist_1": ({"loss.name": "dist", "loss.gamma": 1.0}, 1.13),
    "dist_0.5": ({"loss.name": "dist"}, 1.14),
    "dist_0.5_L2": ({"loss.name": "dist", "model.label_size": 2}, 1.29),
    "dist_0.5_L5": ({"loss.name": "dist", "model.label_size": 5}, 1.16),
    "dist_0.5_L20": ({"loss.name": "dist", "model.label_size": 20}, 1.28),
}

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder for the six runs.", required=True)
_ONLY = flags.DEFINE_list("only", list(ROWS), "The rows to train.")


def main(argv):
    for name in _ONLY.value:
        if name not in ROWS:
            sys.exit(f"error: --only={name}: there is no such row; choose {', '.join(ROWS)}")
    results = {name: _row(name, os.path.join(_WORKDIR.value, name), argv[1:]) for name in _ONLY.value}
    print(_table(results))


def _row(name, workdir, more):
    """Trains and evaluates one row unless that is done; returns its result, with the minutes of the training."""
    written = os.path.join(workdir, "eval", "result.json")
    timing = os.path.join(workdir, "minutes.json")
    if not os.path.exists(written):
        changes = [f"--config.{key}={value}" for key, value in ROWS[name][0].items()]
        fresh, start = not os.path.exists(os.path.join(workdir, "checkpoints")), time.monotonic()
        _run("train_main.py", "--config=configs/roboarm.py", f"--workdir={workdir}", *changes, *more)
        if fresh:
            with open(timing, "w") as file:
                json.dump((time.monotonic() - start) / 60, file)
        _run("eval_main.py", f"--workdir={workdir}")
    with open(written) as file:
        result = json.load(file)
    if os.path.exists(timing):
        with open(timing) as file:
            result["minutes"] = json.load(file)
    return result


def _run(*command):
    code = subprocess.run([sys.executable, *command]).returncode
    if code:
        sys.exit(code)  # what went wrong has been said


def _table(results):
    lines = ["| run | paper | cell | subpixel | minutes |", "|---|---|---|---|---|"]
    for name, result in results.items():
        cell, subpixel = (result["metrics"][f"{key}_error_percent"] for key in ("cell", "subpixel"))
        minutes = f"{result['minutes']:.0f}" if "minutes" in result else "resumed"
        lines.append(f"| {name} | {ROWS[name][1]:.2f} % | {cell:.2f} % | {subpixel:.2f} % | {minutes} |")
    return "\n".join(lines)


if __name__ == "__main__":
    app.run(main)
