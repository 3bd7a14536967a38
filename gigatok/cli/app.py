"""``gigatok-bench``: the commands, and what happens when one fails.

Only typer is imported here and in the command files; each command imports what it needs when it runs.
"""

from __future__ import annotations

import io
import os
import re
import sys
import traceback
from contextlib import redirect_stderr
from typing import Annotated

import typer

from gigatok import __version__
from gigatok.cli.commands import (
    archive,
    clean,
    decode,
    doctor,
    encode,
    evaluate,
    explain,
    import_checkpoint,
    models,
    paper,
    plan,
    profile,
    reconstruct,
    repro,
    runs,
    sample,
    scaling,
    shards,
    slurm,
    time,
    trace,
    track,
    train,
    tune,
    ui,
    verify,
    weights,
)

_DEBUG = "GIGATOK_DEBUG"
app = typer.Typer(
    name="gigatok-bench",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    repro,
    scaling,
    paper,
    verify,
    archive,
    clean,
    trace,
    runs,
    time,
    train,
    tune,
    slurm,
    shards,
    profile,
    models,
    plan,
    import_checkpoint,
    reconstruct,
    encode,
    decode,
    sample,
    evaluate,
    explain,
    doctor,
    weights,
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
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", envvar=_DEBUG, help="Print the traceback of an error.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Results and errors alone, no messages.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Reproduces the experiments of GigaTok (arXiv 2504.08736), from tokenizers to tables and figures."""
    if debug:
        os.environ[_DEBUG] = "1"
    if quiet:  # errors are reported when the command has ended, and this with it
        context.with_resource(redirect_stderr(io.StringIO()))


def main() -> None:
    """Run the command line and leave the process with its status."""
    if "_GIGATOK_BENCH_COMPLETE" in os.environ:  # the shell asks what may follow
        from gigatok.cli.completion import past_the_break

        past_the_break()
    try:
        status = app(standalone_mode=False)
    except BrokenPipeError:  # the reader ('| head') has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except typer.Abort as error:  # the framework's name for an input that ended early
        raise SystemExit(report_error(error.__cause__ if isinstance(error.__cause__, Exception) else error)) from None
    except Exception as error:
        raise SystemExit(report_error(error)) from None
    raise SystemExit(status if isinstance(status, int) else 0)


def report_error(error: Exception) -> int:
    """Say on stderr in one line what is wrong; returns the exit status. ``--debug`` shows the traceback, too."""
    from gigatok.config import GigatokError
    from gigatok.config.reading import switched_on
    from gigatok.config.writing import system_error
    from gigatok.tracking.messages import mask

    debug = switched_on(_DEBUG)
    if debug:
        print(mask("".join(traceback.format_exception(error))), file=sys.stderr)
    text, status = f"{type(error).__name__}: {error}", 1
    if isinstance(error, GigatokError):
        text, status = str(error), error.exit_code
    elif hasattr(error, "format_message"):  # of the command line itself
        text, status = f"{error.format_message()} ({_usage_hint(error)})", _USAGE
    elif isinstance(error, OSError):
        text = system_error(error)
    elif isinstance(error, EOFError):
        text = "an input ended before it was complete"
    elif not debug:
        text += "; 'gigatok-bench --debug' shows where, please report it"
    print(f"gigatok-bench: {one_line(mask(text))}", file=sys.stderr)
    return status


_USAGE = 2
_OF_THE_PROGRAM = ("--quiet", "-q", "--debug", "--version")
"""Options that stand before the command."""


def _usage_hint(error: Exception) -> str:
    """Whose help says more of an error of the command line."""
    context, names = getattr(error, "ctx", None), list[str]()
    while context is not None and context.parent is not None:
        names.insert(0, str(context.info_name))
        context = context.parent
    option = getattr(error, "option_name", None)
    if names and option in _OF_THE_PROGRAM:
        return f"it stands before the command: 'gigatok-bench {' '.join([option, *names])}'"
    return f"'{' '.join(['gigatok-bench', *names])} --help' lists what there is"


def one_line(text: str) -> str:
    """The text without line breaks, control characters (file names may hold them) and object addresses."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(re.sub(r"\s+at 0x[0-9a-fA-F]+", "", plain).split())


if __name__ == "__main__":
    main()
