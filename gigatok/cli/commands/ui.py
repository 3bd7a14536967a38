"""``gigatok-bench ui``: the MLflow user interface on this project's runs."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="Open MLflow.", epilog="Example: gigatok-bench ui --port 5001")(ui)


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000,
    print_only: Annotated[bool, typer.Option("--print", help="Print the command, do not run it.")] = False,
) -> None:
    """Open MLflow on the tracked runs; ends with Ctrl-C."""
    from gigatok.cli.files.project import project_root
    from gigatok.config import GigatokError, load_params
    from gigatok.tracking.destination import find_destination

    root = project_root()
    destination = find_destination(load_params(root / "params.yaml").tracking, root / "runs")
    if destination.uri.startswith(("http://", "https://", "databricks")):
        print(f"the runs are tracked at {destination.shown}: open that address in a browser")
        return
    command = ui_command(destination.uri, root, port)
    if print_only:
        print(shlex.join(command))
        return
    if destination.database is not None and not destination.database.exists():
        raise GigatokError(f"{destination.database} does not exist: run the pipeline or 'gigatok-bench track sync'")
    print(f"MLflow on http://127.0.0.1:{port} (end with Ctrl-C)", file=sys.stderr)
    os.execv(command[0], command)


def ui_command(uri: str, root: Path, port: int) -> list[str]:
    """MLflow of this interpreter's environment, one worker, artifacts beside the database."""
    return [
        sys.executable,
        *("-m", "mlflow", "ui", "--backend-store-uri", uri),
        *("--default-artifact-root", str(root / "mlartifacts"), "--workers", "1", "--port", str(port)),
    ]
