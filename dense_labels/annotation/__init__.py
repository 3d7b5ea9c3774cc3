"""Annotating with the labels' help: which pictures are worth it, where a point of one lies in the others, the page."""
