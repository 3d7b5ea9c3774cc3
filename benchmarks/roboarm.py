"""Tables 1 and 2 of "Unsupervised learning of object frames" (NIPS 2017) on the robot arm, exchange, sparse landmarks.

python -m benchmarks.roboarm --workdir=runs/roboarm [--only=log,dist_1] [--seeds=3] \
    [--results=benchmarks/results/roboarm] [-- --config.train.num_epochs=3 ...]

What follows `--` goes to every training. Stopped and started again, it goes on where it was; rows that are done are
only read. Prints a Markdown table, with --seeds of mean and deviation; each row's configuration and result stay in
WORKDIR/ROW.
"""

from benchmarks import rows, seeds
from dense_labels import command_line

# name -> (what is changed in configs/roboarm.py, error the paper reports in % of image width; None where it has no row)
ROWS = {
    "log": ({"loss.name": "log"}, 0.97),
    "dist_1": ({"loss.name": "dist", "loss.gamma": 1.0}, 1.13),
    "dist_0.5": ({"loss.name": "dist"}, 1.14),
    "dist_0.5_L2": ({"loss.name": "dist", "model.label_size": 2}, 1.29),
    "dist_0.5_L5": ({"loss.name": "dist", "model.label_size": 5}, 1.16),
    "dist_0.5_L20": ({"loss.name": "dist", "model.label_size": 20}, 1.28),
    "dist_0.5_exchange": ({"loss.name": "dist", **rows.EXCHANGE}, None),
    "dist_0.5_L20_exchange": ({"loss.name": "dist", "model.label_size": 20, **rows.EXCHANGE}, None),
    "dist_0.5_both": ({"loss.name": "dist", **rows.BOTH}, None),
    **{f"sparse_{count}": (rows.sparse(count), None) for count in (10, 30, 50)},
}


def main(passed):
    results = {}
    for name, workdir in rows.chosen(ROWS).items():
        changes = [f"--config.{key}={value}" for key, value in ROWS[name][0].items()]
        results[name] = seeds.run("configs/roboarm.py", workdir, [*changes, *passed])
    print(_table(results))


def _table(results):
    lines = ["| run | paper | cell | subpixel | regress_own | minutes |", "|---|---|---|---|---|---|"]
    for name, of_seeds in results.items():
        errors = (seeds.figure(of_seeds, f"{key}_error_percent", 2) for key in ("cell", "subpixel", "regress_own"))
        cells = [value if value == "-" else f"{value} %" for value in errors]
        paper = f"{ROWS[name][1]:.2f} %" if ROWS[name][1] else "-"
        lines.append(f"| {name} | {paper} | {' | '.join(cells)} | {rows.minutes(of_seeds)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    command_line.run(main, takes_files=True)  # what follows -- is of the trainings
