"""The scaling table for terminals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gigatok.paper.tables.scaling_rows import ScalingRow

_LEAD = 4
"""Size, tokenizer, semantic, parameters."""


class ScalingView(NamedTuple):
    """Which columns, in what width."""

    columns: tuple[str, ...] | None
    """Metrics by key; ``None``: all that fit."""
    width: int | None

    def text(self, rows: Sequence[ScalingRow]) -> str:
        """The table, a line a row; below it the rows whose scores are of weights that are gone."""
        from gigatok.cli.tables import only, table, wrapped
        from gigatok.paper.tables.scaling import shown_columns, table_cells, why_missing

        head, body = table_cells(rows)
        keys = [column.key for column in shown_columns(rows)]
        if self.columns is not None:
            places = [_LEAD + keys.index(key) for key in self.columns if key in keys]
            head, *body = only([*range(_LEAD), *places], [head, *body])
        gone = []
        for row in rows:
            if row.outdated:
                command = f"gigatok-bench repro evaluate_tokenizer@{row.tokenizer} evaluate_generator@{row.generator}"
                gone += [*wrapped(f"{row.name}: {why_missing(row)}:", self.width), f"  {command}"]
        return "\n".join([table(head, body, self.width, left=_LEAD - 1), *gone])


def scaling_view(columns: str | None = None, *, wide: bool = False) -> ScalingView:
    """The view that ``--columns`` and ``--wide`` ask for.

    Raises:
        ConfigError: an unknown metric; the known ones are listed.
    """
    from gigatok.cli.tables import terminal_width
    from gigatok.config import ConfigError
    from gigatok.paper.results.metrics import SCALING_METRICS

    if columns is None:
        return ScalingView(None, terminal_width(wide=wide))
    chosen = tuple(part.strip() for part in columns.split(",") if part.strip())
    known = [column.key for column in SCALING_METRICS]
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen:
        raise ConfigError(f"--columns {(unknown or [columns])[0]!r} is not one of {', '.join(known)}")
    return ScalingView(chosen, None)
