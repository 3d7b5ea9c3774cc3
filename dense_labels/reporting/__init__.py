"""The pages and TensorBoard logs that a run is shown by."""
