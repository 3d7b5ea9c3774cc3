"""Detectors: networks that are trained end to end on annotated pictures."""
