"""TensorFlow Serving: its configuration, a client, a stand-in for its binary, and conversion to other runtimes.

`bulk` predicts and writes shards on Apache Beam.
"""

import os

from dense_labels import progress  # dense_labels sets up TensorFlow, which the modules here import

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before the modules here import TensorFlow: an error is one line


def not_installed(error: ImportError, module: str) -> BaseException:
    """Returns what to raise where TensorFlow Serving's API is missing: a line that ends a command, or an error.

    Args:
      error: what importing it has raised; returned where it is about something else.
      module: name of the module that imports it, "__main__" where it is run.
    """
    if not (isinstance(error, ModuleNotFoundError) and str(error.name).startswith(("grpc", "tensorflow_serving"))):
        return error
    said = progress.not_installed("the gRPC API of TensorFlow Serving", "tensorflow-serving-api", "serving")
    return SystemExit(f"error: {said}") if module == "__main__" else ImportError(str(said))
