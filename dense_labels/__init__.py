"""Dense labels: learns from unlabelled pictures of one kind of object where on the object every pixel is.

    import dense_labels

    run = dense_labels.train("PICTURES", workdir="runs/mine")  # or dense_labels.open_run("runs/mine")
    result = run.evaluate("annotations.csv")  # fits landmark heads, measures them, keeps them in the run
    print(result.table())
    run.predict("MORE_PICTURES", out="points")  # points/points.csv: the landmarks of all of them
    run.export("served/mine")  # a SavedModel for TensorFlow Serving; dense_labels.load("served/mine") predicts as well

What is named here is imported when it is first used: `import dense_labels` itself imports no TensorFlow.
"""

from __future__ import annotations

import importlib
import os
import platform
from typing import TYPE_CHECKING, Any

if os.name == "nt":
    raise ImportError("Dense Labels needs locks of files, which Windows lacks: use WSL2, where it runs as on Linux")

if TYPE_CHECKING:
    from dense_labels.batches import LabelMap, Match
    from dense_labels.config import Config
    from dense_labels.evaluation.result import Result
    from dense_labels.prediction.merging import merge_annotations
    from dense_labels.prediction.predictions import Predictions
    from dense_labels.prediction.predictor import load
    from dense_labels.run import Run, open_run
    from dense_labels.run_training import train

__all__ = [
    "Config",
    "LabelMap",
    "Match",
    "Predictions",
    "Result",
    "Run",
    "load",
    "merge_annotations",
    "open_run",
    "train",
]

# On processors with AVX2 alone TensorFlow leaves oneDNN out. It makes a training step faster there too, and keeps the
# memory that TensorFlow 2.21 would give back and ask for in each step. TensorFlow is told before it is imported.
if platform.machine() in ("x86_64", "AMD64"):
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# Else the first process would take nearly all memory of a GPU, and the next one, such as another worker, find none.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

_HOMES = {
    "Config": "dense_labels.config",
    "LabelMap": "dense_labels.batches",
    "Match": "dense_labels.batches",
    "Predictions": "dense_labels.prediction.predictions",
    "Result": "dense_labels.evaluation.result",
    "Run": "dense_labels.run",
    "load": "dense_labels.prediction.predictor",
    "merge_annotations": "dense_labels.prediction.merging",
    "open_run": "dense_labels.run",
    "train": "dense_labels.run_training",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
