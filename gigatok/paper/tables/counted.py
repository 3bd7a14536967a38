"""Tables 1, 8 and 9: architectures, counted from the modules themselves at paper scale. Exact on any machine."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gigatok.paper.printed import load_claims
from gigatok.paper.text import digits, escape, markdown_table, tabular
from gigatok.planning.parameters import RELEASED, Count

_MILLION = 1e6


@dataclass(frozen=True)
class ExactRow:
    """One architecture: the paper's numbers and ours, column by column."""

    label: str
    paper: tuple[float, ...]
    ours: tuple[float, ...]

    @property
    def agrees(self) -> bool:
        """Equal shapes, and parameters equal to the digits the paper prints (two at least)."""
        shapes = self.paper[1:] == self.ours[1:]
        return shapes and abs(self.ours[0] - self.paper[0]) <= _last_digit(self.paper[0])


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


def exact_tables() -> list[ExactTable]:
    """Tables 1, 8 and 9; a few seconds, no weights allocated."""
    return [_table1(), _table8(), _table9()]


def _table1() -> ExactTable:
    claims = load_claims()["table1"]
    parts = {name: _parts(name) for name in ("S-S", "B-L", "L-XL", "XL-XXL", "S-S-2d", "S-B-2d", "B-L-2d")}

    def encoder(name: str) -> float:
        return parts[name]["transformer_encoder"] / _MILLION

    def decoder(name: str) -> float:
        return (parts[name]["transformer_decoder"] + parts[name]["alignment"]) / _MILLION

    counted = {
        ("1d", "S"): encoder("S-S"),
        ("1d", "B"): encoder("B-L"),
        ("1d", "L"): encoder("L-XL"),
        ("1d", "XL"): encoder("XL-XXL"),
        ("1d", "XXL"): decoder("XL-XXL"),
        ("2d", "S"): encoder("S-S-2d"),
        ("2d", "B"): encoder("B-L-2d"),
        ("2d", "L"): decoder("B-L-2d"),
    }
    sizes = _sizes()
    rows = [
        ExactRow(f"{layout.upper()} {size}", tuple(claims[layout][size]), (count, *sizes[size]))
        for (layout, size), count in counted.items()
    ]
    note = "Parameters in millions: encoders without alignment MLP; 1D XXL and 2D L are decoders with it."
    return ExactTable(1, "Transformer variants", tuple(claims["columns"]), tuple(rows), note)


def _table8() -> ExactTable:
    import torch

    from gigatok.models import AR_MODELS, build_ar

    claims = load_claims()["table8"]
    rows = []
    for size, printed in claims["rows"].items():
        config = AR_MODELS[f"GPT-{size}"]
        with torch.device("meta"):
            count = sum(each.numel() for each in build_ar(f"GPT-{size}").parameters()) / _MILLION
        rows.append(ExactRow(size, tuple(printed), (count, config.depth, config.heads, config.width)))
    return ExactTable(8, "LlamaGen AR models", tuple(claims["columns"]), tuple(rows), "Parameters in millions.")


def _table9() -> ExactTable:
    from gigatok.models import TOKENIZERS

    claims = load_claims()["table9"]
    keys = ("params", *(f"{side}_{what}" for side in ("encoder", "decoder") for what in ("depth", "heads", "dim")))
    rows = []
    for place, name in enumerate(claims["columns"]):
        config = TOKENIZERS[name]
        ends = [(size.depth, size.heads, size.width) for size in (config.encoder, config.decoder)]
        ours = (sum(_parts(name).values()) / _MILLION, *ends[0], *ends[1])
        rows.append(ExactRow(name, tuple(claims[key][place] for key in keys), ours))
    note = (
        "Parameters in millions, alignment MLP included. The paper prints 2896 for XL-XXL; its released code, "
        "which ours equals to the parameter, has 2893.97."
    )
    return ExactTable(9, "Tokenizer configurations", keys, tuple(rows), note)


