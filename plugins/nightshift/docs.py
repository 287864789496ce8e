"""Serves the pages of docs/ in Airflow's web server, so that the runbook fits the code that runs.

They need no login: they are the project's documentation and have nothing of an installation in
them.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow.sdk.configuration import conf

from jobs.core.settings import PROJECT

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

PREFIX = "/nightshift"
RUNBOOK = "docs/runbook.md"
# Only these pages are served, and no other file, such as those of an installation in the project.
_PAGES = re.compile(r"(README|CHANGELOG|(jobs|plugins)/README|docs/([\w-]+/)*[\w-]+)\.md")
_PAGE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
 body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
 body {{ font: 16px/1.5 system-ui, sans-serif; }}
 :target {{ background: #fef7e0; }} table {{ border-collapse: collapse; }}
 td, th {{ border: 1px solid #ccc; padding: .2rem .5rem; }}
 pre {{ overflow: auto; background: #f4f4f4; padding: .5rem; }}
</style>
<body>{body}</body></html>
"""


def link(section: str, *, absolute: bool = False) -> str:
    """The address of a section of the runbook: relative to the server, or absolute."""
    base = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
    root = base if absolute else urlsplit(base).path
    return f"{root}{PREFIX}/{RUNBOOK}#{section}"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application under PREFIX: a page of documentation, or 404."""
    from starlette.responses import HTMLResponse

    if scope["type"] != "http":
        return
    path = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/")
    body = page(path)
    response = (
        HTMLResponse("This page does not exist.", HTTPStatus.NOT_FOUND)
        if body is None
        else HTMLResponse(
            body,
            headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
        )
    )
    await response(scope, receive, send)


def page(path: str) -> str | None:
    """A page of the documentation as HTML, with GitHub's anchors; None if there is no such page."""
    file = PROJECT / path
    if not _PAGES.fullmatch(path) or not file.is_file():
        return None
    from markdown_it import MarkdownIt

    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = renderer.parse(file.read_text())
    for heading, words in pairwise(tokens):
        if heading.type == "heading_open":
            heading.attrSet("id", anchor(words.content))
    return _PAGE.format(title=path, body=renderer.renderer.render(tokens, renderer.options, {}))


def anchor(title: str) -> str:
    """The anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
