"""Whether a text that a page quotes is one that the code can say, values included.

Texts come from jobs/, plugins/ and dags/ without their docstrings. A value in a quote is a name, a
number, a text of the code, or a message of another program; plain words are not values.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

from jobs.core.params import AlertParams
from jobs.core.pipelines import PIPELINES
from jobs.core.settings import PROJECT
from jobs.core.steps import STEPS
from jobs.usecases.discovery import find_usecase

SOURCES = tuple(
    sorted(
        path for folder in ("jobs", "plugins", "dags") for path in (PROJECT / folder).rglob("*.py")
    )
)

# Texts of other programs: PostgreSQL, the kernel, Redis's client, pydantic, Kubernetes, Python,
# Airflow.
OTHERS = (
    "connection refused",
    "Connection refused",
    "Error 111 connecting to 127.0.0.1:24000.",
    "Input should be greater than 0",
    "Unschedulable",
    "0/3 nodes are available",
    "3 Insufficient nvidia.com/gpu",
    "ImagePullBackOff",
    "CreateContainerConfigError",
    "KeyError",
    "scheduled",
    "API request to",
    "is not a respondent for the task",
    "is not allowed to write again",
    "Expecting value",
    "line 1 column 1 (char 0)",
)
# Values that are plain words; any other value has a digit or a sign in it.
WORDS = {
    *PIPELINES,
    *STEPS,
    "postgres",
    "redis",
    "running",
    "unknown",
    "current",
    "None",
    "transactions",
    "text",
    "holdout",
    "fitting",
    "serving",
    "process",
    "money",
}
MIN_FIXED = 5  # characters of the code in a match: values alone are no text of the code
VARIABLE = None  # in a text, where the code puts a value

Text = tuple[str | None, ...]


def quotes_something(quote: str) -> bool:
    """Whether some text of the code, with some values, contains the quote."""
    return any(contains(text, quote) for text in texts())


def quotes_a_whole_text(quote: str) -> bool:
    """Whether the quote is a whole text of the code with values, or lies between two of its values.

    The quote may leave out a value at the end, such as the next action, with the space or colon
    before it.
    """
    for text in texts():
        if any(piece and quote in piece for piece in text):
            return True
        if matches(text, 0, quote, 0, whole=True):
            return True
        if text[-1:] == (VARIABLE,) and any(
            matches(text[:-1], 0, quote + end, 0, whole=True) for end in (" ", ": ")
        ):
            return True
    return False


def contains(text: Text, quote: str) -> bool:
    """Whether the text, with some values, contains the quote."""
    if not any(
        piece and (piece in quote or quote in piece or shares_a_word(piece, quote))
        for piece in text
    ):
        return False  # a short cut
    for at, piece in enumerate(text):
        if piece is VARIABLE:
            if matches(text, at, quote, 0):
                return True
            continue
        if quote in piece:
            return True
        for cut in range(len(piece)):
            if quote.startswith(piece[cut:]) and matches(
                text, at + 1, quote[len(piece) - cut :], len(piece) - cut
            ):
                return True
    return False


def matches(text: Text, at: int, rest: str, fixed: int, *, whole: bool = False) -> bool:
    """Whether the rest of a quote is the text from its piece `at` on, to the end if `whole`.

    `fixed` counts the characters of the quote so far that are the code's.
    """
    if not rest:
        return fixed >= MIN_FIXED and (not whole or at == len(text))
    if at == len(text):
        return False
    piece = text[at]
    if piece is VARIABLE:
        return any(
            is_value(rest[:end]) and matches(text, at + 1, rest[end:], fixed, whole=whole)
            for end in range(1, len(rest) + 1)
        )
    if not whole and piece.startswith(rest):
        return fixed + len(rest) >= MIN_FIXED
    return rest.startswith(piece) and matches(
        text, at + 1, rest[len(piece) :], fixed + len(piece), whole=whole
    )


def is_value(text: str) -> bool:
    """Whether a piece of a quote can be a value."""
    if " " in text and (text,) in texts():
        return True
    for other in OTHERS:
        text = text.replace(other, "")
    words = text.split()
    return all(word in WORDS or not word.strip(":;,.'").isalpha() for word in words)


def shares_a_word(piece: str, quote: str) -> bool:
    return not set(re.findall(r"\w+", piece)).isdisjoint(re.findall(r"\w+", quote))


@cache
def texts() -> dict[Text, None]:
    """The texts of the code, docstrings left out: their fixed pieces, and VARIABLE between them."""
    collected: list[Text] = [(name,) for name in parameter_names()]
    collected += [(f"{pipeline}.{step}",) for pipeline in PIPELINES for step in STEPS]
    for file in SOURCES:
        tree = ast.parse(file.read_text())
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                collected.append(tuple(part for value in node.values for part in pieces(value)))
            elif (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and id(node) not in docstrings
            ):
                collected.append(tuple(pieces(node)))
    return dict.fromkeys(collected)


def parameter_names() -> list[str]:
    """The keys of params.yaml, as the runbook names them."""
    sections = {
        "alerts": AlertParams,
        **{
            step: model
            for pipeline in PIPELINES
            for step, model in find_usecase(pipeline).params.items()
        },
    }
    return [f"{section}.{key}" for section, model in sections.items() for key in model.model_fields]


def pieces(node: ast.expr) -> Iterator[str | None]:
    if not isinstance(node, ast.Constant):
        yield VARIABLE
        return
    text = " ".join(re.split(r"\s*\n\s*", node.value))
    for n, fixed in enumerate(re.split(r"%[sd]|\{\w*\}", text)):
        if n:
            yield VARIABLE
        if fixed:
            yield fixed
