"""The paper's printed numbers: ``claims.yaml``, the only place they come from."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import yaml


@cache
def load_claims() -> dict[str, Any]:
    """The ledger as read; do not change it (it is cached)."""
    text = resources.files("gigatok.paper").joinpath("claims.yaml").read_text()
    claims: dict[str, Any] = yaml.safe_load(text)
    return claims


Values = dict[str, dict[str, float]]


def printed_rows(number: int) -> Values:
    """Rows of one of the tables that trained GigaTok models fill (2, 3, 5, 6, 7, 10)."""
    if number == 3:
        return _system(load_claims()["table3"]["gigatok"])
    if number == 10:
        return {label: row for label, row in _full().items() if label.startswith("GigaTok")}
    return _plain(load_claims()[f"table{number}"])


def other_systems(number: int) -> Values:
    """Rows of tables 3 and 10 about other systems: printed as the paper has them, never run here."""
    if number == 3:
        table = load_claims()["table3"]
        return _system([*table["continuous"], *table["discrete"]])
    return {label: row for label, row in _full().items() if not label.startswith("GigaTok")} if number == 10 else {}


def without_guidance(number: int) -> set[str]:
    """Labels of rows whose gFID the paper reports without classifier-free guidance."""
    if number == 3:
        entries = load_claims()["table3"]["gigatok"]
        return {_label(entry, each["name"]) for entry in entries for each in entry["generators"] if _no_cfg(each)}
    flagged = load_claims()["table10"]["no_cfg"] if number == 10 else {}
    return {label for label in (_full() if flagged else {}) if any(label.endswith(f", {name}") for name in flagged)}


def _no_cfg(entry: dict[str, Any]) -> bool:
    return "no-cfg" in entry.get("flags", [])


def _plain(table: dict[str, Any]) -> Values:
    columns: list[str] = table["columns"]
    return {
        f"{label:.2f}" if isinstance(label, float) else str(label): dict(zip(columns, row, strict=True))
        for label, row in table["rows"].items()
    }


def _label(entry: dict[str, Any], generator: str) -> str:
    variant = f" ({entry['variant']})" if "variant" in entry else ""
    return f"{entry['tokenizer']}{variant}, {generator}"


def _system(entries: list[dict[str, Any]]) -> Values:
    rows: Values = {}
    for entry in entries:
        for generator in entry["generators"]:
            label = _label(entry, generator["name"])
            label += f" [{entry['tokens']} tokens]" if label in rows else ""
            scores = {key: generator[key] for key in ("gfid", "lin_acc") if key in generator}
            rows[label] = {"rfid": entry["rfid"], **scores}
    return rows


def _full() -> Values:
    table = load_claims()["table10"]
    rows: Values = {}
    for entry in table["rows"]:
        own = dict(zip(table["tokenizer_columns"], entry["values"], strict=True))
        for generator, values in entry["ar"].items():
            both = {**own, **dict(zip(table["ar_columns"], values, strict=True))}
            both.pop("params")
            rows[_label(entry, generator)] = {key: value for key, value in both.items() if value is not None}
    return rows
