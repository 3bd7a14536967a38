"""What every section of ``params.yaml`` shares: frozen, closed to unknown keys, one-line errors."""

from __future__ import annotations

import re
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

_LOGIN = re.compile(r"://([^\s/?#'\"]*)@")


def without_login(text: str) -> str:
    """``https://host/x`` for ``https://user:password@host/x``, wherever addresses occur in ``text``."""
    return _LOGIN.sub("://", text)


def login_of(address: str) -> str:
    """``user:password`` of an address, as it is written there; empty: it has none."""
    found = _LOGIN.search(address)
    return found[1] if found else ""


def printable(text: str) -> str:
    """``text`` in one line that a terminal shows and does not obey.

    Line ends become blanks. Control and direction characters, and what stands for bytes that are not UTF-8, are
    written as escapes: names of files and classes come from anywhere.
    """
    if text.isprintable():
        return text
    line = " ".join(text.splitlines())
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in line)


class GigatokWarning(UserWarning):
    """What the user should read although the work continues; one line."""


class GigatokError(Exception):
    """Something the user can mend. One line: what is wrong (setting, value, rule) and the fix.

    The command line and the stages print the text alone and exit with ``exit_code``.
    """

    exit_code = 1

    def __init__(self, text: str = "") -> None:
        super().__init__(printable(text))


class ConfigError(GigatokError, ValueError):
    """A setting is missing, unknown or out of range."""

    exit_code = 2


class Section(BaseModel):
    """A frozen group of settings. Unknown keys are refused, so a typing error never passes silently."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    def replace(self, **changes: Any) -> Self:
        """A validated copy with ``changes`` applied."""
        return type(self).model_validate({**self.model_dump(), **changes})
