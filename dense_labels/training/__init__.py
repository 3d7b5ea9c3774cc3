"""Training: the loop, optimisers, callbacks, checkpoints and backups; `losses` has the losses."""
