"""Figures of a study at print width: at most two panels a row, nothing too small, nothing overprinted."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from printed_page import Looked, look_at, overprinted

from gigatok.paper.figures import style
from gigatok.paper.studies.figures import write_guidance, write_pareto, write_settings


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Looked]:
    """What is drawn, by name."""
    kept: dict[str, Looked] = {}

    def keep(drawing: Figure, stem: Path) -> None:
        style.lay_out(drawing)
        kept[stem.name] = look_at(drawing)

    monkeypatch.setattr(style, "save", keep)
    return kept


def trials(count: int) -> list[dict[str, Any]]:
    """As a study leaves them: settings on the grids of nano, every fourth trial given up."""
    grids = itertools.product((0.0, 0.25, 1.0), (0.0, 0.001, 0.1), (0.00025, 0.0005, 0.001, 0.002, 0.004), (1, 2, 3, 4))
    settings = list(grids)[:: 180 // max(1, count)][:count]
    return [
        {
            "trial": number, "semantic_weight": weight, "entropy_weight": entropy, "learning_rate": rate,
            "alignment_layer": layer, "rfid": None if number % 4 == 3 else 4000 + 37.0 * (number * 7 % 11),
            "ar_val_loss": None if number % 4 == 3 else 4.5 + 0.05 * (number * 5 % 13),
        }
        for number, (weight, entropy, rate, layer) in enumerate(settings)
    ]  # fmt: skip


def schedules() -> list[dict[str, Any]]:
    kinds = [("constant", 0.0), ("step", 0.18), ("step", 0.3), ("linear", 0.0), ("cosine", 0.0)]
    scales = (1.25, 1.5, 2.0, 4.0)
    return [
        {"scale": scale, "schedule": kind, "start": start, "gfid": 100 + 9 * abs(scale - 1.7) + place}
        for place, (kind, start) in enumerate(kinds)
        for scale in scales
    ]


@pytest.mark.parametrize("count", [0, 1, 8, 24])
def test_figures_of_a_study_are_fit_for_print(drawn: dict[str, Looked], tmp_path: Path, count: int) -> None:
    found = trials(count)
    write_pareto(found, [0, 2][: min(2, count)], tmp_path / "pareto")
    write_settings(found, tmp_path / "settings")
    write_guidance(schedules() if count else [], tmp_path / "guidance")
    assert set(drawn) == {"pareto", "settings", "guidance"}
    for name, figure in drawn.items():
        assert overprinted(figure) == [], name
        assert (figure.covered, figure.hidden) == ([], []), name
        assert figure.inches <= style.WIDTH, name
        assert min(figure.sizes) >= style.SMALLEST, name
        assert (figure.boxes[:, :2] > -1).all(), name
        assert (figure.boxes[:, 2:] < figure.size + 1).all(), name
        assert figure.in_a_row <= 2, name
