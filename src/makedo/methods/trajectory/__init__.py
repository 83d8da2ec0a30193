"""Trajectory attribution: which cues a trajectory predictor really uses."""
