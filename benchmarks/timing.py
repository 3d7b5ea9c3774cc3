"""Times contenders against one another in one run.

Each contender lives in a process of its own, so that no library's threads or memory stand in another's way. They take
turns, round after round, so that a slow moment of the machine meets all of them; the ratio of two contenders is taken
round by round.
"""

import dataclasses
import datetime
import importlib
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import traceback
from multiprocessing import connection

# The C library gives large blocks back to the system at once and asks for them again, page by page, at the next call.
# TensorFlow keeps its own; PyTorch on the CPU does not, and can spend most of its time there. With these it keeps them.
KEEP_MEMORY = {
    "GLIBC_TUNABLES": "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=1000000000000:glibc.malloc.arena_max=1"
    ":glibc.malloc.hugetlb=1"
}

THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
_DIED = "{} died, perhaps for want of memory"


@dataclasses.dataclass(frozen=True)
class Contender:
    """What is timed: `factory(**kwargs)`, called in its own process, returns the function that does one unit of work.

    The function must not return before the work is done. `factory` is named "module:function", so that only the
    contender's own process imports what it needs. `environment` holds variables of that process, such as
    `KEEP_MEMORY`, which go before those of the caller. `python` is the path of another Python, which runs it then.
    """

    factory: str
    kwargs: dict = dataclasses.field(default_factory=dict)
    threads: int = 2
    environment: dict = dataclasses.field(default_factory=dict)
    python: str = sys.executable


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of one call in each round, and the peak of the process' memory above what it held before the first."""

    seconds: list
    peak_bytes: int

    @property
    def median(self):
        return statistics.median(self.seconds)

    def ratio_to(self, other):
        """How many times as long the other takes: the median over the rounds, and the smallest and largest."""
        ratios = [theirs / ours for ours, theirs in zip(self.seconds, other.seconds)]
        return statistics.median(ratios), min(ratios), max(ratios)


def compare(contenders, *, rounds=7, seconds=0.5):
    """Times contenders in turns.

    Args:
      contenders: `{name: Contender}`.
      rounds: how often each has its turn.
      seconds: about how long one turn lasts.

    Returns:
      `{name: Timing}`.

    Raises:
      RuntimeError: if a contender fails, with its own traceback.
    """
    lines, processes = {}, []
    try:
        for name, contender in contenders.items():
            lines[name], process = _start(contender, seconds)
            processes.append(process)
            _answer(name, lines[name])  # ready; one after another, so that none is built while another is measured
        timings = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, line in lines.items():
                timings[name].append(_ask(name, line, "time"))
        peaks = {name: _ask(name, line, "peak") for name, line in lines.items()}
        return {name: Timing(timings[name], peaks[name]) for name in contenders}
    finally:
        for process in processes:
            process.kill()
            process.wait()


def write_report(path, results, packages, settings):
    """Writes results as JSON, with what they depend on: packages, processor, settings, date.

    Args:
      path: of the file.
      results: anything JSON holds.
      packages: names of the packages whose versions matter.
      settings: a dictionary; what the benchmark was asked for, threads and rounds among it.
    """
    versions = {name: importlib.metadata.version(name) for name in packages}
    around = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": versions,
        "processor": _processor(),
        "settings": settings,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w") as file:
        json.dump({**around, "results": results}, file, indent=2)
        file.write("\n")
    print(f"written: {path}")


def table(header, rows):
    """Returns a Markdown table.

    Args:
      header: list of strings.
      rows: list of lists of what the cells show.
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def free_memory():
    """Bytes of memory this machine can still give out; None where that is not known (other systems than Linux)."""
    if sys.platform != "linux":
        return None
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))


def _start(contender, seconds):
    """Starts a contender's process: (the line to it, the process).

    A plain new interpreter: what `multiprocessing` starts runs the main module once more, and its flags with it.
    """
    ours, theirs = connection.Pipe()
    around = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        **os.environ,
        **contender.environment,
        **dict.fromkeys(THREADS, str(contender.threads)),
    }
    if contender.python == sys.executable:
        around["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
    command = f"from benchmarks import timing; timing.serve({theirs.fileno()})"
    process = subprocess.Popen([contender.python, "-c", command], env=around, pass_fds=[theirs.fileno()])
    theirs.close()
    ours.send((contender, seconds))
    return ours, process


def serve(descriptor):
    """What a contender's process does: builds the work, then times it whenever asked, until nobody is there to ask.

    Args:
      descriptor: file descriptor of its end of the line to `compare`.
    """
    line = connection.Connection(descriptor)
    if sys.platform == "linux":  # should memory run out, it is the contender that goes
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    try:
        contender, seconds = line.recv()
        module, function = contender.factory.split(":")
        work = getattr(importlib.import_module(module), function)(**contender.kwargs)
        before = _reset_peak()
        work()
        once = _seconds_of(work, 1)
        number = max(1, round(seconds / max(once, 1e-6)))
        line.send(("ok", None))
        while True:
            asked = line.recv()
            line.send(("ok", _seconds_of(work, number) if asked == "time" else _peak() - before))
    except EOFError:
        pass
    except Exception:
        line.send(("failed", traceback.format_exc()))


def _ask(name, line, what):
    try:
        line.send(what)
    except OSError as error:
        raise RuntimeError(_DIED.format(name)) from error
    return _answer(name, line)


def _answer(name, line):
    try:
        state, value = line.recv()
    except (EOFError, OSError) as error:
        raise RuntimeError(_DIED.format(name)) from error
    if state != "ok":
        raise RuntimeError(f"{name} failed:\n{value}")
    return value


def _seconds_of(work, number):
    start = time.perf_counter()
    for _ in range(number):
        work()
    return (time.perf_counter() - start) / number


def _reset_peak():
    """Sets the peak of the process' memory back to what it holds now, in bytes (Linux; elsewhere the peak so far)."""
    if sys.platform == "linux":
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    return _peak()


def _peak():
    if sys.platform == "linux":
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _processor():
    if sys.platform == "linux":
        with open("/proc/cpuinfo") as file:
            for text in file:
                if text.startswith("model name"):
                    return text.split(":", 1)[1].strip()
    return platform.processor()
