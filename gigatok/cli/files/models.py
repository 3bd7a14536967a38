"""Models named on the command line: a finished run's name, or a folder with weights and ``config.json``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gigatok.cli.options import check_device, check_output, choose_device

if TYPE_CHECKING:
    from gigatok.artifacts import RunFolder
    from gigatok.models import ArModel, Tokenizer


def find_folder(text: str, kind: str) -> Path:
    """The folder of a model.

    Args:
        text: a folder, or the name of a run of the project around the working directory.
        kind: ``tokenizers`` or ``generators``.

    Raises:
        GigatokError: neither exists.
    """
    from gigatok.cli.files.project import project_root
    from gigatok.config import GigatokError

    folder = Path(text)
    if (folder / "config.json").exists():
        return folder
    tried = [str(folder / "config.json")]
    if folder.name == text:
        try:
            run = project_root() / "runs" / kind / text
        except GigatokError:
            run = None
        if run is not None and (run / "config.json").exists():
            return run
        tried.append(f"runs/{kind}/{text}/config.json")
    stage = f"train_{kind.removesuffix('s')}@{text}"
    made = f"'gigatok-bench repro {stage}' makes it; or " if text in _in_settings(kind) else ""
    raise GigatokError(
        f"no model {text!r} ({' and '.join(tried)} are missing): {made}pass a finished run's name, or a folder that "
        "'gigatok-bench import-checkpoint' wrote"
    )


def _in_settings(kind: str) -> list[str]:
    from gigatok.cli.completion import generators, tokenizers

    return tokenizers("") if kind == "tokenizers" else generators("")


def described(folder: Path, field: str) -> int | None:
    """A number that a model's description gives, read without torch; ``None``: it has none."""
    from gigatok.config.reading import json_object_or_none

    model = (json_object_or_none(folder / "config.json") or {}).get("model")
    value = model.get(field) if isinstance(model, dict) else None
    return value if isinstance(value, int) else None


def check_words(output: Path, suffix: str, device: str, model: str, kind: str) -> Path:
    """Refuse what cannot be, before torch is loaded; returns the model's folder.

    Raises:
        GigatokError: ``output`` cannot be written, there is no such device name, or no such model.
    """
    check_output(output, suffix)
    check_device(device)
    return find_folder(model, kind)


def open_tokenizer(text: str, device: str) -> Tokenizer:
    """The tokenizer in a folder or run, on the device, in eval mode."""
    from gigatok.interop import load_tokenizer_dir

    return load_tokenizer_dir(find_folder(text, "tokenizers")).to(choose_device(device))


def open_generator(text: str, device: str) -> ArModel:
    """The AR model in a folder or run, on the device, in eval mode."""
    from gigatok.interop import load_ar_dir

    return load_ar_dir(find_folder(text, "generators")).to(choose_device(device))


def open_tokenizer_of(generator: str, device: str) -> Tokenizer:
    """The tokenizer that a run's generator was trained with, at the step that ``params.yaml`` names.

    Raises:
        GigatokError: the generator is not one of this project's.
    """
    from gigatok.interop.native import load_tokenizer_at

    run, checkpoint = tokenizer_run_of(generator)
    return load_tokenizer_at(run, checkpoint).to(choose_device(device))


def tokenizer_run_of(generator: str) -> tuple[RunFolder, int | Literal["final"]]:
    """The run of that tokenizer and the step, found without torch.

    Raises:
        GigatokError: the generator is not one of this project's.
    """
    from gigatok.artifacts import Workspace
    from gigatok.cli.files.project import project_root
    from gigatok.config import GigatokError, load_params

    if Path(generator).name != generator:
        raise GigatokError(f"--tokenizer is needed: {generator} does not say which tokenizer it goes with")
    root = project_root()
    entry = load_params(root / "params.yaml").generators.get(generator)
    if entry is None:
        raise GigatokError(f"--tokenizer is needed: params.yaml has no generator {generator!r}")
    return Workspace(root).tokenizer(entry.tokenizer), entry.checkpoint
