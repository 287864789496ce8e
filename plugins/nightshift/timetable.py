"""The timetable of a schedule that is off."""

from __future__ import annotations

from typing import Any

from airflow.timetables.trigger import CronPartitionTimetable


class ByHand(CronPartitionTimetable):
    """The partitions of the schedule, for backfills and runs by hand; nothing starts by itself."""

    description = "Off until `nightshift schedule on`"

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.description = type(self).description  # the base class describes the cron expression

    @property
    def summary(self) -> str:
        """What the UI shows in place of the cron expression."""
        return "off"

    def next_dagrun_info_v2(self, **_: Any) -> None:
        """No next run."""
