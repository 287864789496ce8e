"""Make text from data safe for a terminal, a log line or a page."""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

# Cc: control characters. Cf: invisible ones that reorder or hide text. Cs: lone surrogates. Zl, Zp:
# line ends.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Cf, but part of the spelling of Persian and Indian languages and of emoji.
_JOINERS = "\u200c\u200d"

# Characters that Markdown interprets anywhere, and at the start of a line. An underscore within a
# word is plain text.
_SPECIAL = re.compile(r"[\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])")
_LEADING = re.compile(r"^(\d*)([#+=.)-])")


def printable(text: str, keep: str = "") -> str:
    """Return `text` with control characters escaped (`\\x1b`), so that no terminal interprets them.

    The result is one line, unless `keep` has `\\n`: the characters of `keep` are not escaped.
    """
    return "".join(
        character if character in keep or not _unprintable(character) else _escape(character)
        for character in text
    )


def printable_json(document: str) -> str:
    """Return the JSON document with control characters as JSON escapes (`\\u001b`)."""
    return "".join(
        character
        if character == "\n" or not _unprintable(character)
        else json.dumps(character)[1:-1]
        for character in document
    )


def choice(name: str, names: Iterable[str]) -> str:
    """Return a hint for an unknown `name`: its nearest match, if any, and all of `names`."""
    names = list(names)
    near = get_close_matches(name.lower(), names, n=1)
    return (f"did you mean {near[0]}? " if near else "") + f"choose one of {', '.join(names)}"


def markup(text: str) -> str:
    """Return `text` escaped for an HTML page or a script in it, and printable.

    Different texts stay different: a backslash is doubled, an `&` becomes `&amp;`.
    """
    return html.escape(printable(text.replace("\\", "\\\\")))


def markdown(text: str) -> str:
    """Return `text` escaped for a Markdown paragraph, list or table cell, on one line."""
    plain = html.escape(printable(text.strip(" ")), quote=False)  # Markdown lets HTML through
    return _LEADING.sub(r"\1\\\2", _SPECIAL.sub(r"\\\g<0>", plain))


def _unprintable(character: str) -> bool:
    return unicodedata.category(character) in _UNPRINTABLE and character not in _JOINERS


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()
