"""``gigatok-bench runs``: trainings past and present, two of them compared, an old one brought back."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gigatok.artifacts import Difference, Score
    from gigatok.pipeline.trainings.comparison import Comparison
    from gigatok.pipeline.trainings.listing import Training

runs_app = typer.Typer(help="Trainings past and present.", short_help="Trainings past and present.",
                       rich_markup_mode=None)  # fmt: skip
_HEAD = ("run", "state", "steps", "ended", "time", "scores", "fingerprint", "commit")
_SHOWN_DIFFERENCES = 12
_NAME = 33
"""Characters of a metric, at most: so that its verdict fits beside it."""
_WORDS = {
    "differ": "differ",
    "equal": "equal",
    "no clear difference": "unclear",
    "no interval": "no bounds",
    "measured differently": "other way",
    "only one": "",
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(runs_app, name="runs")


_Json = Annotated[bool, typer.Option("--json", help="Print JSON, nothing else, on stdout.")]


@runs_app.callback(invoke_without_command=True, epilog="Example: gigatok-bench runs compare S-S .old/tokenizers-S-S-1")
def runs(
    context: typer.Context,
    as_json: _Json = False,
    columns: Annotated[str | None, typer.Option(help=f"Some of {', '.join(_HEAD[1:])}, by comma.")] = None,
    wide: Annotated[bool, typer.Option("--wide", help="All columns, however long a line gets.")] = False,
) -> None:
    """List every training of the project: finished, under way, set aside, or only in DVC's cache."""
    if context.invoked_subcommand is not None:
        return
    from gigatok.cli.files.project import project_root
    from gigatok.cli.tables import chosen, only, table, terminal_width
    from gigatok.pipeline.trainings.listing import list_trainings

    places = chosen(_HEAD, columns)
    found = list_trainings(project_root())
    if as_json:
        print(json.dumps({"runs": [each.as_json() for each in found]}, indent=2))
        return
    if not found:
        print("no trainings yet: 'gigatok-bench repro' makes them", file=sys.stderr)
        return
    head, *body = only(places, [_HEAD, *(_cells(each) for each in found)])
    print(table(head, body, terminal_width(wide=wide or columns is not None), left=len(head)))


@runs_app.command("compare", epilog="Example: gigatok-bench runs compare S-S .old/tokenizers-S-S-1")
def compare(
    left: Annotated[str, typer.Argument(help="A run as 'gigatok-bench runs' names it, or a fingerprint's beginning.")],
    right: Annotated[str, typer.Argument(help="Another one.")],
    as_json: _Json = False,
) -> None:
    """Compare two trainings: what they were made of, their curves, and whether scores differ beyond their intervals."""
    from gigatok.cli.files.project import project_root
    from gigatok.pipeline.trainings.comparison import compare as compare_trainings
    from gigatok.pipeline.trainings.listing import find_pair

    found = compare_trainings(*find_pair(project_root(), left, right))
    if as_json:
        print(json.dumps(found.as_json(), indent=2))
        return
    _print_comparison(found)


@runs_app.command("restore", epilog="Example: gigatok-bench runs restore .old/tokenizers-S-S-1")
def restore(
    run: Annotated[str, typer.Argument(help="A run that was set aside, or that DVC's cache holds.")],
    name: Annotated[str | None, typer.Option(help="Its tokenizer or generator, where only the cache has it.")] = None,
) -> None:
    """Bring a training back under its name; the one that is there is set aside, nothing is lost."""
    from gigatok.cli.files.project import project_root
    from gigatok.cli.options import shown
    from gigatok.pipeline.trainings.restore import restore as restore_training

    done = restore_training(project_root(), run, name)
    print(f"{done.training.place} is back in {shown(done.place)}")
    if done.aside is not None:
        print(f"the run that was there: {shown(done.aside)}")
    if done.differences is None:
        print("params.yaml may ask for another run: 'gigatok-bench repro --dry-run' says what would be trained")
        return
    settings = [each for each in done.differences if each.kind == "setting"]
    if done.differences:
        print("the next repro sets it aside again, unless it has what this run was made of:")
        _print_differences(settings or done.differences)


def _cells(run: Training) -> list[str]:
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


def _print_comparison(found: Comparison) -> None:
    from gigatok.cli.tables import table, terminal_width

    for side, run in (("A", found.left), ("B", found.right)):
        print(f"{side}  {'  '.join(cell for cell in _cells(run)[:5] if cell)}")
    print("\nMade of")
    if found.differences is None:
        print("  unknown: one of them is of a version that recorded neither settings nor code")
    elif not found.differences:
        print("  the same settings, inputs and code")
    else:
        _print_differences(found.differences)
    width = terminal_width()
    if found.curves:
        rows = [[pair.name, *(f"{value:.4g}" for value in pair.points[-1])] for pair in found.curves]
        print("\nCurves at their last common step\n" + table(["curve", "step", "A", "B"], rows, width))
    if found.scores:
        rows = [
            [_cut(pair.metric), _value(pair.left), _value(pair.right), _WORDS[pair.verdict]] for pair in found.scores
        ]
        print("\nScores\n" + table(["metric", "A", "B", ""], rows, width))
        print("differ, unclear: beyond, within both intervals, which are of the scored")
        print("images, not of another training seed; other way: measured differently")


def _cut(name: str) -> str:
    return name if len(name) <= _NAME else name[: _NAME - 1] + "…"


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


def _print_differences(differences: Sequence[Difference]) -> None:
    from gigatok.cli.tables import terminal_width, wrapped

    for each in differences[:_SHOWN_DIFFERENCES]:
        print("\n".join(wrapped(str(each), terminal_width(), "  ", "    ")))
    if len(differences) > _SHOWN_DIFFERENCES:
        print(f"  and {len(differences) - _SHOWN_DIFFERENCES} more (--json of 'runs compare' has all)")
