"""The one place where secrets are taken out of what people and logs read.

Whoever hands out an address has its password learned here. `mask` then removes it wherever it stands: as it is,
percent-encoded, escaped by repr or JSON, or any mixture of these; and every login of an address, learned or not.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from functools import lru_cache
from typing import TextIO, cast
from urllib.parse import unquote, unquote_plus

HIDDEN = "***"
SHORTEST = (
    4  # characters; a shorter password is masked inside addresses only, else no word would be left
)

# In an address, whatever stands between `://` and the last `@` before the next address, if it begins like a login.
_LOGIN = re.compile(r"(?<=://)(?:[^\s/?#@:]*:(?:(?!://)\S)*|[^\s/?#@]*)@")
_VALUE = r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s&,;]+)"""
_KEYWORD = re.compile(rf"(?i)((?:password|passwd|pwd|secret|token)=){_VALUE}")
_ENTRY = re.compile(
    r"""(?i)((['"])\w*(?:password|secret|token)\w*\2\s*:\s*)('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
)
_VARIABLE = re.compile(r"(?i)(PASSWORD|PASSWD|SECRET|TOKEN|ACCESS_KEY|API_KEY|FERNET_KEY)$")
_NAMED = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", "\v": "v", "\a": "a", "\0": "0"}

_learned: set[str] = set()


def learn(address: str) -> str:
    """`address`, the password of which is masked from now on: a URL, or libpq's `key=value` pairs.

    A password that is a name in the address too (`nightshift:nightshift@…`) is masked inside addresses only.
    """
    secrets = passwords(address)
    scheme, _, rest = address.partition("://")
    names = {scheme, *re.split(r"\W+", rest.rpartition("@")[2]), rest.partition(":")[0]}
    _learned.update(secrets - names)
    return address


def passwords(address: str) -> set[str]:
    """The passwords in an address, as they stand there and decoded; none where it has none.

    Where a raw `/`, `?`, `#` or `@` makes it ambiguous where the login ends, all readings count.
    """
    _, separator, rest = address.partition("://")
    logins = (
        {re.split(r"[/?#]", rest)[0].rpartition("@")[0], rest.rpartition("@")[0]}
        if separator
        else set()
    )
    secrets = {login.partition(":")[2] for login in logins}
    secrets |= {_unquoted(match[2]) for match in _KEYWORD.finditer(address)}
    return {
        form
        for secret in secrets
        for form in (secret, unquote(secret), unquote_plus(secret))
        if form
    }


def public(address: str) -> str:
    """The address without its login and its options, for people to read and follow."""
    return _LOGIN.sub("", address).partition("?")[0]


def ambiguous(address: str) -> bool:
    """Whether the login of a server's address holds a raw `/`, `?` or `#`, so that libraries find another host in it."""
    rest = address.partition("://")[2]
    authority = re.split(r"[/?#]", rest)[0]
    return ":" in authority and "@" not in authority and "@" in rest


def mask(text: str) -> str:
    """`text` with every secret that is known, and the login of every address, replaced by `***`."""
    secrets = _learned | {value for name, value in os.environ.items() if _VARIABLE.search(name)}
    pattern = _any_of(
        tuple(sorted((each for each in secrets if len(each) >= SHORTEST), key=len, reverse=True))
    )
    text = pattern.sub(HIDDEN, text) if pattern else text
    text = _LOGIN.sub(f"{HIDDEN}@", text)
    return _ENTRY.sub(rf"\1{HIDDEN}", _KEYWORD.sub(rf"\1{HIDDEN}", text))


class Masked:
    """A text stream whose words go through `mask`; all else is the stream's own.

    Words that cannot be written are dropped: a full disk under a log stops no step and changes no exit code.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(mask(text))
        return len(text)

    def flush(self) -> None:
        """As the stream's; Python calls it when the process ends."""
        with suppress(OSError):
            self._stream.flush()

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def masked(stream: TextIO) -> TextIO:
    """`stream` so that no secret passes it."""
    return stream if isinstance(stream, Masked) else cast(TextIO, Masked(stream))


@lru_cache(maxsize=8)
def _any_of(secrets: tuple[str, ...]) -> re.Pattern[str] | None:
    """What finds each of them in any of its written forms; None for none."""
    return (
        re.compile("|".join("".join(map(_forms, secret)) for secret in secrets))
        if secrets
        else None
    )


def _forms(character: str) -> str:
    """A character as it is, percent-encoded (twice, too), or escaped by repr, by repr of bytes, or by JSON."""
    data, code = character.encode(errors="surrogatepass"), ord(character)
    utf16 = character.encode("utf-16-be", errors="surrogatepass")
    units = [utf16[at : at + 2].hex() for at in range(0, len(utf16), 2)]
    forms = [
        rf"\\*{re.escape(character)}",
        "(?i:" + "".join(f"%(?:25)*{byte:02x}" for byte in data) + ")",
        "(?i:" + "".join(rf"\\+x{byte:02x}" for byte in data) + ")",
        "(?i:" + "".join(rf"\\+u{unit}" for unit in units) + ")",
        rf"(?i:\\+U{code:08x})",
    ]
    forms += [rf"(?i:\\+x{code:02x})"] if code < 256 else []
    forms += [r"\+"] if character == " " else []
    forms += [rf"\\+{_NAMED[character]}"] if character in _NAMED else []
    return f"(?:{'|'.join(forms)})"


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value
