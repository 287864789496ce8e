"""One module a step. Each tells one story: window, read, compute, stage, check, swap; `frame` holds
the rest.
"""
