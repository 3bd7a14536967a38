"""Whole trainings over shards that are gathered in bf16: codes restart, curves are taken, weights are stored."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import forked
import pytest
import torch

from gigatok.artifacts import RunFolder, load_weights
from gigatok.training import train_generator, train_tokenizer
from gigatok.training.distributed.setup import Processes

pytestmark = pytest.mark.forks

ALL_ON = {
    "batch_size": 4,
    "precision": "bf16",
    "ema_decay": 0.9,
    "keep_steps": [4],
    "loss": {
        "semantic_weight": 0.5,
        "entropy_weight": 0.01,
        "entropy_group": 1,
        "shortcut": {"image_end_step": 2, "feature_end_step": 4},
        "discriminator": {"statistics_group": 1},
    },
}
"""What the paper's largest tokenizers are trained with, and what ours adds."""


def _trained(project: Any, kind: str, strategy: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    launch = {"strategy": strategy, "recompute": "blocks", "micro_batch": 1}
    project.store_teacher_features()

    def work(processes: Processes) -> str:
        for module in (train_generator, train_tokenizer):
            monkeypatch.setattr(module, "joined", lambda *_: nullcontext(processes))
        if kind == "tokenizer":
            project.tokenizer(ALL_ON, launch=launch)
        else:
            project.generator({"precision": "bf16", "keep_steps": [4]}, launch=launch)
        return "done"

    if kind == "generator":
        project.tokenizer()
    assert forked.answers(folder, 2, work, seconds=120) == ["done"] * 2  # four alone
    run: RunFolder = getattr(project.workspace, kind)("T" if kind == "tokenizer" else "G")
    return run


@pytest.mark.parametrize(("kind", "curve"), [("tokenizer", "validation_psnr"), ("generator", "ar_val_loss")])
def test_shards_end_near_whole_models(
    new_project: Any, kind: str, curve: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [
        _trained(new_project(name), kind, name, tmp_path / f"answers-{name}", monkeypatch) for name in ("ddp", "fsdp")
    ]
    whole, shards = (json.loads(run.curves_path.read_text()) for run in runs)
    assert shards.keys() == whole.keys()
    taken = [dict(points[curve]) for points in (whole, shards)]
    assert taken[0].keys() == taken[1].keys()
    assert list(taken[1].values()) == pytest.approx(list(taken[0].values()), rel=0.02)
    assert load_weights(runs[1].checkpoint_path(4)).keys() == load_weights(runs[0].checkpoint_path(4)).keys()
    assert {value.dtype for value in load_weights(runs[1].weights_path).values()} <= {torch.float32, torch.int64}
