"""Experiments, one file each: `get_config()` returns the `dense_labels.config.Config` of a training.

`--config=folder` finds folder.py by its name, in an installed program too; `--config=my_config.py` takes your own file.
"""
