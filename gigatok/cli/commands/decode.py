"""``gigatok-bench decode``: a packed token file back to images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gigatok.cli.completion import tokenizers
from gigatok.cli.options import BatchOption

if TYPE_CHECKING:
    import torch


_LONGEST = 100
"""Characters of an original's name in that of its picture."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        short_help="A token file back to images.",
        epilog="Example: gigatok-bench decode S-S photos.npz --images decoded/",
    )(decode)


def decode(
    tokenizer: Annotated[
        str, typer.Argument(autocompletion=tokenizers, help="A finished run's name or a checkpoint folder.")
    ],
    tokens: Annotated[Path, typer.Argument(help="A token file that 'encode' wrote, .npz.")],
    output: Annotated[Path, typer.Option(help="The picture grid of the first images, a .png file.")] = Path(
        "decoded.png"
    ),
    images: Annotated[Path | None, typer.Option(help="Also write every image to this folder.")] = None,
    shown: Annotated[int, typer.Option(min=1, max=10_000, help="Images in the grid, at most.")] = 64,
    batch_size: BatchOption = 32,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Decode a token file with the tokenizer that made it."""
    from gigatok.cli.files.models import check_words, open_tokenizer
    from gigatok.cli.files.tokens import check_tokens, read_tokens
    from gigatok.cli.options import check_folder

    folder = check_words(output, ".png", device, tokenizer, "tokenizers")
    if images is not None:
        check_folder(images, "--images")
    check_tokens(tokens)
    import torch

    from gigatok.cli.files.images import write_grid
    from gigatok.data import to_uint8
    from gigatok.interop.native import noted_sha256

    indices, manifest = read_tokens(tokens, noted_sha256(folder))
    model = open_tokenizer(tokenizer, device)
    place = next(model.parameters()).device
    wanted = len(indices) if images is not None else min(shown, len(indices))
    kept: list[torch.Tensor] = []
    with torch.inference_mode():
        for start in range(0, wanted, batch_size):
            rows = indices[start : min(start + batch_size, wanted)]
            pixels = to_uint8(model.decode(rows.to(place))).cpu()
            if start < shown:
                kept.append(pixels)
            if images is not None:
                _write_images(images, pixels, manifest["files"][start : start + len(rows)], start)
    grid = torch.cat(kept)[:shown]
    write_grid(output, grid, min(8, len(grid)))
    print(f"{wanted} of {len(indices)} images decoded" + (f" to {images}" if images else ""), file=sys.stderr)


def _write_images(folder: Path, pixels: torch.Tensor, files: list[str], first: int) -> None:
    """One PNG an image, named by its number and its original's name."""
    from PIL import Image

    from gigatok.artifacts import replacing
    from gigatok.config.base import printable

    folder.mkdir(parents=True, exist_ok=True)
    for number, (image, file) in enumerate(zip(pixels, files, strict=True), start=first):
        stem = printable(Path(file).stem).replace("\\", "_")[:_LONGEST]
        with replacing(folder / f"{number:06d}-{stem}.png") as path:
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(path, format="PNG")
