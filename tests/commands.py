"""Runs our commands in processes of their own that need not import TensorFlow again.

Importing the libraries takes five seconds of a processor, longer than most of what is tested of a command. So one
process does that once, and is forked for each command: it has no thread of its own by then, and nothing of ours.
"""

import contextlib
import functools
import gc
import importlib
import importlib.util
import json
import os
import pathlib
import runpy
import signal
import subprocess
import sys
import tempfile
import unittest.mock

ROOT = pathlib.Path(__file__).resolve().parents[1]


def command(main, *arguments):
    """The command line of one of our scripts, such as "train_main.py"."""
    return [sys.executable, str(ROOT / main), *map(str, arguments)]


def environment(**more):
    """The environment of a command: quiet, and on the CPU."""
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", **more}


def run(main, *arguments, cwd=ROOT, timeout=300, **variables):
    """Runs a script of ours, as `subprocess.run` does with its output captured.

    Args:
      main: its path from the root.
      *arguments: of its command line.
      cwd: the folder it runs in.
      timeout: seconds after which it is killed; its return code is then that of the signal.
      **variables: of the environment, beside those of this process.

    Returns:
      `subprocess.CompletedProcess`.
    """
    server, argv = _server(), command(main, *arguments)[1:]
    with tempfile.TemporaryDirectory() as folder:
        outputs = [os.path.join(folder, name) for name in ("stdout", "stderr")]
        task = {"argv": argv, "cwd": str(cwd), "environment": environment(**variables), "timeout": timeout}
        server.stdin.write(json.dumps({**task, "outputs": outputs}) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(argv, code, *(pathlib.Path(path).read_text() for path in outputs))


@contextlib.contextmanager
def two_workers(*flags):
    """Two processes that train together, with what they say in a pipe each; they are killed in the end."""
    from benchmarks import links

    workers, processes = links.free_addresses(2), []
    try:
        for index in range(2):
            task = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
            processes.append(
                subprocess.Popen(
                    command("train_main.py", *flags),
                    cwd=ROOT,
                    env=environment(TF_CONFIG=json.dumps(task), PYTHONUNBUFFERED="1"),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
        yield processes
    finally:
        for process in processes:
            process.kill()


@functools.cache
def _server():
    """The process that is forked; it ends when this one does, which closes its input."""
    alone = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # the libraries start no threads
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, __file__], env=environment(**alone), **options)


def _serve():
    """Forks for each task that is read, and writes its return code."""
    sys.modules["pandas"] = None  # Keras imports it where it is installed, and what it imports starts threads
    import matplotlib.figure  # noqa: F401
    import scipy.optimize  # noqa: F401
    import tensorflow_datasets  # noqa: F401
    from tensorboard.plugins.hparams import api  # noqa: F401

    graphics = (
        "geometry.transformation.rotation_matrix_3d",
        "math.spherical_harmonics",
        "rendering.camera.perspective",
    )
    for name in ("tensorflow_addons", *(f"tensorflow_graphics.{module}" for module in graphics)):
        if importlib.util.find_spec(name.partition(".")[0]):
            # As in `dense_labels.compat`, which is not imported: where a script finds our packages is its own matter.
            with unittest.mock.patch("inspect.stack", lambda: [(sys._getframe(1),), (sys._getframe(2),)]):
                importlib.import_module(name)
    del sys.modules["pandas"]
    gc.freeze()  # as conftest.py does
    gc.set_threshold(50_000, 20, 20)
    threads = os.listdir("/proc/self/task") if os.path.exists("/proc/self/task") else [0]
    assert len(threads) == 1, f"the libraries have started {len(threads) - 1} threads, which a fork would not have"
    for line in sys.stdin:
        task = json.loads(line)
        if not (child := os.fork()):
            _become(task)
            return
        signal.signal(signal.SIGALRM, lambda *_, child=child: os.kill(child, signal.SIGKILL))
        signal.alarm(task["timeout"])
        _, status = os.waitpid(child, 0)
        signal.alarm(0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(task):
    """Runs the task's script as Python would; ends as it ends."""
    for stream, path in zip((sys.stdout, sys.stderr), task["outputs"]):
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, stream.fileno())
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
    os.environ.clear()
    os.environ.update(task["environment"])
    os.chdir(task["cwd"])
    sys.argv = task["argv"]
    sys.path[0] = os.path.dirname(sys.argv[0])
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # and not tests, which has a folder dense_labels too
    _serve()
