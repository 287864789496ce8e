"""`python -m jobs` is the console script `nightshift`."""

from jobs.cli.main import main

main()
