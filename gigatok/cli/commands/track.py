"""``gigatok-bench track``: keeps MLflow in line with the run folders."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from gigatok.cli.completion import models as all_models

track_app = typer.Typer(
    no_args_is_help=True,
    help="Keep MLflow in line with the run folders.",
    short_help="Keep MLflow in line.",
    rich_markup_mode=None,
)

_Json = Annotated[bool, typer.Option("--json", help="Print JSON, nothing else, on stdout.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(track_app, name="track")


@track_app.command(epilog="Example: gigatok-bench track sync")
def sync(as_json: _Json = False) -> None:
    """Send MLflow whatever it lacks of every run.

    Repeating it adds nothing. It sends with tracking.enabled: false, too, which is for runs in training alone. With
    tracking.models: finished in params.yaml also the finished models.
    """
    from gigatok.artifacts import Workspace
    from gigatok.cli.files.project import project_root
    from gigatok.config import load_params
    from gigatok.tracking.sync import sync as synchronise

    root = project_root()
    params = load_params(root / "params.yaml")
    report = synchronise(root / "runs", params.tracking)
    models = 0
    if params.tracking.models == "finished":
        from gigatok.pipeline.registry.models import log_models

        models = len(log_models(params, Workspace(root)))
    if as_json:
        print(json.dumps({**report._asdict(), "models": models}, indent=2))
        return
    also = f", {models} models" if models else ""
    print(f"{report.uri}: {len(report.runs)} runs complete{also}, {report.points_added} points added")


@track_app.command(epilog="Example: gigatok-bench track doctor")
def doctor(as_json: _Json = False) -> None:
    """Close runs in MLflow that nobody trains any more."""
    from gigatok.cli.files.project import project_root
    from gigatok.config import load_params
    from gigatok.tracking.sync import doctor as close_dead_runs

    root = project_root()
    closed = close_dead_runs(root / "runs", load_params(root / "params.yaml").tracking)
    if as_json:
        print(json.dumps({"closed": [each._asdict() for each in closed]}, indent=2))
        return
    print("\n".join(map(str, closed)) if closed else "nothing to close")


@track_app.command(epilog="Example: gigatok-bench track models S-S --register")
def models(
    names: Annotated[
        list[str] | None,
        typer.Argument(autocompletion=all_models, help="Tokenizers and generators by name; none: all."),
    ] = None,
    register: Annotated[
        bool, typer.Option("--register", help="Give versions in MLflow's registry, with aliases: rungs, best-rfid.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Log finished models with MLflow.

    With signature, input example, scores and data linked. Repeating it adds nothing.
    """
    from gigatok.artifacts import Workspace
    from gigatok.cli.files.project import project_root
    from gigatok.config import load_params
    from gigatok.pipeline.registry.models import log_models

    root = project_root()
    done = log_models(load_params(root / "params.yaml"), Workspace(root), names or (), register=register)
    if as_json:
        print(json.dumps({"models": [each._asdict() for each in done]}, indent=2))
        return
    for each in done:
        version = f", version {each.version}" if each.version is not None else ""
        aliases = f" ({', '.join(each.aliases)})" if each.aliases else ""
        print(f"{each.kind} {each.name}: {each.model_id}{'' if each.new else ', was there'}{version}{aliases}")
    if not done:
        print("no finished model: 'gigatok-bench repro' makes them", file=sys.stderr)
