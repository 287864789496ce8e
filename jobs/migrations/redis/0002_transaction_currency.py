"""Documents of `transaction_scores` get `currency` by a reload from PostgreSQL, which has it."""

from __future__ import annotations

from jobs.migrations.reload import reload as apply

__all__ = ["apply"]
