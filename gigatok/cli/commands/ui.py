"""``gigatok-bench ui``: the MLflow user interface on this project's runs."""

from __future__ import annotations

import os
import shlex
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gigatok.cli.completion import sizes

if TYPE_CHECKING:
    from gigatok.tracking.addresses import View
    from gigatok.tracking.destination import Destination

HOST = "127.0.0.1"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="Open MLflow.", epilog="Example: gigatok-bench ui --compare s,b,l,xl,3b")(ui)


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000,
    compare: Annotated[
        str | None,
        typer.Option(autocompletion=sizes, help="Sizes or tokenizers to plot against each other, e.g. s,b,l,xl,3b."),
    ] = None,
    print_only: Annotated[bool, typer.Option("--print", help="Print the command, do not run it.")] = False,
) -> None:
    """Open MLflow on the tracked runs; ends with Ctrl-C."""
    from gigatok.cli.files.project import project_root
    from gigatok.config import GigatokError, load_params
    from gigatok.tracking.addresses import comparison, experiment_id, runs_address
    from gigatok.tracking.destination import find_destination

    root = project_root()
    destination = find_destination(load_params(root / "params.yaml").tracking, root / "runs")
    view = comparison(destination, _names(compare)) if compare else None
    if destination.is_server:
        experiment = experiment_id(destination)
        address = runs_address(destination.shown, experiment, view) if experiment else destination.shown
        _share(destination, view)
        print(f"the runs are tracked at {address}: open that address in a browser")
        return
    command, environment = ui_command(destination, root, port)
    if print_only:
        print(shlex.join([*(f"{name}={value}" for name, value in environment.items()), *command]))
        return
    if destination.database is not None and not destination.database.exists():
        raise GigatokError(f"{destination.database} does not exist: run the pipeline or 'gigatok-bench track sync'")
    require_free(port)
    _check(destination)
    _share(destination, view)
    base = f"http://{HOST}:{port}"
    experiment = experiment_id(destination)
    print(f"MLflow on {base} (end with Ctrl-C)", file=sys.stderr)
    if experiment:
        print(f"{'comparison' if view else 'runs'}: {runs_address(base, experiment, view)}", file=sys.stderr)
    os.chdir(root)
    os.execve(command[0], command, {**os.environ, **environment, **_secret(destination)})


def ui_command(destination: Destination, root: Path, port: int) -> tuple[list[str], dict[str, str]]:
    """MLflow of this interpreter's environment, one worker, artifacts beside the database; and its environment.

    An address with a password is not among the words, which every user of the machine can list.
    """
    hidden = destination.shown != destination.uri
    address = [] if hidden else ["--backend-store-uri", destination.uri]
    command = [
        *(sys.executable, "-m", "mlflow", "ui", *address),
        *("--default-artifact-root", str(root / "mlartifacts"), "--workers", "1"),
        *("--host", HOST, "--port", str(port)),
    ]
    return command, {"MLFLOW_BACKEND_STORE_URI": destination.shown} if hidden else {}


def require_free(port: int) -> None:
    """Refuse a port on which another program listens.

    Raises:
        ConfigError: it does; a free port is named.
    """
    from gigatok.config import ConfigError

    with socket.socket() as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was used a moment ago is free
        try:
            candidate.bind((HOST, port))
        except OSError as error:
            reason = error.strerror or str(error)
            with socket.create_server((HOST, 0)) as other:
                free = other.getsockname()[1]
            raise ConfigError(
                f"--port {port} cannot be used ({reason}): choose another one, e.g. 'gigatok-bench ui --port {free}'"
            ) from None


def _names(compare: str) -> list[str]:
    """Sizes as names of tokenizers; others as they are."""
    from gigatok.config import RUNGS

    return [RUNGS.get(word, word) for word in (each.strip() for each in compare.split(",")) if word]


def _check(destination: Destination) -> None:
    """Say what is wrong with the database before a server is started that says it at length."""
    from gigatok.tracking.sync import require_database

    require_database(destination)


def _share(destination: Destination, view: View | None) -> None:
    if view is not None:
        from gigatok.tracking.sync import share_view

        share_view(destination, view)


def _secret(destination: Destination) -> dict[str, str]:
    return {"MLFLOW_BACKEND_STORE_URI": destination.uri} if destination.shown != destination.uri else {}
