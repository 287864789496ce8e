"""The timetable of a schedule that is off."""

from __future__ import annotations

from typing import Any

from airflow.timetables.trigger import CronPartitionTimetable


class ByHand(CronPartitionTimetable):
    """The partitions of the schedule, for backfills and manual runs; Airflow starts no run."""

    description = "Off until `nightshift schedule on`"

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.description = type(self).description  # the base class describes the cron expression

    @property
    def summary(self) -> str:
        """The text that the UI shows instead of the cron expression."""
        return "off"

    def next_dagrun_info_v2(self, **_: object) -> None:
        """There is no next run."""
