"""Bulk prediction: the landmarks of any number of pictures by an exported model, on whatever Apache Beam runs on."""
