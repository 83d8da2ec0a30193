"""Containers and data sets; knows no method."""
