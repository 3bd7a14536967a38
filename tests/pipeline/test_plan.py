"""What targets ask for, without asking DVC: as ``dvc.yaml`` has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gigatok.config import Params, parse_params
from gigatok.config.profiles import render
from gigatok.pipeline.plan import asked_stages

PIPELINE = yaml.safe_load((Path(__file__).parents[2] / "dvc.yaml").read_text())["stages"]


@pytest.fixture(scope="module")
def nano() -> Params:
    return parse_params(yaml.safe_load(render("nano", "core")))


def paths(entries: list[Any]) -> list[str]:
    """Dependencies or outputs, each a path or a path with options."""
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def needs(params: Params) -> dict[str, set[str]]:
    """Stages by the stages that they read from, with every ``foreach`` written out."""
    reads: dict[str, list[str]] = {}
    writes: dict[str, str] = {}
    for kind, declared in PIPELINE.items():
        models = getattr(params, declared["foreach"][2:-1]) if "foreach" in declared else {None: None}
        for name, entry in models.items():
            stage = kind if name is None else f"{kind}@{name}"
            text = yaml.safe_dump(declared.get("do", declared)).replace("${key}", str(name))
            each = yaml.safe_load(text.replace("${item.tokenizer}", getattr(entry, "tokenizer", "")))
            reads[stage] = paths(each["deps"])
            writes |= dict.fromkeys(paths(each["outs"]), stage)
    return {
        stage: {
            writer
            for path, writer in writes.items()
            for dep in deps
            if path == dep or path.startswith(dep + "/") or dep.startswith(path + "/")
        }
        for stage, deps in reads.items()
    }


def test_what_a_target_needs_is_what_dvc_has(nano: Params) -> None:
    needed = needs(nano)
    for target in needed:
        upstream, waiting = set[str](), [target]
        while waiting:
            name = waiting.pop()
            if name not in upstream:
                upstream.add(name)
                waiting += needed[name]
        assert set(asked_stages(nano, [target])) == upstream, target


def test_groups_no_target_and_unknown_ones(nano: Params) -> None:
    trained = {f"train_tokenizer@{name}" for name in nano.tokenizers}
    assert set(asked_stages(nano, ["train_tokenizer"])) == {"prepare", "teacher", *trained}
    assert set(asked_stages(nano, ())) == set(asked_stages(nano, ["report"])) >= trained
    assert asked_stages(nano, ["a-stage-of-mine"]) == asked_stages(nano, ())  # it may read from any
