"""What ``gigatok-bench runs`` shows of trainings: a line each, and two side by side."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gigatok.artifacts import Difference, Score
    from gigatok.pipeline.trainings.comparison import Comparison, ScorePair
    from gigatok.pipeline.trainings.listing import Training

_SHOWN_DIFFERENCES = 12
_NAME = 33
"""Characters of a metric, at most: so that its verdict fits beside it, whatever its numbers are."""
_SHORTEST = 12
"""Characters of a name that are always shown."""
_LEGEND = (
    "differ, unclear: beyond, within both intervals, which are of the scored\n"
    "images, not of another training seed; other way: measured differently"
)
_WORDS = {
    "differ": "differ",
    "equal": "equal",
    "no clear difference": "unclear",
    "no interval": "no bounds",
    "measured differently": "other way",
}


def print_comparison(
    found: Comparison, sides: tuple[str, str] = ("A", "B"), *, columns: str | None = None, wide: bool = False
) -> None:
    """What two trainings were made of, their curves and scores.

    Args:
        found: both; differences are shown from the earlier to the later one.
        sides: what to call them.
        columns: some of the sides and ``verdict``, by comma; ``None``: all.
        wide: lines of any length.
    """
    from gigatok.cli.tables import chosen, only, table, terminal_width

    head = ["metric", *sides, "verdict"]
    places = chosen(head, columns)
    width = terminal_width(wide=wide or columns is not None)
    labels = max(map(len, sides))
    for side, run in zip(sides, (found.left, found.right), strict=True):
        print(f"{side:<{labels}}  {'  '.join(cell for cell in run_cells(run)[:5] if cell)}")
    earlier, later = reversed(sides) if found.left.when > found.right.when else sides
    print(f"\nMade of, {earlier} -> {later}")
    differences = found.differences_in_time
    if differences is None:
        print("  unknown: one of them is of a version that recorded neither settings nor code")
    elif not differences:
        print("  the same settings, inputs and code")
    else:
        print_differences(differences)
    if found.curves:
        rows = [[pair.name, *(f"{value:.4g}" for value in pair.points[-1])] for pair in found.curves]
        print("\nCurves at their last common step\n" + table(["curve", "step", *sides], rows, width))
    if found.scores:
        rows = [[pair.metric, _value(pair.left), _value(pair.right), _word(pair, sides)] for pair in found.scores]
        head, *rows = only(places, [head, *rows])
        print("\nScores\n" + _with_cut_names(head, rows, width, _NAME))
        print(_LEGEND)


def _word(pair: ScorePair, sides: tuple[str, str]) -> str:
    if pair.verdict != "only one":
        return _WORDS[pair.verdict]
    return f"only {sides[pair.left is None]}"


def _with_cut_names(head: list[str], rows: list[list[str]], width: int | None, most: int | None = None) -> str:
    """The table; names longer than ``most``, or than a line has room for, are cut: a last line says how to see them."""
    from gigatok.cli.tables import table

    longest = max(len(row[0]) for row in rows)
    if width is None:
        return table(head, rows, None)
    over = max(map(len, table(head, rows, None).splitlines())) - width
    room = max(min(most or longest, longest - max(over, 0)), len(head[0]), _SHORTEST)
    cut = [[_cut(name, room), *cells] for name, *cells in rows]
    return table(head, cut, width) + ("\n…: --wide shows names whole" if longest > room else "")


def print_previous(*, as_json: bool, wide: bool = False) -> None:
    """Every model that has a set-aside run, a line each."""
    from gigatok.cli.files.project import project_root
    from gigatok.pipeline.trainings.previous import all_with_previous, main_score_pairs

    found = [(now, before, main_score_pairs(now, before)) for now, before in all_with_previous(project_root())]
    if as_json:
        lines = [
            {
                "left": now.as_json(),
                "right": before.as_json(),
                "scores": [pair.as_json() for pair in pairs.values()],
            }
            for now, before, pairs in found
        ]
        print(json.dumps({"comparisons": lines}, indent=2))
        return
    if not found:
        print("no model has a set-aside run: there is nothing to compare", file=sys.stderr)
        return
    for kind in dict.fromkeys(now.kind for now, _, _ in found):
        print(_previous_table(kind, [line for line in found if line[0].kind == kind], wide) + "\n")
    print(f"old: number of the set-aside run, runs/.old/KIND-NAME-NUMBER\n{_LEGEND}")


def _previous_table(kind: str, found: Sequence[tuple[Training, Training, Mapping[str, ScorePair]]], wide: bool) -> str:
    """Main scores before and now; names are cut to what the line leaves them."""
    from gigatok.cli.tables import terminal_width
    from gigatok.pipeline.trainings.listing import MAIN_SCORES

    keys = MAIN_SCORES[kind]
    head = [kind, "old", *(cell for key in keys for cell in (key, "now", ""))]
    rows = []
    for now, before, pairs in found:
        rows.append([now.name, str(before.number)])
        for key in keys:
            pair = pairs.get(key)
            sides: tuple[Score | None, Score | None] = (None, None) if pair is None else (pair.right, pair.left)
            rows[-1] += ["-" if side is None else _plain(side.value) for side in sides]
            rows[-1].append(_word(pair, ("now", "before")) if pair else "")
    return _with_cut_names(head, rows, terminal_width(wide=wide))


def _cut(name: str, room: int) -> str:
    return name if len(name) <= room else name[: room - 1] + "…"


def _value(score: Score | None) -> str:
    if score is None:
        return "-"
    if score.interval is None:
        return _plain(score.value)
    return f"{_plain(score.value)} ±{_plain(max(score.interval[1] - score.value, score.value - score.interval[0]), 2)}"


def _plain(value: float, digits: int = 4) -> str:
    """Four significant digits, never in exponent form: 12.34, 4811, 0.00012."""
    if not value:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(decimals, 6)}f}"


def print_differences(differences: Sequence[Difference]) -> None:
    from gigatok.cli.tables import terminal_width, wrapped

    for each in differences[:_SHOWN_DIFFERENCES]:
        print("\n".join(wrapped(str(each), terminal_width(), "  ", "    ")))
    if len(differences) > _SHOWN_DIFFERENCES:
        print(f"  and {len(differences) - _SHOWN_DIFFERENCES} more (--json of 'runs compare' has all)")


def run_cells(run: Training) -> list[str]:
    total = run.total_steps
    steps = f"{run.steps}/{total}" if total and run.steps != total else str(run.steps or "")
    scores = " ".join(f"{name} {value:.4g}" for name, value in run.main_scores().items())
    commit = str(run.known.get("commit") or "")[:9] + ("+" if run.known.get("dirty") else "")
    ended = run.when[:16].replace("T", " ")
    return [run.place, run.state, steps, ended, _clock(run.seconds), scores, run.fingerprint[:8], commit]


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return ""
    from gigatok.pipeline.runner.display import clock

    return clock(seconds)
