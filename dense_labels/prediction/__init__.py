"""Prediction: the landmarks of many pictures, found by a run or an exported model, in the formats that people hold."""
