"""Losses, one file each: labels of a pair -> a number.

What is registered is a function `create(config, stride)` of the run's `Config` and the side of a cell in pixels; it
returns a Keras layer that is called on `(labels_a, labels_b, points_in_b, visible)` and adds the loss of the batch, as
`method.losses.MatchingLoss` does. The fact `points_stride` is for losses that draw points between the cells: training
pairs then have a point every so many pixels, where the cells are larger; it is None for losses that compare cells.
"""
