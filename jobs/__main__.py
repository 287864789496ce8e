"""`python -m jobs` is the console script `nightshift`."""

from jobs.cli.entry import main

main()
