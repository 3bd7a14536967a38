"""Parameters of our models beside the numbers that the paper prints and the official modules have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

RELEASED = "S-S-2d as released"
"""The released S-S-2d has Q-Former blocks, the paper's has plain ones."""


@dataclass(frozen=True, kw_only=True)
class Count:
    """A model and the parameters of its parts."""

    name: str
    kind: str
    parts: Mapping[str, int]

    @property
    def total(self) -> int:
        """Parameters of the whole model."""
        return sum(self.parts.values())


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


def count_models() -> list[Count]:
    """All named models at paper scale, counted on the meta device: nothing is allocated."""
    import torch

    from gigatok.models import AR_MODELS, TOKENIZERS, build_ar, build_tokenizer, parameters_by_part

    with torch.device("meta"):
        tokenizers = {name: build_tokenizer(name) for name in TOKENIZERS}
        tokenizers[RELEASED] = build_tokenizer("S-S-2d", block="qformer")
        generators = {name: build_ar(name) for name in AR_MODELS}
    return [
        Count(name=name, kind=kind, parts=parameters_by_part(model))
        for kind, models in (("tokenizer", tokenizers), ("generator", generators))
        for name, model in models.items()
    ]


def compare(counts: list[Count], claims: Mapping[str, Any]) -> list[Comparison]:
    """Every claim about parameters (tables 1, 8 and 9, official modules) beside our count."""
    known = {count.name: count for count in counts}
    return [*_table1(known, claims), *_table8(known, claims), *_table9(known, claims), *_official(known, claims)]


def printed_agrees(ours: int, millions: float) -> bool:
    """Whether ``ours`` rounds to a printed number of millions.

    Trailing zeros may be rounding: 1400 stands for 1350M to 1450M, 136 for 135.5M to 136.5M.
    """
    zeros = len(str(int(millions))) - len(str(int(millions)).rstrip("0"))
    unit = 1e6 * 10.0**zeros
    return abs(ours - millions * 1e6) <= unit / 2


def _table1(known: Mapping[str, Count], claims: Mapping[str, Any]) -> Iterator[Comparison]:
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
            yield _printed(model, f"transformer {size} ({layout})", ours, millions, "paper table 1")


def _table8(known: Mapping[str, Count], claims: Mapping[str, Any]) -> Iterator[Comparison]:
    for size, (millions, *_) in claims["table8"]["rows"].items():
        yield _printed(f"GPT-{size}", "total", known[f"GPT-{size}"].total, millions, "paper table 8")


def _table9(known: Mapping[str, Count], claims: Mapping[str, Any]) -> Iterator[Comparison]:
    table = claims["table9"]
    for name, millions in zip(table["columns"], table["params"], strict=True):
        yield _printed(name, "total", known[name].total, millions, "paper table 9")


def _official(known: Mapping[str, Count], claims: Mapping[str, Any]) -> Iterator[Comparison]:
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


def _printed(model: str, what: str, ours: int, millions: float, source: str) -> Comparison:
    return Comparison(
        model=model,
        what=what,
        ours=ours,
        claimed=round(millions * 1_000_000),
        source=source,
        agrees=printed_agrees(ours, millions),
    )
