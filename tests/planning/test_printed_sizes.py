"""What is planned for profile ``paper`` has the sizes that the paper prints."""

from __future__ import annotations

import pytest

from gigatok.config import ArConfig, TokenizerConfig
from gigatok.models.ar import ArModel
from gigatok.models.tokenizer import Tokenizer
from gigatok.paper.printed import load_claims
from gigatok.paper.report.summary.costs import replication
from gigatok.planning import runs
from gigatok.planning.disk import ImageCounts
from gigatok.planning.networks import on_meta
from gigatok.planning.runs import Planner

SIZES = {"LlamaGen-B (1d)": "GPT-B", "LlamaGen-XXL (1d)": "GPT-XXL"}


class Traced(Exception):
    """Stops the planner where it would trace a step, which takes a minute for the largest."""


def _rows() -> list[tuple[str, str, float]]:
    """Kind, name of a run, and millions of parameters, of the paper's table 10."""
    found = []
    for row in load_claims()["table10"]["rows"]:
        size = row["tokenizer"].removeprefix("GigaTok-")
        if size == row["tokenizer"]:
            continue
        name = f"{size}-{row['variant']}" if "variant" in row else size
        found.append(("tokenizer", name, row["values"][0]))
        found += [("generator", f"{name}-{SIZES[each]}", values[0]) for each, values in row["ar"].items()]
    return found


@pytest.mark.parametrize(("kind", "name", "printed"), _rows())
def test_a_planned_run_has_the_printed_size(
    kind: str, name: str, printed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[TokenizerConfig | ArConfig] = []

    def note(config: TokenizerConfig | ArConfig, *_: object, **__: object) -> None:
        shapes.append(config)
        raise Traced

    monkeypatch.setattr(runs, f"trace_{kind}", note)
    with pytest.raises(Traced):
        getattr(Planner(replication(), None, ImageCounts(0, 0, "")), kind)(name)
    shape = shapes[0]
    model = on_meta(lambda: Tokenizer(shape) if isinstance(shape, TokenizerConfig) else ArModel(shape))
    millions = sum(weight.numel() for weight in model.parameters()) / 1e6
    assert abs(millions - printed) <= (50 if printed > 1000 else 0.5)  # two or three digits are printed
