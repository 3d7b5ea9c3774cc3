"""TensorFlow Serving: its configuration, a client, a stand-in for its binary, and conversion to other runtimes."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before the modules here import TensorFlow: an error is one line
