"""How an alert leaves the platform: by Apprise, to the addresses of one Airflow connection.

An address is a URL of Apprise's: Slack, PagerDuty, e-mail, a plain webhook and some hundred others.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys

from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from jobs.core.environment import proxies

# A task is not over before its callbacks are, and Airflow ends these after 60 s (`task_success_overtime`): so long for
# asking what is served, so long for sending.
LIMIT_S = 20

log = logging.getLogger(__name__)


def send(connection: str, title: str, text: str) -> None:
    """Send to every address of the connection; nothing without one. Never raises, and is over within LIMIT_S."""
    try:
        if addresses := _addresses(connection):
            _apprise(addresses, title, text)
    except subprocess.TimeoutExpired:
        log.error("the alert was not sent within %s s", LIMIT_S)
    except Exception as error:
        # Its words may have an address in them, and an address is a secret.
        log.error(
            "the alert was not sent: %s (docs/runbook.md#alerts-do-not-arrive)",
            type(error).__name__,
        )


def _addresses(connection: str) -> list[str]:
    """The addresses of the connection, from now on masked in the log; none when there is no such connection."""
    # The parsing of DAGs need not import it.
    from airflow.providers.apprise.hooks.apprise import AppriseHook

    hook = AppriseHook(connection)
    try:
        found = hook.get_config_from_conn(hook.get_connection(connection))
    except AirflowNotFoundException:
        log.info("there is no connection %s: alerts are only logged", connection)
        return []
    addresses = [each["path"] for each in (found if isinstance(found, list) else [found])]
    for address in addresses:
        mask_secret(address)
    return addresses


def _apprise(addresses: list[str], title: str, text: str) -> None:
    """In a process, which can be ended whatever it waits for.

    Of the environment it gets PATH and the proxies, with all other addresses and all secrets left out; its own
    addresses are not among its arguments.
    """
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            "from apprise.cli import main; main()",
            "--notification-type",
            "failure",
            "--title",
            title,
        ],
        input=text,
        env=_environment(addresses),
        text=True,
        timeout=LIMIT_S,
        capture_output=True,
        check=False,
    )
    if ended.returncode:
        log.error(
            "an address of the alert refused it or did not answer (docs/runbook.md#alerts-do-not-arrive)"
        )


def _environment(addresses: list[str]) -> dict[str, str]:
    own = {"PATH": os.environ.get("PATH", os.defpath), "APPRISE_URLS": "\n".join(addresses)}
    return proxies(os.environ) | own
