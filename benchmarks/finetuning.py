"""Table 4 of "Unsupervised learning of object frames" (NIPS 2017) on faces of your own: a run is trained on, elsewhere.

python -m benchmarks.finetuning --workdir=runs/finetuning --init_from=runs/faces/dilations_dist_L64_both \
    --images=IMAGES --annotations=TRAIN.json --annotations_test=TEST.json [--seeds=3] \
    [--results=benchmarks/results/finetuning_faces] [-- --config.train.num_epochs=5 ...]

The paper trains on CelebA, goes on with the faces of AFLW, which are cropped otherwise, and only then fits heads to
landmarks of AFLW. Here the pictures are read in a crop that shows 55 % of their sides, where configs/faces.py shows
70 %, so that faces are 1.28 times as large. Rows: `before`, the network of --init_from as it is; `finetuned`, the same
trained on in this crop, without landmarks; `afresh`, trained in this crop alone, for as many pairs. Each has heads of
its own, fitted on TRAIN.json in this crop and measured on TEST.json.

The run of --init_from has labels of 64 numbers, as `--only=dilations_dist_L64_both` of benchmarks.faces trains them.
What follows `--` goes to every training. Stopped and started again, it goes on where it was; rows that are done are
only read. Prints a Markdown table. AFLW itself has a configuration of its own, configs/aflw.py.
"""

from absl import flags

from benchmarks import faces, rows, seeds
from dense_labels import command_line

_INIT_FROM = flags.DEFINE_string("init_from", None, "Folder of the run whose network is trained on.")
_CONFIG = "configs/faces.py"
_CHANGES = {  # what is changed in it
    "model.label_size": 64,
    **rows.BOTH,
    "data.size": "(128, 128)",
    "data.crop": 29,  # on each side: views of 70 x 70 pixels, as with configs/faces.py
}
_FINETUNED = "finetuned"
ROWS = (_FINETUNED, "afresh")


def main(passed):
    if not _INIT_FROM.value:
        raise ValueError("--init_from is missing; give the folder of the run whose network is trained on")
    changes = [*(f"--config.{key}={value}" for key, value in {**rows.data(), **_CHANGES}.items()), *passed]
    measured = {}
    for name, workdir in rows.chosen(ROWS).items():
        begun = [f"--config.train.init_from={_INIT_FROM.value}"] if name == _FINETUNED else []
        trained = seeds.run(_CONFIG, workdir, [*changes, *begun])
        if begun:
            measured["before"] = [rows.untrained(_CONFIG, workdir, [*changes, *begun])]
        measured[name] = trained
    print(_table(measured))


def _table(measured):
    lines = [f"| network | {' | '.join(faces.heads())} | minutes |", "|---" * (len(faces.FIGURES) + 2) + "|"]
    for name, of_seeds in measured.items():
        minutes = "-" if name == "before" else rows.minutes(of_seeds)
        lines.append(f"| {name} | {' | '.join(faces.cells(of_seeds))} | {minutes} |")
    return "\n".join(lines)


if __name__ == "__main__":
    command_line.run(main, takes_files=True)  # what follows -- is of the trainings
