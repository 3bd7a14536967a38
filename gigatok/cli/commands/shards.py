"""``gigatok-bench shards``: a folder of images, or Parquet files, to tar shards with an index."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        short_help="Images to tar shards for a cluster.",
        epilog="Example: gigatok-bench shards /data/imagenet /data/imagenet-shards --workers 16",
    )(shards)


def shards(
    images: Annotated[str, typer.Argument(help="Folder of class folders, or of Parquet files.")],
    out: Annotated[Path, typer.Argument(help="Folder for the shards.")],
    source: Annotated[str, typer.Option(help="What IMAGES is: imagefolder or parquet.")] = "imagefolder",
    per_shard: Annotated[int, typer.Option(min=1, max=100_000, help="Images of a shard.")] = 2000,
    workers: Annotated[int | None, typer.Option(min=1, help="Shards written at a time; as many as cores.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else, on stdout.")] = False,
) -> None:
    """Write images, as they are encoded, to tar files (WebDataset's layout) and an index that makes any row one seek.

    Run it again after an interruption: finished shards are kept. Train from them with prepare.source: shards.
    """
    from gigatok.config import ConfigError
    from gigatok.data.image_files import files_text
    from gigatok.data.imagefolder import open_imagefolder
    from gigatok.data.parquet import open_parquet
    from gigatok.data.shards.write import write_shards

    openers = {"imagefolder": open_imagefolder, "parquet": open_parquet}
    if source not in openers:
        raise ConfigError(f"--source {source!r} is not one of {', '.join(openers)}")

    def say(done: int, total: int) -> None:
        if done == total or done % max(total // 20, 1) == 0:
            print(f"{done} of {total} shards", file=sys.stderr)

    found = openers[source](images)
    manifest = write_shards(found, out, images=per_shard, workers=workers or os.cpu_count() or 1, progress=say)
    print(files_text(manifest.images, manifest.linked, manifest.left_out), file=sys.stderr)
    size = sum(shard.bytes for shard in manifest.shards)
    if as_json:
        print(json.dumps({"output": str(out), "bytes": size, **manifest.model_dump(mode="json")}, indent=2))
        return
    print(f"{manifest.images} images of {len(manifest.classes)} classes in {len(manifest.shards)} shards, {size} bytes")
