"""``gigatok-bench encode``: images to a packed token file."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from gigatok.cli.completion import tokenizers
from gigatok.cli.options import BatchOption


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        short_help="Images to a token file.", epilog="Example: gigatok-bench encode S-S photos/ --output photos.npz"
    )(encode)


def encode(
    tokenizer: Annotated[
        str, typer.Argument(autocompletion=tokenizers, help="A finished run's name or a checkpoint folder.")
    ],
    images: Annotated[list[Path], typer.Argument(help="Image files or folders.")],
    output: Annotated[Path, typer.Option(help="Token file, .npz; its manifest is the .json beside it.")] = Path(
        "tokens.npz"
    ),
    batch_size: BatchOption = 32,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Encode images (centre crops) to tokens, with a manifest that names files and tokenizer."""
    from gigatok.cli.files.images import find_images, read_images, say_traits
    from gigatok.cli.files.models import check_words, open_tokenizer

    folder = check_words(output, ".npz", device, tokenizer, "tokenizers")
    found = find_images(images)
    import torch

    from gigatok.cli.files.tokens import write_tokens
    from gigatok.config import GigatokError
    from gigatok.data import to_float
    from gigatok.data.image_files import count_traits
    from gigatok.interop.native import noted_sha256

    files = found.files
    model = open_tokenizer(tokenizer, device)
    config = model.config
    place = next(model.parameters()).device
    indices: list[torch.Tensor] = []
    kept: list[str] = []
    traits: list[Collection[str]] = []
    with torch.inference_mode():
        for start in range(0, len(files), batch_size):
            batch = read_images(files[start : start + batch_size], config.image_size)
            kept += batch.files
            traits += batch.traits
            if batch.files:
                indices.append(model.encode(to_float(batch.pixels).to(place)).cpu())
    if not kept:
        raise GigatokError(f"none of {len(files)} images can be read: nothing was written")
    about = {
        "name": folder.name,
        "sha256": noted_sha256(folder),
        "codebook_size": config.codebook_size,
        "image_size": config.image_size,
    }
    unreadable = len(files) - len(kept)
    record = {
        "left_out": found.left_out,
        "linked": found.linked,
        "unreadable": unreadable,
        "traits": count_traits(traits),
    }
    write_tokens(output, torch.cat(indices), kept, about, record)
    say_traits(traits)
    print(found.describe(), file=sys.stderr)
    print(f"tokens: {output}, manifest: {output.with_suffix('.json')}", file=sys.stderr)
    print(f"{len(kept)} images, {config.tokens} tokens each, {unreadable} unreadable")
