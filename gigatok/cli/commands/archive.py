"""``gigatok-bench archive``: a finished run as an RO-Crate, ready for a repository that gives DOIs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        short_help="Pack a finished run for an archive.", epilog="Example: gigatok-bench archive nano.zip --weights"
    )(archive)


def archive(
    output: Annotated[Path, typer.Argument(help="The .zip file to write; missing folders are made.")],
    weights: Annotated[bool, typer.Option("--weights", help="Put the trained weights in, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else, on stdout.")] = False,
) -> None:
    """Pack settings, pipeline, score sheets, curves and report with RO-Crate metadata (researchobject.org/ro-crate)."""
    from gigatok.artifacts import file_sha256
    from gigatok.cli.files.project import project_root
    from gigatok.cli.options import check_output, shown
    from gigatok.config import load_params
    from gigatok.paper.report.archive import write_archive

    check_output(output, ".zip")
    root = project_root()
    params = load_params(root / "params.yaml")
    count = write_archive(root, params, output, weights=weights)
    if as_json:
        size = output.stat().st_size
        about = {"profile": params.profile, "suite": params.suite, "weights": weights}
        document = {"output": str(output), "files": count, "bytes": size, "sha256": file_sha256(output), **about}
        print(json.dumps(document, indent=2))
        return
    print(f"{count} files in {shown(output.resolve())}")
