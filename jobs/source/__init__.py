"""Operational data: simulated, or loaded from files, into the database that the pipelines extract from."""

MAX_BAD_FRACTION = 0.001
"""A load in which a larger share of the rows cannot be read loads nothing, unless told otherwise."""
