"""The documents of `transaction_scores` get `currency`: Redis is loaded again from PostgreSQL, which has it by then."""

from __future__ import annotations

from jobs.migrations.reload import reload as apply

__all__ = ["apply"]
