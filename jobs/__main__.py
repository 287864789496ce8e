"""`python -m jobs` is the console script `nightshift`."""

from jobs.cli import main

main()
