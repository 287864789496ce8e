"""Checkpoints in memory, for trainings that a test interrupts."""

from __future__ import annotations


class Kept(dict):
    """The bytes by stage and rounds, in the order in which they were saved."""

    def save(self, stage, rounds, data):
        self[stage, rounds] = data

    def latest(self, stage):
        mine = [key for key in self if key[0] == stage]
        return self[max(mine)] if mine else None

    def first(self, count):
        """What a kill after `count` of them leaves."""
        return Kept({key: self[key] for key in list(self)[:count]})
