"""``gigatok-bench runs``: trainings past and present, two of them compared, an old one brought back."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from gigatok.cli.completion import old_runs
from gigatok.cli.completion import runs as known_runs

if TYPE_CHECKING:
    from gigatok.artifacts import Difference, Score
    from gigatok.pipeline.trainings.comparison import Comparison, ScorePair
    from gigatok.pipeline.trainings.listing import Training

runs_app = typer.Typer(help="Trainings past and present.", short_help="Trainings past and present.",
                       rich_markup_mode=None)  # fmt: skip
_HEAD = ("run", "state", "steps", "ended", "time", "scores", "fingerprint", "commit")
_SHOWN_DIFFERENCES = 12
_NAME = 33
"""Characters of a metric, at most: so that its verdict fits beside it."""
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
    left: Annotated[
        str | None,
        typer.Argument(
            autocompletion=known_runs, help="A run as 'gigatok-bench runs' names it, or a fingerprint's beginning."
        ),
    ] = None,
    right: Annotated[
        str | None,
        typer.Argument(autocompletion=known_runs, help="Another one; none: what was set aside last of its name."),
    ] = None,
    previous: Annotated[
        bool, typer.Option("--previous", help="A line for each model: main scores before and now. Without names.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Compare two trainings: what they were made of, their curves, and whether scores differ beyond their intervals."""
    from gigatok.cli.files.project import project_root
    from gigatok.config import ConfigError
    from gigatok.pipeline.trainings.comparison import compare as compare_trainings
    from gigatok.pipeline.trainings.listing import find_pair
    from gigatok.pipeline.trainings.previous import find_with_previous

    if previous:
        if left is not None:
            raise ConfigError(f"--previous compares every model that has a set-aside run: leave {left} out")
        _compare_previous(as_json)
        return
    if left is None:
        raise ConfigError("runs compare needs a run, 'gigatok-bench runs' names them; or --previous for every model")
    root = project_root()
    found = compare_trainings(*(find_with_previous(root, left) if right is None else find_pair(root, left, right)))
    if as_json:
        print(json.dumps(found.as_json(), indent=2))
        return
    _print_comparison(found)


@runs_app.command("restore", epilog="Example: gigatok-bench runs restore .old/tokenizers-S-S-1")
def restore(
    run: Annotated[
        str, typer.Argument(autocompletion=old_runs, help="A run that was set aside, or that DVC's cache holds.")
    ],
    name: Annotated[str | None, typer.Option(help="Its tokenizer or generator, where only the cache has it.")] = None,
    as_json: _Json = False,
) -> None:
    """Bring a training back under its name; the one that is there is set aside, nothing is lost."""
    from gigatok.cli.files.project import project_root
    from gigatok.cli.options import shown
    from gigatok.pipeline.trainings.restore import restore as restore_training

    done = restore_training(project_root(), run, name)
    if as_json:
        unlike = None if done.differences is None else [each.model_dump(mode="json") for each in done.differences]
        aside = None if done.aside is None else shown(done.aside)
        document = {"run": done.training.place, "folder": shown(done.place), "set_aside": aside, "differences": unlike}
        print(json.dumps(document, indent=2))
        return
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
        print(_LEGEND)


def _compare_previous(as_json: bool) -> None:
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
        print(_previous_table(kind, [line for line in found if line[0].kind == kind]) + "\n")
    print(f"old: number of the set-aside run, runs/.old/KIND-NAME-NUMBER\n{_LEGEND}")


def _previous_table(kind: str, found: Sequence[tuple[Training, Training, Mapping[str, ScorePair]]]) -> str:
    """Main scores before and now; names are cut to what the line leaves them."""
    from gigatok.cli.tables import table, terminal_width
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
            rows[-1].append(_WORDS[pair.verdict] if pair else "")
    width = terminal_width()
    longest = max(len(row[0]) for row in rows)
    over = max(map(len, table(head, rows, None).splitlines())) - (width or 0)
    if over > 0:
        rows = [[_cut(name, max(longest - over, len(kind))), *cells] for name, *cells in rows]
    return table(head, rows, width)


def _cut(name: str, room: int = _NAME) -> str:
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


def _print_differences(differences: Sequence[Difference]) -> None:
    from gigatok.cli.tables import terminal_width, wrapped

    for each in differences[:_SHOWN_DIFFERENCES]:
        print("\n".join(wrapped(str(each), terminal_width(), "  ", "    ")))
    if len(differences) > _SHOWN_DIFFERENCES:
        print(f"  and {len(differences) - _SHOWN_DIFFERENCES} more (--json of 'runs compare' has all)")
