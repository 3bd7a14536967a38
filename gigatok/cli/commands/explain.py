"""``gigatok-bench explain``: why two scores differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from gigatok.evaluation.scoring.explain import Effect, Explanation


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        short_help="Why the scores in two sheets differ.",
        epilog="Example: gigatok-bench explain ours.json theirs.json --cache features/",
    )(explain)


def explain(
    first: Annotated[Path, typer.Argument(metavar="A.json", help="A score sheet: summary.json, or evaluate --output.")],
    second: Annotated[Path, typer.Argument(metavar="B.json", help="Another.")],
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder that 'evaluate --cache' filled: re-scores A with parts of B. Runs find their own."),
    ] = None,
    metric: Annotated[str | None, typer.Option(help="Only this metric, e.g. rfid.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print for machines.")] = False,
) -> None:
    """List what differs between how A and B were measured, and how much of the gap each part explains."""
    from gigatok.artifacts import ScoreSheet
    from gigatok.cli.options import check_input
    from gigatok.config import GigatokError

    for sheet in (first, second):
        check_input(sheet, "pass a score sheet, runs/*/NAME/summary.json or what 'evaluate --output' wrote")
    sheets = (ScoreSheet.read(first), ScoreSheet.read(second))
    from gigatok.evaluation.scoring.explain import explain as compare

    caches = [cache] if cache else list(dict.fromkeys([*caches_of_runs(first), *caches_of_runs(second)]))
    explanations = compare(*sheets, *caches)
    common = list(dict.fromkeys(item.metric for item in explanations))
    if metric is not None:
        explanations = [item for item in explanations if metric in (item.metric, item.metric.split("/")[0])]
    if not explanations:
        known = f"; they share {', '.join(common)}" if common else ""
        wanted = "metric" if metric is None else f"metric {metric}"
        raise GigatokError(f"{first} and {second} have no {wanted} in common{known}")
    if as_json:
        print(json.dumps([_as_dict(item) for item in explanations], indent=1, allow_nan=False))
        return
    for item in explanations:
        _print(item)


def caches_of_runs(sheet: Path) -> list[Path]:
    """The stores of features beside a run's score sheet (``runs/*/NAME/summary.json``), the newest first.

    There are several where the code that computes features has changed: each has the scores and features of its own
    time.
    """
    caches = [path for parent in sheet.resolve().parents for path in parent.glob("cache/features-*")]
    return sorted(caches, key=lambda path: path.stat().st_mtime, reverse=True)


def _print(item: Explanation) -> None:
    from gigatok.cli.tables import terminal_width, wrapped

    names = item.metric if item.metric == item.second.metric else f"{item.metric} | {item.second.metric}"
    said = ["measured alike"] if item.comparable else []
    said += [f"differs in {difference}" for difference in item.differences]
    said += [_effect_line(item, effect) for effect in item.effects]
    print(f"{names}: {item.first.value:.6g} | {item.second.value:.6g}")
    for text in said:
        print("\n".join(wrapped(text, terminal_width(), "    ", "      ")))


def _effect_line(item: Explanation, effect: Effect) -> str:
    if effect.value is None:
        return f"not re-scored ({effect.change}): {effect.reason}"
    return f"A with B's {effect.change}: {effect.value:.6g} ({effect.value - item.first.value:+.6g})"


def _as_dict(item: Explanation) -> dict[str, Any]:
    return {
        "metric": item.metric,
        "values": [item.first.value, item.second.value],
        "comparable": item.comparable,
        "differences": [str(difference) for difference in item.differences],
        "effects": [effect._asdict() for effect in item.effects],
    }
