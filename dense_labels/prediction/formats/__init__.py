"""Formats that predictions are written in, one file each: a function of `Predictions` that returns the file's content.

The fact `file` is its name in the folder of the output.
"""