def _parts(name: str) -> dict[str, int]:
    import torch

    from gigatok.models import build_tokenizer, parameters_by_part

    with torch.device("meta"):
        return parameters_by_part(build_tokenizer(name))


def _sizes() -> dict[str, tuple[int, int, int]]:
    from gigatok.models import TOKENIZERS

    known = {}
    for name, config in TOKENIZERS.items():
        encoder, decoder = name.removesuffix("-2d").split("-")
        known[encoder] = (config.encoder.depth, config.encoder.heads, config.encoder.width)
        known[decoder] = (config.decoder.depth, config.decoder.heads, config.decoder.width)
    return known


def _last_digit(printed: float) -> float:
    """Half a unit of the last digit that is not a trailing zero, and a little for the paper's own rounding."""
    unit = 1.0
    while printed % (unit * 10) == 0 and unit < printed:
        unit *= 10
    return 0.6 * unit if unit > 1 else 1.0


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


def compare(counts: list[Count], claims: Mapping[str, Any]) -> list[Comparison]:
    """Every claim about parameters (tables 1, 8 and 9, official modules) beside our count."""
    known = {count.name: count for count in counts}
    return [
        *compare_table1(known, claims),
        *compare_table8(known, claims),
        *compare_table9(known, claims),
        *compare_official(known, claims),
    ]


def printed_agrees(ours: int, millions: float) -> bool:
    """Whether ``ours`` rounds to a printed number of millions.

    Trailing zeros may be rounding: 1400 stands for 1350M to 1450M, 136 for 135.5M to 136.5M.
    """
    zeros = len(str(int(millions))) - len(str(int(millions)).rstrip("0"))
    unit = 1e6 * 10.0**zeros
    return abs(ours - millions * 1e6) <= unit / 2


def compare_table1(known: Mapping[str, Count], claims: Mapping[str, Any]) -> Iterator[Comparison]:
    """Transformers by size. Most were counted as encoders; XXL and the 2D L as decoders with alignment MLP."""
    encoder = {"S": "S-S", "B": "B-L", "L": "L-XL", "XL": "XL-XXL"}
    decoder = {("1d", "XXL"): "XL-XXL", ("2d", "L"): "B-L-2d"}
    for layout in ("1d", "2d"):
        for size, (millions, *_) in claims["table1"][layout].items():
            if (layout, size) in decoder:
                model = decoder[layout, size]
                ours = known[model].parts["transformer_decoder"] + known[model].parts["alignment"]
            else:
                model = encoder[size] if layout == "1d" else {"S": "S-S-2d", "B": "B-L-2d"}[size]
                ours = known[model].parts["transformer_encoder"]
            yield compared(model, f"transformer {size} ({layout})", ours, millions, "paper table 1")


def compare_table8(known: Mapping[str, Count], claims: Mapping[str, Any]) -> Iterator[Comparison]:
    for size, (millions, *_) in claims["table8"]["rows"].items():
        yield compared(f"GPT-{size}", "total", known[f"GPT-{size}"].total, millions, "paper table 8")


def compare_table9(known: Mapping[str, Count], claims: Mapping[str, Any]) -> Iterator[Comparison]:
    table = claims["table9"]
    for name, millions in zip(table["columns"], table["params"], strict=True):
        yield compared(name, "total", known[name].total, millions, "paper table 9")


def compare_official(known: Mapping[str, Count], claims: Mapping[str, Any]) -> Iterator[Comparison]:
    official = claims["official_code_params"]
    released = {RELEASED: official["tokenizer_as_released"]["S-S-2d"]}
    for name, claimed in {**official["tokenizer"], **released, **official["ar"]}.items():
        ours = known[name].total
        yield Comparison(
            model=name,
            what="total",
            ours=ours,
            claimed=claimed,
            source="official code",
            agrees=ours == claimed,
        )


def compared(model: str, what: str, ours: int, millions: float, source: str) -> Comparison:
    return Comparison(
        model=model,
        what=what,
        ours=ours,
        claimed=round(millions * 1_000_000),
        source=source,
        agrees=printed_agrees(ours, millions),
    )
