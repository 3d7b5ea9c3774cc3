"""TensorFlow Serving: its configuration, a client, a stand-in for its binary, and conversion to other runtimes."""

import os

import dense_labels  # noqa: F401, for it sets up TensorFlow, which the modules here import

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before the modules here import TensorFlow: an error is one line
