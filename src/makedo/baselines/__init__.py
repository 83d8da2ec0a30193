"""Estimators that two rooms or more are compared with."""
