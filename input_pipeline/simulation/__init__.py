"""Simulated data sets: the robot arm and the textured sphere."""
