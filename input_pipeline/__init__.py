"""Data: data sets, warps, pairs and the pipeline that feeds them to training and evaluation."""
