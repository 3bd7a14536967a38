"""``gigatok-bench sample``: new images of chosen classes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gigatok.cli.completion import generators, tokenizers
from gigatok.cli.options import BatchOption, SeedOption, finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gigatok.config import ArConfig, TokenizerConfig


_Generator = Annotated[
    str, typer.Argument(autocompletion=generators, help="A finished run's name or a checkpoint folder.")
]
_Tokenizer = Annotated[
    str | None,
    typer.Option(autocompletion=tokenizers, help="Run or folder that decodes; none: the one the run was trained with."),
]
_Classes = Annotated[
    str, typer.Option(help="Numbers or names, separated by commas, e.g. 207,980; 'list' prints all and ends.")
]
_Schedule = Annotated[str, typer.Option(help="constant, step, linear, linear_re, rectangular or cosine.")]
_Start = Annotated[
    float, typer.Option(min=0, max=1, callback=finite, help="Share of the sequence at which guidance begins.")
]
_Scale = Annotated[float, typer.Option(min=1, callback=finite, help="Classifier-free guidance; 1: none.")]
_Temperature = Annotated[float, typer.Option(min=0, callback=finite, help="Below 1: likelier codes.")]
_TopP = Annotated[
    float, typer.Option(min=0, max=1, callback=finite, help="Keep the likeliest codes up to this probability.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        short_help="New images of chosen classes.",
        epilog="Example: gigatok-bench sample S-S --classes 0,3 --cfg-scale 4 --per-class 8",
    )(sample)


def sample(
    generator: _Generator,
    classes: _Classes,
    tokenizer: _Tokenizer = None,
    per_class: Annotated[int, typer.Option(min=1, max=10_000, help="Images of each class, one row of the grid.")] = 8,
    cfg_scale: _Scale = 1.0,
    cfg_schedule: _Schedule = "constant",
    cfg_start: _Start = 0.0,
    temperature: _Temperature = 1.0,
    top_k: Annotated[int, typer.Option(min=0, max=2**24, help="Keep this many likeliest codes; 0: all.")] = 0,
    top_p: _TopP = 1.0,
    seed: SeedOption = 0,
    output: Annotated[Path, typer.Option(help="The picture grid, a .png file.")] = Path("samples.png"),
    batch_size: BatchOption = 32,
    precision: Annotated[str, typer.Option(help="fp32, or bf16 where the processor has it: faster.")] = "fp32",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Draw images with a generator and decode them: a grid with one row for each class."""
    from gigatok.cli.files.models import check_words, open_generator, open_tokenizer, open_tokenizer_of

    count = _checked(generator, tokenizer, classes, cfg_schedule, precision)
    if count is not None and classes.strip() == LIST:
        _print_classes(class_names(count))
        return
    check_words(output, ".png", device, generator, "generators")
    import torch

    from gigatok.cli.files.images import write_grid
    from gigatok.data import to_uint8
    from gigatok.runtime.device import autocast
    from gigatok.sampling import sample_many

    model = open_generator(generator, device)
    names = class_names(model.config.num_classes)
    if classes.strip() == LIST:
        _print_classes(names)
        return
    chosen = parse_classes(classes, names)
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
        precision=precision,
    )
    place = next(decoder.parameters()).device
    with torch.inference_mode(), autocast(place, "bf16" if precision == "bf16" else "fp32"):
        images = torch.cat(
            [to_uint8(decoder.decode(rows.to(place)).float()).cpu() for rows in torch.split(indices, batch_size)]
        )
    write_grid(output, images, per_class)
    print(f"{len(images)} images: rows are classes {', '.join(map(str, chosen))}")


_DIGITS = 10
_SHOWN = 40
LIST = "list"
"""What --classes may say instead of classes."""


def _checked(generator: str, tokenizer: str | None, classes: str, schedule: str, precision: str) -> int | None:
    """Refuse what can be told without torch; returns how many classes the generator's description names.

    Raises:
        GigatokError: no such model, schedule, precision or class.
    """
    from gigatok.cli.files.models import described, find_folder, tokenizer_run_of
    from gigatok.cli.options import check_choice
    from gigatok.config.evaluation import EvaluateGeneratorSection

    check_choice(schedule, "--cfg-schedule", EvaluateGeneratorSection, "cfg_schedule")
    check_choice(precision, "--precision", EvaluateGeneratorSection, "precision")
    count = described(find_folder(generator, "generators"), "num_classes")
    if classes.strip() == LIST:
        return count
    if count is not None:
        parse_classes(classes, class_names(count))
    if tokenizer:
        find_folder(tokenizer, "tokenizers")
    else:
        tokenizer_run_of(generator)
    return count


def _print_classes(names: Sequence[str]) -> None:
    print("\n".join(f"{number}  {name}" for number, name in enumerate(names)))


def class_names(count: int) -> list[str]:
    """Names of a generator's classes from the data of the project around the working directory; numbers as text where
    that has others, and outside of a project."""
    from gigatok.artifacts import Workspace
    from gigatok.cli.files.project import project_root
    from gigatok.config import GigatokError
    from gigatok.data import PreparedData

    try:
        names = [str(name) for name in PreparedData.open(Workspace(project_root()).data).summary.classes]
    except GigatokError:
        names = []
    return names if len(names) == count else [str(number) for number in range(count)]


def parse_classes(text: str, names: Sequence[str]) -> list[int]:
    """``"207, tench"`` -> ``[207, 0]``. A name counts in any case, and when it is the beginning of one class only.

    Raises:
        ConfigError: not numbers in 0..len(names) - 1, and no names either.
    """
    from gigatok.config import ConfigError

    chosen = []
    for part in (part.strip() for part in text.split(",")):
        number = _number(part)
        if number is not None:
            _require_class(number, part, len(names))
            chosen.append(number)
            continue
        found = [number for number, name in enumerate(names) if name.lower().startswith(part.lower()) and part]
        exact = [number for number in found if names[number].lower() == part.lower()]
        if len(exact or found) != 1:
            why = "begins several classes" if found else "is no class"
            raise ConfigError(f"--classes: {part[:_SHOWN]!r} {why}: '--classes {LIST}' prints all {len(names)}")
        chosen += exact or found
    return chosen


def _number(text: str) -> int | None:
    """The number of a class; ``None``: the text is a name. One of more digits than any number of classes is -1."""
    if re.fullmatch(r"-?[0-9]+", text) is None:
        return None
    return int(text) if len(text) < _DIGITS else -1


def _require_class(number: int, text: str, count: int) -> None:
    from gigatok.config import ConfigError

    if not 0 <= number < count:
        raise ConfigError(f"--classes: {text[:_SHOWN]} is not in 0..{count - 1}, the generator's classes")


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
