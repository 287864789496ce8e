"""Simulate operational data, or load it from files, into the database that extract reads."""

MAX_BAD_FRACTION = 0.001
"""Default share of unreadable rows above which a load fails and loads nothing."""
