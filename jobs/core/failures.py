"""What an engine raises, as one of our errors: the one mechanism at every edge (steps, stores, the command line).

Which engine it was is read off the traceback; what it means, off the table in failure_rules.py.
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
_INNER = re.compile(
    r"^.*\(Caused by (?:\w+\()?['\"]?(.*?)['\"]?\)\).*$"
)  # of urllib3, around what it was
_FILE = re.compile(r"(?:(?:file|s3a?|gs|hdfs|abfss?):/+|/)[^\s'\"]*?\.parquet")
_OF_A_STEP = re.compile(r"(?P<pipeline>[^/]+)/(?P<step>[^/]+)/(?P<date>\d{4}-\d\d-\d\d)/[^/]+$")


def explain(error: BaseException, input: str = "") -> NightshiftError:
    """The error as one of ours, whose exit code says whether trying again can help; one of ours stays as it is.

    `input` names what the engine was asked for, where the error itself names no file.
    """
    if isinstance(error, NightshiftError):
        return error
    links = list(_chain(error))
    engine = engine_of(error)
    beside = traces.of_engines() if engine == "Spark" else ""
    text = "\n".join([*map(_text, links), beside])
    rule = next(rule for rule in RULES if rule.fits(engine, text))
    file = next(
        (str(name) for link in links if (name := getattr(link, "filename", None))), ""
    ) or _file(text)
    return rule.kind(
        rule.what.format(engine=engine or "the step"),
        rule.remedy.format(again=_again(file)),
        file or (input if engine else ""),
        why=_reason("\n".join([*map(_said, links), beside]), rule),
        section=_section(rule, engine, file, input),
    )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Have an OSError from inside name `path`: what the kernel says of a failed write names no file."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def engine_of(error: BaseException) -> str:
    """The engine that our code was calling when it failed, "" for none: by its frames, else by the error's class."""
    below: list[str] = []
    for module in _modules(error.__traceback__):
        below = [] if module.startswith("jobs.") else [*below, module]
    classes = [kind.__module__ for link in _chain(error) for kind in type(link).__mro__]
    tops = [module.partition(".")[0] for module in (*below, *classes)]
    return next((ENGINES[top] for top in tops if top in ENGINES), "")


def _section(rule: Rule, engine: str, file: str, input: str) -> str:
    """The section of the runbook: of a store that does not do its work, of a file; "" where it is the step's, or a setting's."""
    if rule.kind is StoreError:
        return (
            "the-source-is-down" if input.startswith("the source, ") else SECTIONS.get(engine, "")
        )
    return "a-file-of-the-lake-is-gone-or-damaged" if rule.kind is DataError and file else ""


def _reason(said: str, rule: Rule) -> str:
    """The line that says why: Java's last `Caused by`, or the error's first; the one that the rule knows, if any."""
    caused = [match[1] for match in _CAUSED.finditer(said)]
    line = caused[-1] if caused else said.strip().partition("\n")[0]
    if rule.signs and not rule.shows(line):
        line = next(filter(rule.shows, said.splitlines()), line)
    line = _INNER.sub(r"\1", line)
    words = " ".join(_NOISE.sub("", line.strip()).split())
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from, at most ten of them."""
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in seen and len(seen) < 10:
        seen.append(link)
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _text(error: BaseException) -> str:
    """All that the rules look at: classes, code, message."""
    codes = [getattr(error, name, None) for name in ("pgcode", "error_code", "name")]
    number = error.errno if isinstance(error, OSError) else None
    code = " ".join(f"code={code}" for code in [*codes, errorcode.get(number or 0)] if code)
    classes = " ".join(kind.__name__ for kind in type(error).__mro__[:-3])
    return f"{classes} {code} {_said(error)}"


def _said(error: BaseException) -> str:
    """Its message. Py4J asks the JVM for it, which may be gone."""
    try:
        said = str(error)
    except Exception:
        return type(error).__name__
    return (
        f"{type(error).__name__}: {said}"
        if isinstance(error, KeyError)
        else said or type(error).__name__
    )


def _modules(traceback: TracebackType | None) -> Iterator[str]:
    while traceback is not None:
        yield str(traceback.tb_frame.f_globals.get("__name__", ""))
        traceback = traceback.tb_next


def _file(text: str) -> str:
    match = _FILE.search(text)
    return re.sub("^file:/+", "/", unquote(match[0])) if match else ""


def _again(file: str) -> str:
    """The command that writes the file anew."""
    match = _OF_A_STEP.search(file)
    if not match:
        return "the step that wrote it"
    return f"nightshift {match['step']} --pipeline {match['pipeline']} --date {match['date']}"
