"""What the tests of training share."""

import os
import types

import pytest

from dense_labels.training import callbacks


@pytest.fixture
def no_pictures(monkeypatch):
    """Leaves out the pictures, which take longer than the training; returns the steps that would have been written."""
    drawn = []

    def label_pairs(network, pairs, stride, *, has_confidence, compares_labels):
        return types.SimpleNamespace(pair_matches=None)

    def write(log_dir, scalars, pictures, step, *, matches=None):
        os.makedirs(log_dir, exist_ok=True)
        drawn.append(step)

    monkeypatch.setattr(callbacks.gallery, "draw", lambda material, **options: {})
    monkeypatch.setattr(callbacks.gallery, "label_pairs", label_pairs)
    monkeypatch.setattr(callbacks.tensorboard, "write", write)
    return drawn
