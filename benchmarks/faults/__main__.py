"""Proves that nothing goes wrong in silence: whatever is damaged is noticed, or does no harm.

python -m benchmarks.faults [--what=annotations,files,disk,pictures,server] [--count=0] [--seed=0]

annotations: damaged annotations through every reader of a user's own files, with the checks against the pictures.
files: a finished run and its export, each file damaged in turn, then opened, labelled with, gone on with and served.
disk: a training during which each writing in turn finds the disk full, and which then goes on.
pictures: damaged pictures on the three roads to pixels: of a training, of the client and of a served model.
server: strangers who hold connections and send what they should not, while a client asks as it should.

Prints one table. RIGHT is the answer of the sound thing, or a warning; REFUSED one line about what is wrong; SALVAGED a
damaged picture of which two decoders make something of their own. Anything else is WRONG: it is printed, and the
command exits with 1.
"""

import importlib
import sys

from absl import flags

from benchmarks.faults import REFUSED, RIGHT, SALVAGED, WRONG
from dense_labels import command_line

_COUNTS = {"annotations": 2000, "files": 90, "disk": 100, "pictures": 2000, "server": 60}
_KINDS = (RIGHT, SALVAGED, REFUSED, WRONG)


def main(what: list[str], count: int, seed: int) -> None:
    failed = False
    for part in what:
        counters, wrong = importlib.import_module(f"benchmarks.faults.{part}").measure(count or _COUNTS[part], seed)
        failed |= bool(wrong)
        print("\n\n".join(wrong))
        print(f"| {part} | tried | {' | '.join(_KINDS)} |", "|---" * (2 + len(_KINDS)) + "|", sep="\n")
        for name, counted in counters.items():
            figures = (sum(counted.values()), *(counted[kind] for kind in _KINDS))
            print(f"| {name} | {' | '.join(map(str, figures))} |", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    _WHAT = flags.DEFINE_list("what", list(_COUNTS), f"Which of {', '.join(_COUNTS)}.")
    _COUNT = flags.DEFINE_integer("count", 0, f"How many faults, or seconds of the server; 0 for {_COUNTS}.", 0)
    _SEED = flags.DEFINE_integer("seed", 0, "Of the damage.", 0)
    flags.register_validator("what", lambda given: set(given) <= set(_COUNTS), f"is of {', '.join(_COUNTS)}")
    command_line.run(lambda: main(_WHAT.value, _COUNT.value, _SEED.value))
