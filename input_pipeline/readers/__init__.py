"""Readers of data sets and annotations, one file a format."""
