"""Networks, one file each: image -> label map.

What is registered is a class with three static methods or class methods, which take the `ModelConfig` of a run:
`create(settings, precision)` returns a `tf.keras.Model` from images [B, H, W, 3] in [0, 1] to labels, float32
[B, H // stride, W // stride, label_size]; `stride(settings)` is the side of a cell in pixels;
`has_confidence(settings)` says whether the length of a label is its confidence, as in paper 2.

The fact `heat_maps` is True of a network whose "labels" are responses of landmarks of its own, a channel each. They go
wherever labels go, but nothing is matched by them: what compares labels is left out of such a run, or refused.
"""
