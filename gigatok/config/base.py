"""What every section of ``params.yaml`` shares: frozen, closed to unknown keys, one-line errors."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class GigatokError(Exception):
    """Something the user can mend. One line: what is wrong (setting, value, rule) and the fix.

    The command line and the stages print the text alone and exit with ``exit_code``.
    """

    exit_code = 1


class ConfigError(GigatokError, ValueError):
    """A setting is missing, unknown or out of range."""

    exit_code = 2


class Section(BaseModel):
    """A frozen group of settings. Unknown keys are refused, so a typing error never passes silently."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    def replace(self, **changes: Any) -> Self:
        """A validated copy with ``changes`` applied."""
        return type(self).model_validate({**self.model_dump(), **changes})
