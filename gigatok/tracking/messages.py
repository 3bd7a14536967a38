"""Texts of other libraries, made fit for a terminal, a log or a file: no passwords, no control characters, one line."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Iterator
from typing import TextIO
from urllib.parse import quote, unquote

from gigatok.config.base import printable
from gigatok.config.writing import system_error

_LENGTH = 400
_HIDDEN = "***"
_USER = re.compile(r"(://)(?:[^\s/?#'\":@]*:[^\s'\"]*|[^\s/?#'\"]*)@")
"""User and password of an address. A password may hold ``/`` and ``@`` unquoted, so all up to the last ``@`` is one."""
_FIELD = re.compile(r"(?i)((?:password|passwd|pwd|secret|token|api_?key|signature)['\"]?\s*[=:]\s*['\"]?)[^\s&,;'\"]+")
_HEADER = re.compile(r"(?i)\b(basic|bearer) [\w+/=.~-]{6,}")
_SECRET_NAME = re.compile(r"(?:PASSWORD|PASSWD|TOKEN|SECRET|SECRET_KEY|ACCESS_KEY|API_KEY)$")
_ADDRESS_NAME = re.compile(r"_UR[IL]$")
_SHORTEST_SECRET = 4
"""Characters: shorter values would blank out parts of ordinary words."""


def mask(text: str, *addresses: str) -> str:
    """``text`` without passwords: those of ``addresses`` and of the environment, wherever they occur.

    A library may quote an address whole, decoded, or in part; each known password is therefore looked for as such,
    besides everything that has the form of one.
    """
    for secret in _secrets(addresses):
        text = text.replace(secret, _HIDDEN)
    text = _USER.sub(rf"\1{_HIDDEN}@", text)
    text = _FIELD.sub(rf"\1{_HIDDEN}", text)
    return _HEADER.sub(rf"\1 {_HIDDEN}", text)


def one_line(error: BaseException | str, *addresses: str) -> str:
    """The first line of an error's text, masked; the error's type if it says nothing."""
    lines = [line.strip() for line in str(error).splitlines()]
    first = next(filter(None, lines), type(error).__name__)
    text = printable(mask(first, *addresses))
    return text if len(text) <= _LENGTH else text[:_LENGTH].rpartition(" ")[0] + " ..."


def without_user(address: str) -> str:
    """An address to be shown. Never raises: what cannot be parsed is masked all the same."""
    return printable(mask(address, address).replace(f"://{_HIDDEN}@", "://"))


class MaskedStream:
    """A text stream that masks what is written to it: the log of a process that runs other people's libraries."""

    def __init__(self, stream: TextIO, *addresses: str) -> None:
        self._stream = stream
        self._addresses = addresses

    def write(self, text: str) -> int:
        """Write ``text``, masked."""
        self._stream.write(mask(text, *self._addresses))
        return len(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def _secrets(addresses: tuple[str, ...]) -> list[str]:
    """Every spelling of every known password, longest first: one may be part of another."""
    found: set[str] = set()
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name):
            found.add(value)
        elif _ADDRESS_NAME.search(name):
            found |= set(_passwords(value))
    for address in addresses:
        found |= set(_passwords(address))
    spellings = {spelling for secret in found for spelling in (secret, unquote(secret), quote(secret, safe=""))}
    return sorted((each for each in spellings if len(each) >= _SHORTEST_SECRET), key=len, reverse=True)


def _passwords(address: str) -> Iterator[str]:
    """What may be the password of ``scheme://user:password@host``, also where it holds ``/`` or ``@`` unquoted."""
    _, separator, rest = address.partition("://")
    user, at, _ = rest.rpartition("@")
    if not (separator and at):
        return
    name, colon, password = user.partition(":")
    if colon:
        yield password
        yield b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
    else:
        yield name  # a token in the user's place


def mendable(error: BaseException) -> str | None:
    """What to say instead of a traceback; ``None``: a fault of the program, whose traceback is needed.

    Torch's errors are known by name: torch is not imported for this, not every stage needs it.
    """
    if isinstance(error, OSError):
        return system_error(error)
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, MemoryError) or "OutOfMemoryError" in names:
        return f"out of memory ({_plain(error)}): lower the stage's batch_size"
    if "BackendCompilerFailed" in names:
        why = _plain(getattr(error, "inner_exception", error))[:200]
        return (
            f"launch.compile = true, but torch.compile failed ({why}): it needs a C++ compiler, and Triton for a GPU; "
            "or set launch.compile to false"
        )
    return None


def _plain(error: object) -> str:
    return " ".join(str(error).split())
