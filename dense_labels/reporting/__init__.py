"""The page and TensorBoard logs that a run is shown by, and the page to annotate pictures in."""
