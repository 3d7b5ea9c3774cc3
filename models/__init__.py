"""Networks, which label images, and heads, which find landmarks in label maps.

Both are found by name in `dense_labels.registry`: `NETWORKS["simple"].value.create(config.model, "float32")` is a
`tf.keras.Model`, `HEADS["nearest"].value.fit(known, upsample=4, seed=0)` a layer. Each has one file in
`models.networks` or `models.heads`, which is read without TensorFlow; the Keras models and layers stand in the modules
beside this one.
"""
