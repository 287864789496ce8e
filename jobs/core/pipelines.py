"""The names of the pipelines: the folders of jobs/usecases that have a usecase.py. Imports none."""

from __future__ import annotations

from pathlib import Path

PIPELINES = tuple(
    sorted(path.parent.name for path in Path(__file__).parents[1].glob("usecases/*/usecase.py"))
)
DEFAULT_PIPELINE = "fraud"  # where a command or a form needs none
PIPELINE_HELP = f"The use case: {' or '.join(PIPELINES)}."
