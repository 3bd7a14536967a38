"""``gigatok-bench runs``: trainings past and present, two of them compared, an old one brought back."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from gigatok.cli.comparison_view import print_comparison, print_differences, print_previous, run_cells
from gigatok.cli.completion import old_runs
from gigatok.cli.completion import runs as known_runs

runs_app = typer.Typer(help="Trainings past and present.", short_help="Trainings past and present.",
                       rich_markup_mode=None)  # fmt: skip
_HEAD = ("run", "state", "steps", "ended", "time", "scores", "fingerprint", "commit")


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
        _hand_on(context, {"as_json": as_json or None, "columns": columns, "wide": wide or None})
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
    head, *body = only(places, [_HEAD, *(run_cells(each) for each in found)])
    print(table(head, body, terminal_width(wide=wide or columns is not None), left=len(head)))


def _hand_on(context: typer.Context, given: Mapping[str, object]) -> None:
    """Options that stand before the command are the command's.

    Raises:
        ConfigError: it has none of that name.
    """
    command = context.command.get_command(context, str(context.invoked_subcommand))  # type: ignore[attr-defined]
    values = {name: value for name, value in given.items() if value is not None}
    known = {parameter.name for parameter in command.params}
    if unknown := [name for name in values if name not in known]:
        from gigatok.config import ConfigError

        raise ConfigError(f"'runs {command.name}' has no --{unknown[0]}: leave it out")
    context.default_map = {command.name: values}


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
    before: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="Against the run of its name that was current before a date or commit."),
    ] = None,
    as_json: _Json = False,
    columns: Annotated[
        str | None, typer.Option(help="Some of now, before (A, B for two names), verdict, by comma.")
    ] = None,
    wide: Annotated[bool, typer.Option("--wide", help="Whole names, however long a line gets.")] = False,
) -> None:
    """Compare two trainings.

    What they were made of, their curves, and whether scores differ beyond their intervals.
    """
    from gigatok.cli.files.project import project_root
    from gigatok.config import ConfigError
    from gigatok.pipeline.trainings.comparison import compare as compare_trainings
    from gigatok.pipeline.trainings.listing import find_pair
    from gigatok.pipeline.trainings.previous import find_with_previous, find_with_run_before

    if previous:
        if left is not None or before is not None:
            raise ConfigError(f"--previous compares every model that has a set-aside run: leave {left or before} out")
        print_previous(as_json=as_json, wide=wide)
        return
    if left is None:
        raise ConfigError("runs compare needs a run, 'gigatok-bench runs' names them; or --previous for every model")
    root = project_root()
    if before is not None:
        if right is not None:
            raise ConfigError(f"--before finds the other run by itself: leave {right} out")
        pair = find_with_run_before(root, left, before)
    else:
        pair = find_with_previous(root, left) if right is None else find_pair(root, left, right)
    found = compare_trainings(*pair)
    if as_json:
        print(json.dumps(found.as_json(), indent=2))
        return
    print_comparison(found, ("now", "before") if right is None else ("A", "B"), columns=columns, wide=wide)


@runs_app.command("restore", epilog="Example: gigatok-bench runs restore .old/tokenizers-S-S-1")
def restore(
    run: Annotated[
        str, typer.Argument(autocompletion=old_runs, help="A run that was set aside, or that DVC's cache holds.")
    ],
    name: Annotated[str | None, typer.Option(help="Its tokenizer or generator, where only the cache has it.")] = None,
    as_json: _Json = False,
) -> None:
    """Bring a training back under its name.

    The one that is there is set aside, nothing is lost.
    """
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
        print_differences(settings or done.differences)
