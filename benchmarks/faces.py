"""Table 3 of "Unsupervised learning of object frames" (NIPS 2017) on faces of your own: networks, losses, lengths.

python -m benchmarks.faces --workdir=runs/faces --images=IMAGES --annotations=TRAIN.json --annotations_test=TEST.json \
    [--only=dilations_dist,simple_log] [--seeds=3] [--results=benchmarks/results/faces] \
    [-- --config.train.num_epochs=10 ...]

Training sees the pictures of TRAIN.json and none of its landmarks; heads are fitted on those and measured on TEST.json.
What follows `--` goes to every training. Stopped and started again, it goes on where it was; rows that are done are
only read. Prints Markdown tables: errors, without --only those of an untrained network too, and errors of heads that
were fitted to few annotated pictures: 1 to 100 for dilations_dist, dilations_dist_L64_exchange and
dilations_dist_L64_both, 20 for others and seeds above 0. Several seeds give mean and deviation.
"""

import numpy as np

from benchmarks import rows, seeds
from dense_labels import command_line

# name -> (what is changed in configs/faces.py, % of eye distance on MAFL in the paper: nearest, regress)
ROWS = {
    "dilations_dist": ({}, (10.53, 5.87)),
    "dilations_log": ({"loss.name": "log"}, (11.05, 5.83)),
    "simple_dist": ({"model.name": "simple"}, (13.29, 7.18)),
    "simple_dist_1": ({"model.name": "simple", "loss.gamma": 1.0}, (14.57, 7.94)),
    "simple_log": ({"model.name": "simple", "loss.name": "log"}, (75.02, None)),
    **{f"dilations_dist_L{length}": ({"model.label_size": length}, (None, None)) for length in (16, 32, 64)},
    **{  # with exchanged labels alone, as in ICCV 2019, and with labels as they are too
        f"dilations_dist_L{length}_{name}": ({"model.label_size": length, **exchange}, (None, None))
        for name, exchange in (("exchange", rows.EXCHANGE), ("both", rows.BOTH))
        for length in (3, 16, 32, 64)
    },
    **{  # of how many landmarks paper 1 does not say
        f"sparse_{count}": (rows.sparse(count), (None, paper)) for count, paper in ((10, None), (30, None), (50, 6.67))
    },
    "hourglass_dist_L64_both": (
        {
            "model.name": "hourglass",
            "model.label_size": 64,
            **rows.BOTH,
            "data.size": "(128, 128)",
            "data.crop": 16,
        },
        (None, None),
    ),
    "dilations_dist_mirror": ({"model.padding": "mirror"}, (None, None)),
    "dilations_dist_shift": ({"views.shift": 0.1}, (None, None)),
    "dilations_dist_mirror_shift": ({"model.padding": "mirror", "views.shift": 0.1}, (None, None)),
}
FIGURES = (
    "mean_shape_error_percent",
    "cell_error_percent",
    "subpixel_error_percent",
    "regress_error_percent",
    "regress_each_error_percent",
    "regress_own_error_percent",
    "matching_same_cell_px",
    "matching_different_cell_px",
    "matching_different_subpixel_px",
    "cycle_median_px",
    "cycle_within_percent",
    "border_reliance_percent",
)
_CONFIG = "configs/faces.py"
_FEW, _FEW_OF_OTHERS = "1,5,10,20,100", "20"
# Rows, whatever else is asked for with them.
_OF_MANY_COUNTS = ("dilations_dist", "dilations_dist_L64_exchange", "dilations_dist_L64_both")


def main(passed):
    chosen = rows.chosen(ROWS)
    measured, others = {}, [f"--few_shot={_FEW_OF_OTHERS}"]
    for name, workdir in chosen.items():
        few = [f"--few_shot={_FEW}"] if name in _OF_MANY_COUNTS else others
        changes = _changes(name, passed)
        measured[name] = seeds.run(_CONFIG, workdir, changes, evaluation=few, evaluation_of_others=others)
    if not rows.only(ROWS):
        first, *_ = chosen
        measured["untrained"] = [rows.untrained(_CONFIG, chosen[first], _changes(first, passed))]
    print(_table(measured))
    for name, of_seeds in measured.items():
        errors = [each["few_shot_error_percent"] for each in of_seeds if "few_shot_error_percent" in each]
        if errors:
            print(f"\n{name}, heads fitted on a few annotated pictures:\n")
            print(_few_table(errors))


def _changes(name, passed):
    """Flags of a row's training."""
    return [*(f"--config.{key}={value}" for key, value in {**rows.data(), **ROWS[name][0]}.items()), *passed]


def _table(measured):
    lines = [
        f"| run | paper: nearest | paper: regress | {' | '.join(heads())} | minutes |",
        "|---" * (len(FIGURES) + 4) + "|",
    ]
    for name, of_seeds in measured.items():
        paper = ROWS[name][1] if name in ROWS else (None, None)
        of_paper = ["-" if value is None else f"{value:.2f} %" for value in paper]
        minutes = "-" if name == "untrained" else rows.minutes(of_seeds)
        lines.append(f"| {name} | {' | '.join([*of_paper, *cells(of_seeds)])} | {minutes} |")
    return "\n".join(lines)


def heads():
    """Returns the headings of `cells`."""
    return [name.removesuffix("_error_percent").removesuffix("_px") for name in FIGURES]


def cells(of_seeds):
    """Returns the FIGURES of a row as cells; "-" where it has none, for each network has heads of its own."""
    found = [seeds.figure(of_seeds, name, 2) for name in FIGURES]
    units = ["px" if name.endswith("px") else "%" for name in FIGURES]
    return [value if value == "-" else f"{value} {unit}" for value, unit in zip(found, units)]


def _few_table(of_seeds):
    """Mean and standard deviation over the draws of all seeds, by decoding and number of annotated pictures."""
    from dense_labels.evaluation import tables

    first, *_ = of_seeds  # of the most numbers
    lines = [f"| annotated | seeds | {' | '.join(first)} |", "|---" * (len(first) + 2) + "|"]
    for count in next(iter(first.values())):
        drawn = [[errors[name][count] for errors in of_seeds if count in errors[name]] for name in first]
        # All seeds draw the same pictures: of several each has one mean, of one the draws vary.
        means = (each[0] if len(each) == 1 else [np.mean(draws) for draws in each] for each in drawn)
        cells = (f"{tables.mean_and_deviation(each, 1)} %" for each in means)
        lines.append(f"| {count} | {len(drawn[0])} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    command_line.run(main, takes_files=True)  # what follows -- is of the trainings
