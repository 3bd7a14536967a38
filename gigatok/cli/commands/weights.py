"""``gigatok-bench weights``: the frozen networks' weight files, and fetching them once."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gigatok.cli.completion import networks

if TYPE_CHECKING:
    from pathlib import Path

    from gigatok.config import Params
    from gigatok.pipeline.weights.manifest import Found

weights_app = typer.Typer(
    no_args_is_help=True,
    help="Weight files of frozen networks: where they come from, whether they are here.",
    short_help="Weight files of frozen networks.",
    rich_markup_mode=None,
)
_HEAD = ("network", "needed", "here", "size", "licence", "source", "sha256", "path")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(weights_app, name="weights")


@weights_app.command("list", epilog="Example: gigatok-bench weights list --check")
def list_weights(
    check: Annotated[bool, typer.Option("--check", help="Compare SHA-256 too, which reads the files.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else, on stdout.")] = False,
    columns: Annotated[str | None, typer.Option(help=f"Some of {', '.join(_HEAD[1:])}, by comma.")] = None,
    wide: Annotated[bool, typer.Option("--wide", help="All columns, however long a line gets.")] = False,
) -> None:
    """List every network's weights.

    What needs them, whether they are here, source, size, licence.
    """
    from gigatok.cli.tables import chosen, only, table, terminal_width
    from gigatok.pipeline.weights.manifest import find_weights

    places = chosen(_HEAD, columns)
    params, root = _project()
    found = find_weights(params, root, check=check)
    if as_json:
        print(json.dumps({"weights": [each.as_json() for each in found]}, indent=2))
        return
    head, *body = only(places, [_HEAD, *(_cells(each) for each in found)])
    print(table(head, body, terminal_width(wide=wide or columns is not None), left=len(head)))
    for each in found:
        if each.problem:
            print(f"{each.file.name}: {each.path} {each.problem}", file=sys.stderr)


@weights_app.command(epilog="Example: gigatok-bench weights fetch vgg16 inception-2015")
def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(autocompletion=networks, help="Networks by name; none: what params.yaml needs."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else, on stdout.")] = False,
) -> None:
    """Download weights once.

    Everything else then works without a network.
    """
    from gigatok.pipeline.weights.fetch import fetch as fetch_file
    from gigatok.pipeline.weights.manifest import entry, find_weights

    if names:
        files = [entry(name) for name in dict.fromkeys(names)]
    else:
        params, root = _project()
        files = [each.file for each in find_weights(params, root) if each.needed and not each.given]
    done = []
    for file in files:
        path, fetched = fetch_file(file)
        done.append({"name": file.name, "path": str(path), "fetched": fetched})
        if not as_json:
            print(f"{file.name}: {'fetched to' if fetched else 'is here:'} {path}")
    if as_json:
        print(json.dumps({"weights": done}, indent=2))
    elif not files:
        print("params.yaml needs no weights but your own files", file=sys.stderr)


def _project() -> tuple[Params | None, Path]:
    """Settings and folder of the project; outside of one nothing is needed."""
    from pathlib import Path

    from gigatok.cli.files.project import project_root
    from gigatok.config import ConfigError, GigatokError, load_params

    try:
        root = project_root()
        return load_params(root / "params.yaml"), root
    except ConfigError:
        raise
    except GigatokError:
        return None, Path.cwd()


def _cells(found: Found) -> list[str]:
    size = found.path.stat().st_size if found.path else found.file.bytes
    here = "damaged" if found.problem else ("yours" if found.given else "yes") if found.path else "no"
    return [
        found.file.name,
        "yes" if found.needed else "",
        here,
        "" if size is None else f"{size / 1e6:.1f} MB",
        found.file.licence,
        found.file.origin.describe(),
        found.file.sha256 or "",
        str(found.path or ""),
    ]
