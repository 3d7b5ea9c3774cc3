"""Detectors: networks that are trained end to end on annotated pictures, and on the pile without annotations."""
