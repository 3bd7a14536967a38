"""Tables 1, 8 and 9: architectures, counted from the modules themselves at paper scale. Exact on any machine."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gigatok.config import TransformerSize
from gigatok.paper.printed import load_claims
from gigatok.paper.text import digits, escape, markdown_table, tabular
from gigatok.planning.parameters import RELEASED, Count, count_models

_MILLION = 1e6
_ENCODERS = {
    "1d": {"S": "S-S", "B": "B-L", "L": "L-XL", "XL": "XL-XXL"},
    "2d": {"S": "S-S-2d", "B": "B-L-2d"},
}
"""Tokenizers whose encoder a transformer of table 1 is, by layout and size."""
_DECODERS = {"1d": {"XXL": "XL-XXL"}, "2d": {"L": "B-L-2d"}}
"""The same for those that the paper counted as decoders, with their alignment MLP."""


@dataclass(frozen=True, kw_only=True)
class ExactRow:
    """One architecture: the paper's numbers and ours."""

    label: str
    model: str
    """The model that is counted."""
    what: str
    """``total``, or which part of the model."""
    parameters: int
    printed: float
    """Millions of parameters in the paper."""
    shape: tuple[int, ...]
    """Depths, heads and widths, in the order of the table's columns."""
    printed_shape: tuple[int, ...]

    @property
    def ours(self) -> tuple[float, ...]:
        """Our numbers, column by column; parameters in millions."""
        return (self.parameters / _MILLION, *self.shape)

    @property
    def paper(self) -> tuple[float, ...]:
        """The paper's."""
        return (self.printed, *self.printed_shape)

    @property
    def agrees(self) -> bool:
        """Equal shapes, and parameters that round to the printed number."""
        return self.shape == self.printed_shape and printed_agrees(self.parameters, self.printed)


@dataclass(frozen=True)
class ExactTable:
    """A table that needs no training."""

    number: int
    title: str
    columns: tuple[str, ...]
    rows: tuple[ExactRow, ...]
    note: str

    @property
    def name(self) -> str:
        """``table01``."""
        return f"table{self.number:02d}"


def exact_tables(counts: Sequence[Count] | None = None, claims: Mapping[str, Any] | None = None) -> list[ExactTable]:
    """Tables 1, 8 and 9; a few seconds, no weights allocated.

    Args:
        counts: of all named models; ``None``: they are counted.
        claims: what the paper prints; ``None``: ``claims.yaml``.
    """
    known = {count.name: count for count in (count_models() if counts is None else counts)}
    claims = load_claims() if claims is None else claims
    return [_table1(known, claims["table1"]), _table8(known, claims["table8"]), _table9(known, claims["table9"])]


def printed_agrees(ours: int, millions: float) -> bool:
    """Whether ``ours`` rounds to a printed number of millions.

    Trailing zeros may be rounding: 1400 stands for 1350M to 1450M, 136 for 135.5M to 136.5M.
    """
    zeros = len(str(int(millions))) - len(str(int(millions)).rstrip("0"))
    unit = 1e6 * 10.0**zeros
    return abs(ours - millions * 1e6) <= unit / 2


def _table1(known: Mapping[str, Count], claims: Mapping[str, Any]) -> ExactTable:
    from gigatok.models import TOKENIZERS

    rows = []
    for layout in ("1d", "2d"):
        for size, (millions, *shape) in claims[layout].items():
            decoder = _DECODERS[layout].get(size)
            model = decoder or _ENCODERS[layout][size]
            side = TOKENIZERS[model].decoder if decoder else TOKENIZERS[model].encoder
            parts = ("transformer_decoder", "alignment") if decoder else ("transformer_encoder",)
            rows.append(
                ExactRow(
                    label=f"{layout.upper()} {size}",
                    model=model,
                    what=f"transformer {size} ({layout})",
                    parameters=sum(known[model].parts[part] for part in parts),
                    printed=millions,
                    shape=_shape(side),
                    printed_shape=tuple(shape),
                )
            )
    note = "Parameters in millions: encoders without alignment MLP; 1D XXL and 2D L are decoders with it."
    return ExactTable(1, "Transformer variants", tuple(claims["columns"]), tuple(rows), note)


