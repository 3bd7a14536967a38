"""``gigatok-bench profile``: writes ``params.yaml``."""

from __future__ import annotations

from typing import Annotated

import typer

from gigatok.cli.completion import profiles


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="Write params.yaml.", epilog="Example: gigatok-bench profile nano --suite core")(profile)


def profile(
    name: Annotated[str, typer.Argument(metavar="smoke|nano|mini|paper", autocompletion=profiles, help="How big.")],
    suite: Annotated[str, typer.Option(metavar="core|full", help="How many runs.")] = "core",
    seeds: Annotated[str, typer.Option(help="Train tokenizers once with each of these seeds, e.g. 0,1,2.")] = "",
    generators: Annotated[
        int, typer.Option(min=1, help="Generators trained on each tokenizer's tokens, with different seeds.")
    ] = 1,
    only: Annotated[str, typer.Option(help="Tokenizers that these two are for, e.g. S-S,B-L; default: all.")] = "",
    weights: Annotated[
        str,
        typer.Option(
            metavar="NAME=FILE,...",
            help="Weights that no package brings: adds the runs of tables 3, 6 and 10 that need them. Names: "
            "clip-dfn-l, siglip-so400m, dinov2-b, dino.",
        ),
    ] = "",
) -> None:
    """Write params.yaml for a profile and a suite, and say what changed."""
    from gigatok.artifacts import Workspace
    from gigatok.artifacts.lock import HeldError, living_owner
    from gigatok.cli.files.project import project_root
    from gigatok.config import ConfigError
    from gigatok.pipeline.params_file import write_profile

    names = [part.strip() for part in only.split(",") if part.strip()]
    if names and not seeds.strip() and generators == 1:
        raise ConfigError(f"--only {only} says which tokenizers --seeds is for: give --seeds 0,1,2 too")
    root = project_root()
    if (owner := living_owner(Workspace(root).pipeline_lock)) is not None:
        raise HeldError(
            f"params.yaml is in use: the pipeline is run by {owner.describe()}: wait for it to end, or end it"
        )
    write_profile(
        root,
        name,
        suite,
        seeds=parse_seeds(seeds),
        generators_each=generators,
        only=names,
        weights=parse_weights(weights),
    )


def parse_seeds(text: str) -> list[int]:
    """``"0, 1,2"`` -> ``[0, 1, 2]``; empty text: none.

    Raises:
        ConfigError: a part is no whole number.
    """
    from gigatok.config import ConfigError

    try:
        return [int(part) for part in text.split(",")] if text.strip() else []
    except ValueError:
        raise ConfigError(f"--seeds {text!r}: give whole numbers separated by commas, such as 0,1,2") from None


def parse_weights(text: str) -> dict[str, str]:
    """``"dino=a.pth, dinov2-b=b.safetensors"`` -> ``{"dino": "a.pth", ...}``; empty text: none.

    Raises:
        ConfigError: a part is no NAME=FILE.
    """
    from gigatok.config import ConfigError

    pairs = [tuple(map(str.strip, part.split("=", 1))) for part in text.split(",") if part.strip()]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise ConfigError(
            f"--weights {text!r}: give NAME=FILE separated by commas, such as dinov2-b=dinov2.safetensors"
        )
    return {pair[0]: pair[1] for pair in pairs}
