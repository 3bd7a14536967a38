"""``gigatok-bench reconstruct``: images through a tokenizer and back."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gigatok.cli.completion import tokenizers
from gigatok.cli.options import BatchOption

if TYPE_CHECKING:
    import torch

    from gigatok.cli.files.images import FoundImages

COLUMNS = 8


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        short_help="Images through a tokenizer and back.",
        epilog="Example: gigatok-bench reconstruct S-S photos/ --output photos.png",
    )(reconstruct)


def reconstruct(
    tokenizer: Annotated[
        str, typer.Argument(autocompletion=tokenizers, help="A finished run's name or a checkpoint folder.")
    ],
    images: Annotated[
        list[Path] | None, typer.Argument(help="Image files or folders; none: 8 validation images.")
    ] = None,
    output: Annotated[Path, typer.Option(help="The picture grid, a .png file.")] = Path("reconstructions.png"),
    batch_size: BatchOption = 32,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else, on stdout.")] = False,
) -> None:
    """Encode and decode images; a grid shows originals above reconstructions, stdout their PSNR."""
    from gigatok.cli.files.images import find_images, prepared_data, some_validation_images, write_rows
    from gigatok.cli.files.models import check_words, open_tokenizer

    folder = check_words(output, ".png", device, tokenizer, "tokenizers")
    found = find_images(images) if images else None
    prepared = None if found else prepared_data()
    import torch

    from gigatok.artifacts.picture_grid import paired_rows
    from gigatok.config import GigatokError
    from gigatok.data import to_float, to_uint8
    from gigatok.evaluation.metrics.image_quality import psnr
    from gigatok.interop.native import noted_sha256

    model = open_tokenizer(tokenizer, device)
    size = model.config.image_size
    place = next(model.parameters()).device
    pixels = _read(found, size) if found else some_validation_images(prepared or prepared_data(), 8, size)
    if not len(pixels):
        raise GigatokError("no image can be read: nothing was reconstructed")
    with torch.inference_mode():
        parts = [
            to_uint8(model.reconstruct(to_float(batch).to(place))).cpu() for batch in torch.split(pixels, batch_size)
        ]
    reconstructed = torch.cat(parts)
    before, after = (each.permute(0, 2, 3, 1).numpy() for each in (pixels, reconstructed))
    write_rows(output, paired_rows(before, after, min(COLUMNS, len(pixels))))
    decibel = psnr(before, after).mean()
    if as_json:
        given = len(found.files) if found else len(pixels)
        document = {
            "output": str(output),
            "images": len(pixels),
            "unreadable": given - len(pixels),
            "left_out": found.left_out if found else {},
            "image_size": size,
            "psnr": float(decibel),
            "tokenizer": {"name": folder.name, "sha256": noted_sha256(folder)},
        }
        print(json.dumps(document, indent=2, allow_nan=False))
        return
    print(f"psnr {decibel:.2f} dB, mean of {len(pixels)} images of {size} px")


def _read(found: FoundImages, size: int) -> torch.Tensor:
    """(n, 3, S, S) uint8 of the files that can be read; what was left out is said on stderr."""
    from gigatok.cli.files.images import read_images, say_traits

    print(found.describe(), file=sys.stderr)
    read = read_images(found.files, size)
    say_traits(read.traits)
    return read.pixels
