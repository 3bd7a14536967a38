"""States of earlier versions: one file of ``torch.save`` each. They are read, not written."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import torch

from gigatok.artifacts.states.damage import DamagedStateError


def read_content(path: Path) -> dict[str, Any]:
    """``objects``, ``random`` and ``meta`` (JSON); no code in it is run.

    Raises:
        DamagedStateError: it is not what was written.
    """
    try:
        with zipfile.ZipFile(path) as file:
            damaged = file.testzip()  # torch's own reader compares no checksums
        if damaged is not None:
            raise DamagedStateError(f"{damaged} is damaged")
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # a damaged pickle makes torch raise nearly every kind there is
        raise DamagedStateError(str(error)) from None


def read_meta(path: Path) -> dict[str, Any]:
    """``meta`` alone.

    Raises:
        DamagedStateError: the file cannot be read.
    """
    try:
        return dict(json.loads(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["meta"]))
    except Exception as error:  # a damaged pickle makes torch raise nearly every kind there is
        raise DamagedStateError(str(error)) from None
