"""Benchmarks of Nightshift against the usual alternatives, in one run; `make bench` runs all."""
