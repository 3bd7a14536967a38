"""``gigatok-bench profile``: writes ``params.yaml``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

SHOWN_LINES = 40


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="Write params.yaml.", epilog="Example: gigatok-bench profile nano --suite core")(profile)


def profile(
    name: Annotated[str, typer.Argument(metavar="smoke|nano|mini|paper", help="How big.")],
    suite: Annotated[str, typer.Option(metavar="core|full", help="How many runs.")] = "core",
    seeds: Annotated[str, typer.Option(help="Train tokenizers once with each of these seeds, e.g. 0,1,2.")] = "",
    only: Annotated[str, typer.Option(help="Tokenizers that --seeds is for, e.g. S-S,B-L; default: all.")] = "",
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
    from gigatok.cli.project import project_root
    from gigatok.config import ConfigError

    names = [part.strip() for part in only.split(",") if part.strip()]
    if names and not seeds.strip():
        raise ConfigError(f"--only {only} says which tokenizers --seeds is for: give --seeds 0,1,2 too")
    write_profile(project_root(), name, suite, seeds=parse_seeds(seeds), only=names, weights=parse_weights(weights))


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


def write_profile(
    root: Path,
    name: str,
    suite: str,
    *,
    seeds: Sequence[int] = (),
    only: Sequence[str] = (),
    weights: Mapping[str, str] | None = None,
) -> None:
    """Write ``params.yaml`` at ``root`` and say on stderr which settings changed.

    Raises:
        ConfigError: profile, suite or a network of ``weights`` is unknown, or ``seeds`` or ``only`` cannot be.
    """
    import yaml

    path = root / "params.yaml"
    text = rendered(name, suite, seeds=seeds, only=only, weights=weights)
    old = path.read_text() if path.exists() else None
    path.write_text(text)
    if old is None:
        print(f"{path.name} written: profile {name}, suite {suite}", file=sys.stderr)
        return
    try:
        before = yaml.safe_load(old)
    except yaml.YAMLError:
        before = None  # whatever it was, it is replaced
    lines = changed_settings(before, yaml.safe_load(text))
    count = f"{len(lines)} settings changed" if lines else "no setting changed"
    print(f"{path.name} is now profile {name}, suite {suite}; {count}", file=sys.stderr)
    _print_settings(lines)


def warn_of_lost_settings(root: Path, name: str, suite: str) -> None:
    """Say on stderr which settings of ``params.yaml`` are not its profile's, and lost with another profile or suite."""
    import yaml

    path = root / "params.yaml"
    if not path.exists():
        return
    current = yaml.safe_load(path.read_text())
    lines = lost_settings(current, yaml.safe_load(rendered(name, suite)))
    if lines:
        print(f"rewriting loses {len(lines)} settings of {path.name} that its profile does not have:", file=sys.stderr)
        _print_settings(lines)


def note_kept_settings(root: Path, name: str, suite: str) -> None:
    """Say on stderr that ``params.yaml``, already of this profile and suite, keeps settings of its own."""
    import yaml

    current = yaml.safe_load((root / "params.yaml").read_text())
    lines = changed_settings(yaml.safe_load(rendered(name, suite)), current)
    if lines:
        reset = f"'gigatok-bench profile {name} --suite {suite}' resets them"
        print(
            f"params.yaml is {name}, {suite} already; {len(lines)} settings of its own are kept ({reset}):",
            file=sys.stderr,
        )
        _print_settings(lines)


def lost_settings(current: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Settings of ``current`` that its own profile and suite do not say and ``after`` does not keep.

    They are few among the many that differ because the profile or the suite does.

    Raises:
        ConfigError: ``current`` names an unknown profile or suite.
    """
    import yaml

    before = yaml.safe_load(rendered(str(current["profile"]), str(current["suite"])))
    own, now, then = (dict(_settings(values, "")) for values in (before, current, after))
    return [
        f"{name}: {_value(now, name)} -> {_value(then, name)}"
        for name in {**now, **own}
        if _value(own, name) != _value(now, name) != _value(then, name)
    ]


def _print_settings(lines: Sequence[str]) -> None:
    for line in lines[:SHOWN_LINES]:
        print(f"  {line}", file=sys.stderr)
    if len(lines) > SHOWN_LINES:
        print(f"  ... and {len(lines) - SHOWN_LINES} more: 'git diff params.yaml' shows all", file=sys.stderr)


def rendered(
    name: str,
    suite: str,
    *,
    seeds: Sequence[int] = (),
    only: Sequence[str] = (),
    weights: Mapping[str, str] | None = None,
) -> str:
    """Text of ``params.yaml``.

    Raises:
        ConfigError: profile, suite or a network of ``weights`` is unknown, or ``seeds`` or ``only`` cannot be.
    """
    from gigatok.config.experiments import suite_entries
    from gigatok.config.profiles import PROFILES, render

    entries = suite_entries(suite, name, weights) if name in PROFILES else ()
    return render(name, suite, *entries, seeds=seeds, only=only, weights=weights)


def changed_settings(before: object, after: object) -> list[str]:
    """``["train_tokenizer.steps: 1200 -> 12", ...]`` for every setting that is not the same in both."""
    old, new = dict(_settings(before, "")), dict(_settings(after, ""))
    return [
        f"{name}: {_value(old, name)} -> {_value(new, name)}"
        for name in {**new, **old}
        if _value(old, name) != _value(new, name)
    ]


def _settings(value: object, name: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _settings(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def _value(settings: Mapping[str, object], name: str) -> str:
    return repr(settings[name]) if name in settings else "(none)"
