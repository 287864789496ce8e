"""Translate what an engine raises into one of our errors, for steps, stores and the CLI alike.

The traceback says which engine failed; the table in failure_rules.py says what the failure means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from errno import errorcode
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote

from jobs.core import traces
from jobs.core.errors import DataError, NightshiftError, StoreError
from jobs.core.failure_rules import ENGINES, RULES, SECTIONS, Rule

_LONGEST = 400  # characters of an engine's reason
_CAUSED = re.compile(r"^Caused by: (?:[\w.$]+(?:Exception|Error)\w*: )?(.+)$", re.MULTILINE)
_NOISE = re.compile(r"^(?:\[[\d:]+\] \S+\.\w+:\d+: |[\w.$]+(?:Exception|Error): )")
# urllib3 wraps the cause of a failed request in this text.
_INNER = re.compile(r"^.*\(Caused by (?:\w+\()?['\"]?(.*?)['\"]?\)\).*$")
_FILE = re.compile(r"(?:(?:file|s3a?|gs|hdfs|abfss?):/+|/)[^\s'\"]*?\.parquet")
_OF_A_STEP = re.compile(r"(?P<pipeline>[^/]+)/(?P<step>[^/]+)/(?P<date>\d{4}-\d\d-\d\d)/[^/]+$")


def explain(error: BaseException, input: str = "") -> NightshiftError:
    """Return the error as one of ours, with the exit code that says whether a retry can help.

    An error that is already ours is returned unchanged. `input` names what the engine was asked
    for; it is used when the error itself names no file.
    """
    if isinstance(error, NightshiftError):
        return error
    links = list(_chain(error))
    engine = engine_of(error)
    stderr = traces.of_engines() if engine == "Spark" else ""
    text = "\n".join([*map(_text, links), stderr])
    rule = next(rule for rule in RULES if rule.fits(engine, text))
    file = next(
        (str(name) for link in links if (name := getattr(link, "filename", None))), ""
    ) or _file(text)
    return rule.kind(
        rule.what.format(engine=engine or "the step"),
        rule.remedy.format(again=_again(file)),
        file or (input if engine else ""),
        why=_reason("\n".join([*map(_message, links), stderr]), rule),
        section=_section(rule, engine, file, input),
    )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Add `path` to an OSError raised inside, since the kernel's own error names no file."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def engine_of(error: BaseException) -> str:
    """Return the engine that our code was calling when it failed, "" for none.

    The frames of the traceback decide; without a match, the error's classes do.
    """
    below: list[str] = []
    for module in _modules(error.__traceback__):
        below = [] if module.startswith("jobs.") else [*below, module]
    classes = [kind.__module__ for link in _chain(error) for kind in type(link).__mro__]
    tops = [module.partition(".")[0] for module in (*below, *classes)]
    return next((ENGINES[top] for top in tops if top in ENGINES), "")


def _section(rule: Rule, engine: str, file: str, input: str) -> str:
    """Return the runbook section of a failed store or a damaged file.

    "" leaves the choice to the step's own sections, or to the one about settings.
    """
    if rule.kind is StoreError:
        return (
            "the-source-is-down" if input.startswith("the source, ") else SECTIONS.get(engine, "")
        )
    return "a-file-of-the-lake-is-gone-or-damaged" if rule.kind is DataError and file else ""


def _reason(messages: str, rule: Rule) -> str:
    """Return the line that gives the reason: one that the rule matches, if any.

    Else Java's last `Caused by`, or the first line of the error.
    """
    caused = [match[1] for match in _CAUSED.finditer(messages)]
    line = caused[-1] if caused else messages.strip().partition("\n")[0]
    if rule.signs and not rule.shows(line):
        line = next(filter(rule.shows, messages.splitlines()), line)
    line = _INNER.sub(r"\1", line)
    words = " ".join(_NOISE.sub("", line.strip()).split())
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its causes, at most ten in all."""
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in seen and len(seen) < 10:
        seen.append(link)
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _text(error: BaseException) -> str:
    """Return the text that the rules match: classes, code, message."""
    codes = [getattr(error, name, None) for name in ("pgcode", "error_code", "name")]
    number = error.errno if isinstance(error, OSError) else None
    code = " ".join(f"code={code}" for code in [*codes, errorcode.get(number or 0)] if code)
    classes = " ".join(kind.__name__ for kind in type(error).__mro__[:-3])
    return f"{classes} {code} {_message(error)}"


def _message(error: BaseException) -> str:
    """Return its message, or its class where there is none."""
    try:
        message = str(error)
    except Exception:  # Py4J asks the JVM for the message, and the JVM may be gone
        return type(error).__name__
    if isinstance(error, KeyError):
        return f"{type(error).__name__}: {message}"
    return message or type(error).__name__


def _modules(traceback: TracebackType | None) -> Iterator[str]:
    while traceback is not None:
        yield str(traceback.tb_frame.f_globals.get("__name__", ""))
        traceback = traceback.tb_next


def _file(text: str) -> str:
    match = _FILE.search(text)
    return re.sub("^file:/+", "/", unquote(match[0])) if match else ""


def _again(file: str) -> str:
    """Return the command that writes the file again."""
    match = _OF_A_STEP.search(file)
    if not match:
        return "the step that wrote it"
    return f"nightshift {match['step']} --pipeline {match['pipeline']} --date {match['date']}"