def _table8(known: Mapping[str, Count], claims: Mapping[str, Any]) -> ExactTable:
    from gigatok.models import AR_MODELS

    rows = []
    for size, (millions, *shape) in claims["rows"].items():
        config = AR_MODELS[f"GPT-{size}"]
        rows.append(_whole(known[f"GPT-{size}"], millions, (config.depth, config.heads, config.width), shape, size))
    return ExactTable(8, "LlamaGen AR models", tuple(claims["columns"]), tuple(rows), "Parameters in millions.")


def _table9(known: Mapping[str, Count], claims: Mapping[str, Any]) -> ExactTable:
    from gigatok.models import TOKENIZERS

    keys = tuple(f"{side}_{what}" for side in ("encoder", "decoder") for what in ("depth", "heads", "dim"))
    rows = []
    for place, name in enumerate(claims["columns"]):
        config, printed = TOKENIZERS[name], [claims[key][place] for key in keys]
        shape = (*_shape(config.encoder), *_shape(config.decoder))
        rows.append(_whole(known[name], claims["params"][place], shape, printed, name))
    note = (
        "Parameters in millions, alignment MLP included. The paper prints 2896 for XL-XXL; its released code, "
        "which ours equals to the parameter, has 2893.97."
    )
    return ExactTable(9, "Tokenizer configurations", ("params", *keys), tuple(rows), note)


def _whole(count: Count, millions: float, shape: tuple[int, ...], printed: Sequence[int], label: str) -> ExactRow:
    return ExactRow(
        label=label,
        model=count.name,
        what="total",
        parameters=count.total,
        printed=millions,
        shape=shape,
        printed_shape=tuple(printed),
    )


def _shape(size: TransformerSize) -> tuple[int, int, int]:
    return size.depth, size.heads, size.width


def exact_markdown(table: ExactTable) -> str:
    """Paper and ours in one cell where they differ, else once."""
    head = ["", *table.columns, "Parameters, paper", "Verdict"]
    body = [
        [row.label, *(digits(value) for value in row.ours), digits(row.paper[0]), _exact_verdict(row.agrees)]
        for row in table.rows
    ]
    title = f"# Table {table.number}: {table.title}\n"
    return "\n".join([title, "Counted from our modules at paper scale.\n", markdown_table(head, body), table.note, ""])


def exact_csv(table: ExactTable) -> str:
    """One line a number: row, column, paper, ours."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("row", "column", "paper", "ours"))
    for row in table.rows:
        writer.writerows((row.label, *each) for each in zip(table.columns, row.paper, row.ours, strict=True))
    return out.getvalue()


def exact_latex(table: ExactTable) -> str:
    """Our numbers, with the paper's parameter count in the last column."""
    head = " & ".join(["", *(escape(name) for name in table.columns), "params (paper)"])
    lines = [" & ".join([escape(r.label), *(digits(v) for v in r.ours), digits(r.paper[0])]) for r in table.rows]
    return tabular("l" + "r" * (len(table.columns) + 1), [head], lines)


def _exact_verdict(agrees: bool) -> str:
    return "agrees" if agrees else "differs from the printed number"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One printed or counted number and ours."""

    model: str
    what: str
    ours: int
    claimed: int
    """Parameters; millions are multiplied out."""
    source: str
    agrees: bool

    def as_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)


def compare(counts: Sequence[Count], claims: Mapping[str, Any]) -> list[Comparison]:
    """Every claim about parameters (tables 1, 8 and 9, official modules) beside our count."""
    printed = [
        Comparison(
            model=row.model,
            what=row.what,
            ours=row.parameters,
            claimed=round(row.printed * 1_000_000),
            source=f"paper table {table.number}",
            agrees=row.agrees,
        )
        for table in exact_tables(counts, claims)
        for row in table.rows
    ]
    official = claims["official_code_params"]
    released = {RELEASED: official["tokenizer_as_released"]["S-S-2d"]}
    totals = {count.name: count.total for count in counts}
    return printed + [
        Comparison(
            model=name,
            what="total",
            ours=totals[name],
            claimed=claimed,
            source="official code",
            agrees=totals[name] == claimed,
        )
        for name, claimed in {**official["tokenizer"], **released, **official["ar"]}.items()
    ]
