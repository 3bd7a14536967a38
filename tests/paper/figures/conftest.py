"""What stands on the sheets that a test writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gigatok.paper.figures.drawing.sheet import Placed, Sheet


@pytest.fixture
def sheets(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Placed]]:
    """What stands where on every sheet that is written, by file name."""
    kept: dict[str, list[Placed]] = {}
    write = Sheet.write

    def keep(sheet: Sheet, path: Path) -> None:
        kept[path.name] = sheet.placed
        write(sheet, path)

    monkeypatch.setattr(Sheet, "write", keep)
    return kept
