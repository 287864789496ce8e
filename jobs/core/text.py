"""Text from data, made safe to show on a terminal, in a log line or in a page."""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

# Cc: control characters. Cf: invisible ones that reorder or hide text. Cs: halves of a pair. Zl, Zp: line ends.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = (
    "\u200c\u200d"  # Cf, but part of the spelling of Persian and Indian languages and of emoji
)

# What Markdown acts on anywhere, and at the start of a line. An underscore within a word is only an underscore.
_SPECIAL = re.compile(r"[\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])")
_LEADING = re.compile(r"^(\d*)([#+=.)-])")


def printable(text: str, keep: str = "") -> str:
    """`text` with every control character as its escape (`\\x1b`), so that no terminal acts on it.

    Returns one line, unless `keep` has `\\n`: the characters of `keep` stay as they are.
    """
    return "".join(
        character if character in keep or not _unprintable(character) else _escape(character)
        for character in text
    )


def printable_json(document: str) -> str:
    """A JSON document in which control characters are JSON's escapes (`\\u001b`): the same values, safe to show."""
    return "".join(
        character
        if character == "\n" or not _unprintable(character)
        else json.dumps(character)[1:-1]
        for character in document
    )


def choice(name: str, names: Iterable[str]) -> str:
    """What to write in place of an unknown `name`: the nearest of `names`, if one is near, and all of them."""
    names = list(names)
    near = get_close_matches(name.lower(), names, n=1)
    return (f"did you mean {near[0]}? " if near else "") + f"choose one of {', '.join(names)}"


def markup(text: str) -> str:
    """`text` for a page of HTML or a script in it: printable, and without a character that either would act on.

    Different texts stay different: a backslash of the text is doubled, an `&` becomes `&amp;`.
    """
    return html.escape(printable(text.replace("\\", "\\\\")))


def markdown(text: str) -> str:
    """`text` for a paragraph, a list or a table cell of Markdown, which shows it as it is, on one line."""
    plain = html.escape(printable(text.strip(" ")), quote=False)  # Markdown lets HTML through
    return _LEADING.sub(r"\1\\\2", _SPECIAL.sub(r"\\\g<0>", plain))


def _unprintable(character: str) -> bool:
    return unicodedata.category(character) in _UNPRINTABLE and character not in _JOINERS


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()
