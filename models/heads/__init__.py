"""Landmark heads, one file each: label map -> landmarks.

What is registered is a class with two static methods. `fit(known, upsample=, seed=)` fits a head to `LabelledLandmarks`
and returns a layer from labels [N, h, w, L] to a dictionary that holds `points` [N, K, 2], (x, y) in pixels of the
image, and `score` [N, K] from 0 to 1. The layer's `state()` is a dictionary of arrays, from which `restore(state)`
makes a layer that answers bit for bit alike; a head from outside that does not is not kept, which is warned of. The
state has other names than `evaluation.calibration.KEYS`, which are kept beside it, for what scores are worth is learned
of every head alike. The fact `decodings` names the ways in which the head locates a landmark, each with the words a
report has for it: where there are several, each is an entry of the layer's answer; the one way of another head is
`points`.
"""
