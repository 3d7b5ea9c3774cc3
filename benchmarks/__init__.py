"""Measurements that back the figures of the documentation, each one command."""

import dense_labels  # noqa: F401, for it sets up TensorFlow, and some benchmarks import that first
