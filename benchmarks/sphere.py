"""The textured sphere of section 4.2 of "Unsupervised learning of object frames" (NIPS 2017): DILATIONS and SIMPLE.

python -m benchmarks.sphere --workdir=runs/sphere [--only=dilations] [-- --config.train.seed=1 ...]

What follows `--` goes to every training. Stopped and started again, it goes on where it was; rows that are done are
only read. Prints a Markdown table of errors in degrees on the sphere, median and mean, with those of labels drawn at
random and, without --only, of an untrained network.
"""

from absl import app

from benchmarks import rows
from dense_labels.evaluation.surface import MEASURES

ROWS = {"dilations": {}, "simple": {"model.name": "simple"}}  # name -> what is changed in configs/sphere.py


def main(argv):
    chosen = rows.chosen(ROWS)
    results = {}
    for name, workdir in chosen.items():
        changes = [f"--config.{key}={value}" for key, value in ROWS[name].items()]
        results[name] = rows.run("configs/sphere.py", workdir, [*changes, *argv[1:]])
    if not rows.only(ROWS):
        results["untrained"] = rows.untrained(next(iter(chosen.values())))
    print(_table(results))


def _table(results):
    lines = [f"| run | {' | '.join(MEASURES)} | mirrored | minutes |", "|---|---|---|---|---|---|"]
    for name, result in results.items():
        metrics = result["metrics"]
        mirrored = "yes" if metrics["isometry_reflected"] else "no"
        minutes = "" if name == "untrained" else rows.minutes(result)
        lines.append(f"| {name} | {_errors(metrics, '')} | {mirrored} | {minutes} |")
    first = next(iter(results.values()))["metrics"]
    lines.append(f"| chance | {_errors(first, 'chance_')} | | |")
    return "\n".join(lines)


def _errors(metrics, prefix):
    return " | ".join(
        " / ".join(f"{metrics[f'{prefix}{name}_{figure}_degrees']:.1f}" for figure in ("median", "mean"))
        for name in MEASURES
    )


if __name__ == "__main__":
    app.run(main)
