"""Models named on the command line: a finished run's name, or a folder with weights and ``config.json``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gigatok.cli.options import check_device, check_output, choose_device

if TYPE_CHECKING:
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
    raise GigatokError(
        f"no model {text!r} ({' and '.join(tried)} are missing): pass a finished run's name, or a folder that "
        "'gigatok-bench import-checkpoint' wrote"
    )


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
    from gigatok.artifacts import Workspace
    from gigatok.cli.files.project import project_root
    from gigatok.config import GigatokError, load_params
    from gigatok.interop.native import load_tokenizer_at

    if Path(generator).name != generator:
        raise GigatokError(f"--tokenizer is needed: {generator} does not say which tokenizer it goes with")
    root = project_root()
    entry = load_params(root / "params.yaml").generators.get(generator)
    if entry is None:
        raise GigatokError(f"--tokenizer is needed: params.yaml has no generator {generator!r}")
    return load_tokenizer_at(Workspace(root).tokenizer(entry.tokenizer), entry.checkpoint).to(choose_device(device))
