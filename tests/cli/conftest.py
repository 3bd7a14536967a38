"""Small models in folders, and a way to run commands as a user does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from cli_harness import Command, Ended, small_tokenizer_config
from PIL import Image

from gigatok.cli import app as command_line
from gigatok.config import ArConfig
from gigatok.interop import save_model
from gigatok.models import ArModel, Tokenizer


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """``command("models", "--json")`` runs ``gigatok-bench models --json`` in this process."""

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr("sys.argv", ["gigatok-bench", *arguments])
        capsys.readouterr()
        status = 0
        try:
            command_line.main()
        except SystemExit as ending:
            status = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
        return Ended(status, *capsys.readouterr())

    return run


@pytest.fixture
def tokenizer_folder(tmp_path: Path) -> Path:
    """A folder with an untrained tokenizer."""
    torch.manual_seed(0)
    config = small_tokenizer_config()
    save_model(tmp_path / "tokenizer", Tokenizer(config), config)
    return tmp_path / "tokenizer"


@pytest.fixture
def generator_folder(tmp_path: Path) -> Path:
    """A folder with an untrained generator for ``tokenizer_folder``: 5 classes."""
    torch.manual_seed(1)
    config = ArConfig(width=16, depth=1, heads=2, codebook_size=32, num_tokens=16, num_classes=5)
    model = ArModel(config)
    torch.nn.init.normal_(model.head.weight)  # it starts at zero: every code would be as likely
    save_model(tmp_path / "generator", model, config)
    return tmp_path / "generator"


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Three images of different sizes and a file that only looks like one."""
    folder = tmp_path / "images"
    (folder / "deeper").mkdir(parents=True)
    random = np.random.default_rng(0)
    for name, size in (("a.png", (16, 16)), ("b.jpg", (40, 24)), ("deeper/c.webp", (24, 40))):
        pixels = random.integers(0, 255, (size[1], size[0], 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / name)
    (folder / "broken.png").write_bytes(b"\x89PNG not really")
    return folder
