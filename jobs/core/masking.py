"""Remove secrets from every text that people and logs read.

Code that hands out an address registers its password here (`learn`). `mask` then removes it in
every form: plain, percent-encoded, escaped by repr or JSON, or a mixture. It also removes the login
of every address, registered or not.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from functools import lru_cache
from typing import TextIO, cast
from urllib.parse import unquote, unquote_plus

HIDDEN = "***"
# Characters; a shorter password is masked inside addresses only, since it occurs in many words.
SHORTEST = 4

# In an address: the text between `://` and the last `@` before the next address, if it starts like
# a login.
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
    """Mask the password of `address` from now on.

    Return `address`, a URL or libpq's `key=value` pairs.

    A password that is also a name in the address (`nightshift:nightshift@…`) is masked inside
    addresses only.
    """
    secrets = passwords(address)
    scheme, _, rest = address.partition("://")
    names = {scheme, *re.split(r"\W+", rest.rpartition("@")[2]), rest.partition(":")[0]}
    _learned.update(secrets - names)
    return address


def passwords(address: str) -> set[str]:
    """Return the passwords in an address, both as written and decoded; empty if it has none.

    If a raw `/`, `?`, `#` or `@` makes the end of the login ambiguous, all readings count.
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
    """Return the address without its login and its options, for people to read and open."""
    return _LOGIN.sub("", address).partition("?")[0]


def ambiguous(address: str) -> bool:
    """Whether the login has a raw `/`, `?` or `#`, so that libraries misread the host."""
    rest = address.partition("://")[2]
    authority = re.split(r"[/?#]", rest)[0]
    return ":" in authority and "@" not in authority and "@" in rest


def mask(text: str) -> str:
    """Return `text` with `***` for every registered secret and the login of every address."""
    secrets = _learned | {value for name, value in os.environ.items() if _VARIABLE.search(name)}
    maskable = (secret for secret in secrets if len(secret) >= SHORTEST)
    pattern = _any_of(tuple(sorted(maskable, key=len, reverse=True)))
    text = pattern.sub(HIDDEN, text) if pattern else text
    text = _LOGIN.sub(f"{HIDDEN}@", text)
    return _ENTRY.sub(rf"\1{HIDDEN}", _KEYWORD.sub(rf"\1{HIDDEN}", text))


class Masked:
    """A text stream that masks what is written to it; everything else is passed to the stream.

    Text that cannot be written is dropped: a full log disk must not stop a step or change its exit
    code.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(mask(text))
        return len(text)

    def flush(self) -> None:
        """Flush the stream, ignoring OSError; Python also calls this when the process ends."""
        with suppress(OSError):
            self._stream.flush()

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def masked(stream: TextIO) -> TextIO:
    """Return `stream` as one that masks secrets."""
    return stream if isinstance(stream, Masked) else cast(TextIO, Masked(stream))


@lru_cache(maxsize=8)
def _any_of(secrets: tuple[str, ...]) -> re.Pattern[str] | None:
    """Return a pattern that matches every secret in any written form; None without secrets."""
    return (
        re.compile("|".join("".join(map(_forms, secret)) for secret in secrets))
        if secrets
        else None
    )


def _forms(character: str) -> str:
    """Return a pattern of one character in every form.

    Plain, percent-encoded (even twice), or escaped by repr, by repr of bytes, or by JSON.
    """
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
