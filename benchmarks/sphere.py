"""The textured sphere of section 4.2 of "Unsupervised learning of object frames" (NIPS 2017): DILATIONS and SIMPLE.

python -m benchmarks.sphere --workdir=runs/sphere [--only=dilations] [--seeds=3] \
    [-- --config.train.num_epochs=10 ...]

What follows `--` goes to every training. Stopped and started again, it goes on where it was; rows that are done are
only read. Prints a Markdown table of errors in degrees on the sphere, median and mean, with those of labels drawn at
random and, without --only, of an untrained network; with --seeds of their means and deviations.
"""

from benchmarks import rows, seeds
from dense_labels import command_line
from dense_labels.evaluation.surface import MEASURES

_CONFIG = "configs/sphere.py"
ROWS = {"dilations": {}, "simple": {"model.name": "simple"}}  # name -> what is changed in configs/sphere.py


def main(passed):
    chosen = rows.chosen(ROWS)
    changes = {name: [*(f"--config.{key}={value}" for key, value in ROWS[name].items()), *passed] for name in chosen}
    results = {}
    for name, workdir in chosen.items():
        results[name] = seeds.run(_CONFIG, workdir, changes[name])
    if not rows.only(ROWS):
        first, *_ = chosen
        results["untrained"] = [rows.untrained(_CONFIG, chosen[first], changes[first])]
    print(_table(results))


def _table(results):
    lines = [f"| run | {' | '.join(MEASURES)} | mirrored | minutes |", "|---|---|---|---|---|---|"]
    for name, of_seeds in results.items():
        mirrored = ", ".join("yes" if each["metrics"]["isometry_reflected"] else "no" for each in of_seeds)
        minutes = "" if name == "untrained" else rows.minutes(of_seeds)
        lines.append(f"| {name} | {_errors(of_seeds, '')} | {mirrored} | {minutes} |")
    lines.append(f"| chance | {_errors(next(iter(results.values()))[:1], 'chance_')} | | |")
    return "\n".join(lines)


def _errors(of_seeds, prefix):
    return " | ".join(
        " / ".join(seeds.figure(of_seeds, f"{prefix}{name}_{figure}_degrees", 1) for figure in ("median", "mean"))
        for name in MEASURES
    )


if __name__ == "__main__":
    command_line.run(main, takes_files=True)  # what follows -- is of the trainings
