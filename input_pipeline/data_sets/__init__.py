"""Data sets that are not lists of still pictures, one file each; each registers itself as a source.

The fact `simulated` says that the data set is built from a number of pairs and a seed; `size` is the (height, width) in
pixels of frames that are not resized; `reads_in_graph` that TensorFlow alone makes the pairs, so that a tf.data service
can do it elsewhere.
"""
