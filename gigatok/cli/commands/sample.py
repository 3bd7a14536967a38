"""``gigatok-bench sample``: new images of chosen classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gigatok.config import ArConfig, TokenizerConfig


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        short_help="New images of chosen classes.",
        epilog="Example: gigatok-bench sample S-S --classes 0,3 --cfg-scale 4 --per-class 8",
    )(sample)


def sample(
    generator: Annotated[str, typer.Argument(help="A finished run's name or a checkpoint folder.")],
    classes: Annotated[str, typer.Option(help="Class numbers, separated by commas, e.g. 207,980.")],
    tokenizer: Annotated[
        str | None, typer.Option(help="Run or folder that decodes; none: the one the run was trained with.")
    ] = None,
    per_class: Annotated[int, typer.Option(min=1, help="Images of each class, one row of the grid.")] = 8,
    cfg_scale: Annotated[float, typer.Option(help="Classifier-free guidance; 1: none.")] = 1.0,
    cfg_schedule: Annotated[
        str, typer.Option(help="constant, step, linear, linear_re, rectangular or cosine.")
    ] = "constant",
    cfg_start: Annotated[float, typer.Option(help="Share of the sequence at which guidance begins.")] = 0.0,
    temperature: Annotated[float, typer.Option(help="Below 1: likelier codes.")] = 1.0,
    top_k: Annotated[int, typer.Option(help="Keep this many likeliest codes; 0: all.")] = 0,
    top_p: Annotated[float, typer.Option(help="Keep the likeliest codes up to this probability.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal images.")] = 0,
    output: Annotated[Path, typer.Option(help="The picture grid, a .png file.")] = Path("samples.png"),
    batch_size: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 32,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Draw images with a generator and decode them: a grid with one row for each class."""
    import torch

    from gigatok.cli.files.images import write_grid
    from gigatok.cli.files.models import open_generator, open_tokenizer, open_tokenizer_of
    from gigatok.cli.options import check_output
    from gigatok.data import to_uint8
    from gigatok.sampling import sample_many

    check_output(output, ".png")
    model = open_generator(generator, device)
    chosen = parse_classes(classes, model.config.num_classes)
    decoder = open_tokenizer(tokenizer, device) if tokenizer else open_tokenizer_of(generator, device)
    _check_fit(model.config, decoder.config)
    indices = sample_many(
        model,
        torch.tensor(chosen).repeat_interleave(per_class),
        seed,
        batch_size,
        cfg_scale=cfg_scale,
        cfg_schedule=cfg_schedule,
        cfg_start=cfg_start,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
    )
    place = next(decoder.parameters()).device
    with torch.inference_mode():
        images = torch.cat(
            [to_uint8(decoder.decode(rows.to(place))).cpu() for rows in torch.split(indices, batch_size)]
        )
    write_grid(output, images, per_class)
    print(f"{len(images)} images: rows are classes {', '.join(map(str, chosen))}")


def parse_classes(text: str, count: int) -> list[int]:
    """``"207,980"`` -> ``[207, 980]``.

    Raises:
        ConfigError: not numbers, or not all in 0..count - 1.
    """
    from gigatok.config import ConfigError

    try:
        chosen = [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--classes {text!r} is not a list of numbers such as 0,3") from None
    wrong = [number for number in chosen if not 0 <= number < count]
    if wrong:
        raise ConfigError(f"--classes: {wrong[0]} is not in 0..{count - 1}, the generator's classes")
    return chosen


def _check_fit(generator: ArConfig, tokenizer: TokenizerConfig) -> None:
    from gigatok.config import GigatokError

    ours, theirs = (
        (generator.codebook_size, generator.num_tokens),
        (tokenizer.codebook_size, tokenizer.tokens),
    )
    if ours != theirs:
        raise GigatokError(
            f"the generator makes {ours[1]} tokens of {ours[0]} codes, the tokenizer has {theirs[1]} of "
            f"{theirs[0]}: pass the tokenizer it was trained with as --tokenizer"
        )
