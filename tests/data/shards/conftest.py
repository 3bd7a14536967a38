"""Ten images in shards, on a disk and at an address."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from image_files import image_folder

from gigatok.data.imagefolder import open_imagefolder
from gigatok.data.shards.write import write_shards


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Ten images of two classes in three shards."""
    source = open_imagefolder(str(image_folder(tmp_path / "in", {"cat": 4, "dog": 6})))
    write_shards(source, tmp_path / "out", images=4, workers=1, progress=lambda done, total: None)
    return tmp_path / "out"


@pytest.fixture
def remote(shards: Path) -> Iterator[str]:
    """The same in fsspec's memory."""
    system = fsspec.filesystem("memory")
    for path in shards.iterdir():
        system.pipe_file(f"/set/{path.name}", path.read_bytes())
    yield "memory://set"
    system.rm("/set", recursive=True)
