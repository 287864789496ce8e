"""Sends an alert with Apprise, to the addresses of one Airflow connection.

An address is one of Apprise's URLs: Slack, PagerDuty, e-mail, a webhook, or one of a hundred
others.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys

from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from jobs.core.environment import proxies

# A task ends after its callbacks, which Airflow kills after 60 s (`task_success_overtime`). This is
# the limit for asking what is served, and again for sending.
LIMIT_S = 20

log = logging.getLogger(__name__)


def send(connection: str, title: str, text: str) -> None:
    """Send to every address of the connection, if it exists, within LIMIT_S. Never raises."""
    try:
        if addresses := _addresses(connection):
            _apprise(addresses, title, text)
    except subprocess.TimeoutExpired:
        log.error("the alert was not sent within %s s", LIMIT_S)
    except Exception as error:
        # The error's text may contain an address, which is a secret.
        log.error(
            "the alert was not sent: %s (docs/runbook.md#alerts-do-not-arrive)",
            type(error).__name__,
        )


def _addresses(connection: str) -> list[str]:
    """The addresses of the connection, which the log masks from now on; [] if it does not exist."""
    # A slow import, which the parsing of DAGs does not need.
    from airflow.providers.apprise.hooks.apprise import AppriseHook

    hook = AppriseHook(connection)
    try:
        config = hook.get_config_from_conn(hook.get_connection(connection))
    except AirflowNotFoundException:
        log.info("the connection %s does not exist: alerts are only logged", connection)
        return []
    addresses = [entry["path"] for entry in (config if isinstance(config, list) else [config])]
    for address in addresses:
        mask_secret(address)
    return addresses


def _apprise(addresses: list[str], title: str, text: str) -> None:
    """Send from a process, which can be killed whatever it waits for.

    Its environment has PATH, the proxies and its addresses, and no other secrets. The addresses are
    not arguments, which other users of the machine could read.
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
            "an address refused the alert or did not answer (docs/runbook.md#alerts-do-not-arrive)"
        )


def _environment(addresses: list[str]) -> dict[str, str]:
    own = {"PATH": os.environ.get("PATH", os.defpath), "APPRISE_URLS": "\n".join(addresses)}
    return proxies(os.environ) | own
