"""Rows that are trained from several seeds, and their cells: mean and deviation.

`--seeds=3` trains each row from seeds 0, 1 and 2; without it from seed 0. Seed K above 0 has a folder and a record of
its own, ROW_seed_K, so that more seeds can be asked for later.
"""

import sys

from absl import flags

from benchmarks import rows

_SEEDS = flags.DEFINE_integer("seeds", 1, "Train each row from so many seeds.", lower_bound=1)
_FLAG = "--config.train.seed"


def run(config, workdir, changes, *, evaluation=(), evaluation_of_others=None):
    """Trains and evaluates one row from each seed; as `rows.run`, which says what the arguments are.

    Args:
      config: path of the configuration file.
      workdir: folder of the row.
      changes: flags of train_main.py.
      evaluation: flags of eval_main.py.
      evaluation_of_others: those of seeds above 0; None for the same.

    Returns:
      What eval_main.py wrote, seed by seed.
    """
    if _SEEDS.value > 1 and any(change.split("=")[0] == _FLAG for change in changes):
        sys.exit(f"error: --seeds={_SEEDS.value} and {_FLAG} are both given; leave one out")
    others = evaluation if evaluation_of_others is None else evaluation_of_others
    results = [rows.run(config, workdir, changes, evaluation=evaluation)]
    for seed in range(1, _SEEDS.value):
        own = [*changes, f"{_FLAG}={seed}"]
        results.append(rows.run(config, f"{workdir}_seed_{seed}", own, evaluation=others))
    return results


def figure(results, name, digits):
    """A figure of a row as a cell of a table: its mean and deviation over the seeds; "-" where none has it."""
    from dense_labels.evaluation import tables

    found = [result["metrics"][name] for result in results if name in result["metrics"]]
    return tables.mean_and_deviation(found, digits)
