"""Labels of several lengths, with and without exchange, and sparse landmarks, on any folder of pictures.

python -m benchmarks.lengths --workdir=runs/lengths --images=IMAGES --annotations=ANNOTATED --annotations_test=TEST \
    [--only=L3,L64_exchange] [--seeds=3] [--results=benchmarks/results/lengths] [-- --config.train.num_epochs=5 ...]

Trains configs/folder.py on all pictures of IMAGES, without any landmark; fits heads to those of ANNOTATED and measures
them on those of TEST, files of any format that `eval_main.py` takes. What follows `--` goes to every training. Stopped
and started again, it goes on where it was; rows that are done are only read. Prints a Markdown table.
"""

from benchmarks import faces, rows, seeds
from dense_labels import command_line

ROWS = {  # name -> what is changed in configs/folder.py
    f"L{length}{name}": {"model.label_size": length, **exchange}
    for length in (3, 16, 32, 64)
    for name, exchange in (("", {"loss.exchange": False}), ("_exchange", rows.EXCHANGE), ("_both", rows.BOTH))
}
ROWS.update({f"sparse_{count}": {**rows.sparse(count), "loss.exchange": False} for count in (10, 30, 50)})


def main(passed):
    data = rows.data()
    evaluation = [f"--{name.removeprefix('data.')}={value}" for name, value in data.items() if name != "data.dir"]
    evaluation.append(f"--pictures={data['data.dir']}")
    measured = {}
    for name, workdir in rows.chosen(ROWS).items():
        settings = {"data.dir": data["data.dir"], **ROWS[name]}
        changes = [f"--config.{key}={value}" for key, value in settings.items()]
        measured[name] = seeds.run("configs/folder.py", workdir, [*changes, *passed], evaluation=evaluation)
    print(_table(measured))


def _table(measured):
    lines = [f"| labels | {' | '.join(faces.heads())} | minutes |", "|---" * (len(faces.FIGURES) + 2) + "|"]
    for name, of_seeds in measured.items():
        lines.append(f"| {name} | {' | '.join(faces.cells(of_seeds))} | {rows.minutes(of_seeds)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    command_line.run(main, takes_files=True)  # what follows -- is of the trainings
