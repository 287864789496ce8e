"""What the API says when it refuses, and how it writes a time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    501: "NotImplemented",
    503: "ServiceUnavailable",
}


class Refusal(Exception):
    """An answer that is a Status object of `code`, instead of what was asked for."""

    def __init__(self, code: int, message: str, reason: str = "", **details: Any) -> None:
        super().__init__(message)
        self.code, self.message = code, message
        self.reason, self.details = reason or REASONS.get(code, "InternalError"), details

    def body(self) -> Mapping[str, Any]:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "code": self.code,
            "reason": self.reason,
            "message": self.message,
            "details": self.details,
        }


def missing(kind: str, name: str) -> Refusal:
    return Refusal(404, f'{kind} "{name}" not found', name=name, kind=kind)


def invalid(name: str, field: str, problem: str) -> Refusal:
    """What the API server's validation says of one field of a pod."""
    causes = [{"field": field, "message": problem}]
    return Refusal(
        422, f'Pod "{name}" is invalid: {field}: {problem}', name=name, kind="Pod", causes=causes
    )


def now() -> str:
    """metav1.Time: UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def nanoseconds(time_ns: int) -> str:
    """The time of a log's line: RFC 3339, UTC, always nine digits, as the kubelet writes it."""
    seconds, fraction = divmod(time_ns, 10**9)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{fraction:09}Z"
