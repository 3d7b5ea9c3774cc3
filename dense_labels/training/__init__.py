"""Training: the loop, optimisers, callbacks and checkpoints."""
