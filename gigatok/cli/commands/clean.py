"""``gigatok-bench clean``: what no entry of ``params.yaml`` uses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from gigatok.pipeline.leftovers import Leftover

_MANY = 20
"""Items above which they are shown by kind and reason."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        short_help="List, and with --yes remove, what is not used.", epilog="Example: gigatok-bench clean --yes"
    )(clean)


def clean(
    yes: Annotated[bool, typer.Option("--yes", help="Remove what is listed.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list it, which is the default.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else, on stdout.")] = False,
    wide: Annotated[
        bool, typer.Option("--wide", help="Every item in a line of its own, however many there are.")
    ] = False,
) -> None:
    """List runs, studies, samples, parts of files and locks that no entry of params.yaml uses; --yes removes them.

    A run in training and a study in work stay. DVC's cache keeps what it has of removed runs: 'dvc gc' cleans it.
    """
    from gigatok.artifacts import Workspace
    from gigatok.artifacts.lock import hold
    from gigatok.cli.files.project import project_root
    from gigatok.config import ConfigError, load_params
    from gigatok.pipeline.leftovers import leftovers, remove

    if yes and dry_run:
        raise ConfigError("--yes and --dry-run contradict each other: give one")
    root = project_root()
    workspace = Workspace(root)
    if not yes:
        found = leftovers(workspace, load_params(root / "params.yaml"))
        _print(root, found, removed=None, as_json=as_json, wide=wide)
        return
    with hold(workspace.pipeline_lock, f"the pipeline in {root} is being brought up to date"):
        params = load_params(root / "params.yaml")  # inside: 'repro --set' has others in it while it runs
        found = [each for each in leftovers(workspace, params) if each.path != workspace.pipeline_lock]
        _print(root, found, removed=remove(found), as_json=as_json, wide=wide)


def _print(root: Path, found: list[Leftover], *, removed: list[Leftover] | None, as_json: bool, wide: bool) -> None:
    gone = set() if removed is None else {each.path for each in removed}
    items: list[dict[str, Any]] = [
        {
            "kind": each.kind,
            "path": each.path.relative_to(root).as_posix(),
            "bytes": each.bytes,
            "why": each.why,
            "kept": each.held if each.path not in gone else "",
            "removed": each.path in gone,
        }
        for each in found
    ]
    total = sum(item["bytes"] for item in items if not item["kept"])
    if as_json:
        print(json.dumps({"items": items, "bytes": total}, indent=2))
        return
    if len(items) > _MANY and not wide:
        _print_groups(items)
    else:
        _print_items(items, wide)
    count = sum(not item["kept"] for item in items)
    what = "nothing is left over" if not items else f"{count} of {len(items)}, {size(total)}"
    end = (
        "" if not items else ": removed" if removed is not None else " can go: 'gigatok-bench clean --yes' removes them"
    )
    print(f"{what}{end}")


def _print_items(items: list[dict[str, Any]], wide: bool) -> None:
    from gigatok.cli.tables import terminal_width, wrapped

    width = max((len(item["path"]) for item in items), default=0)
    for item in items:
        line = f"{item['kind']:8}{item['path']:{width + 2}}{size(item['bytes']):>9}  {item['kept'] or item['why']}"
        print("\n".join(wrapped(line, terminal_width(wide=wide), rest=" " * 8)))


def _print_groups(items: list[dict[str, Any]]) -> None:
    """A line for each kind and reason, the largest first: how many there are, and their size together."""
    from gigatok.cli.tables import terminal_width, wrapped

    groups: dict[tuple[str, str], list[int]] = {}
    for item in items:
        groups.setdefault((item["kind"], item["kept"] or item["why"]), []).append(item["bytes"])
    for (kind, why), sizes in sorted(groups.items(), key=lambda group: -sum(group[1])):
        line = f"{len(sizes):5}  {kind:8}{size(sum(sizes)):>10}  {why}"
        print("\n".join(wrapped(line, terminal_width(), rest=" " * 27)))
    print("'gigatok-bench clean --wide' lists each")


def size(count: int) -> str:
    """Bytes in a unit that keeps them short: ``1.2 MiB``."""
    value, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.0f} B" if units[0] == "B" else f"{value:.1f} {units[0]}"
