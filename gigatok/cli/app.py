"""``gigatok-bench``: the commands, and what happens when one fails.

Only typer is imported here and in the command files; each command imports what it needs when it runs.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Annotated

import typer

from gigatok import __version__
from gigatok.cli.commands import (
    archive,
    decode,
    encode,
    evaluate,
    explain,
    import_checkpoint,
    models,
    paper,
    profile,
    reconstruct,
    repro,
    sample,
    scaling,
    slurm,
    time,
    trace,
    track,
    train,
    ui,
    verify,
)

app = typer.Typer(
    name="gigatok-bench",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    repro,
    scaling,
    paper,
    verify,
    archive,
    trace,
    time,
    train,
    slurm,
    profile,
    models,
    import_checkpoint,
    reconstruct,
    encode,
    decode,
    sample,
    evaluate,
    explain,
    track,
    ui,
):
    command.register(app)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"gigatok-bench {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", envvar="GIGATOK_DEBUG", help="Print the traceback of an error.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Reproduces the experiments of GigaTok (arXiv 2504.08736), from tokenizers to tables and figures."""
    if debug:
        os.environ["GIGATOK_DEBUG"] = "1"


def main() -> None:
    """Run the command line and leave the process with its status."""
    try:
        app()
    except BrokenPipeError:  # the reader ('| head') has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except Exception as error:
        raise SystemExit(report_error(error)) from None


def report_error(error: Exception) -> int:
    """Say on stderr what is wrong; returns the exit status.

    Errors the user can mend are shown as they are. Of all others the traceback is kept in a file.
    """
    from gigatok.config import GigatokError

    if os.environ.get("GIGATOK_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, GigatokError):
        print(f"gigatok-bench: {error}", file=sys.stderr)
        return error.exit_code
    text = f"gigatok-bench: {type(error).__name__}: {' '.join(str(error).split())}"
    if not os.environ.get("GIGATOK_DEBUG"):
        text += f" (traceback: {_keep_traceback(error)})"
    print(text, file=sys.stderr)
    return 1


def _keep_traceback(error: Exception) -> Path:
    handle, name = tempfile.mkstemp(prefix="gigatok-bench-", suffix=".txt")
    with os.fdopen(handle, "w") as file:
        file.write("".join(traceback.format_exception(error)))
    return Path(name)


if __name__ == "__main__":
    main()
