"""Training on a GPU against training on the CPU, against itself, and through FSDP2 with one shard."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cases
import pytest
import torch
from cases import Case, Result

from gigatok.runtime.device import send
from gigatok.training.distributed.setup import Processes
from gigatok.training.distributed.wrap import Parallel

GOLDEN = Path(cases.__file__).with_name("golden.json")
DETERMINISTIC = "from gigatok.runtime.device import refuse_unrepeatable; refuse_unrepeatable()"


@pytest.mark.parametrize("kind", ["tokenizer", "generator"])
def test_losses_are_those_of_a_cpu(cuda: torch.device, kind: str) -> None:
    """Rounding alone differs; twenty updates magnify it."""
    found = cases.train(Case(kind), Processes(device=cuda))
    expected = json.loads(GOLDEN.read_text())[kind]
    names = [name for name in expected[0] if not name.endswith("gradient_norm")]
    assert len(found.losses) == len(expected) == cases.STEPS
    for step, (mine, others) in enumerate(zip(found.losses, expected, strict=True)):
        terms = {name: others[name] for name in names if name in others}
        assert {name: mine[name] for name in terms} == pytest.approx(terms, rel=1e-3, abs=1e-4), step


@pytest.mark.parametrize("kind", ["tokenizer", "generator"])
def test_fsdp_with_one_shard_and_recomputation_is_the_same(cuda: torch.device, kind: str, tmp_path: Path) -> None:
    plain = cases.train(Case(kind), Processes(device=cuda))
    sharded = in_new_process(f"Case({kind!r}, 'fsdp', recompute='blocks')", tmp_path, group=True)
    assert len(sharded.losses) == cases.STEPS
    for mine, others in zip(sharded.losses, plain.losses, strict=True):
        norms = {name for name in others if name.endswith("gradient_norm")}
        terms = {name: value for name, value in others.items() if name not in norms}
        assert {name: mine[name] for name in terms} == pytest.approx(terms, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("kind", ["tokenizer", "generator"])
def test_deterministic_training_repeats_bit_by_bit(cuda: torch.device, kind: str, tmp_path: Path) -> None:
    """Also with dropout, and when it goes on from a state that was saved in its midst."""
    dropout = ", dropout=0.2" if kind == "generator" else ""
    case = f"Case({kind!r}{dropout})"
    first, again = (in_new_process(case, tmp_path / name) for name in ("first", "again"))
    assert first.losses == again.losses
    assert all(torch.equal(first.weights[name], value) for name, value in again.weights.items())
    states = tmp_path / "states"
    in_new_process(f"Case({kind!r}{dropout}, save_at=9, folder={str(states)!r})", tmp_path / "saving")
    resumed = in_new_process(f"Case({kind!r}{dropout}, folder={str(states)!r})", tmp_path / "resumed")
    assert resumed.losses == first.losses[-len(resumed.losses) :]
    assert 0 < len(resumed.losses) < cases.STEPS
    assert all(torch.equal(first.weights[name], value) for name, value in resumed.weights.items())


@pytest.mark.parametrize("kind", ["tokenizer", "generator"])
def test_a_step_never_waits_for_the_gpu(cuda: torch.device, kind: str) -> None:
    """Else the GPU is idle while the host issues the next one."""
    parallel = Parallel(Processes(device=cuda), precision="bf16")
    if kind == "tokenizer":
        recipe: Any = cases.tokenizer_recipe(parallel)
        made = cases.images(0)
    else:
        recipe = cases.generator_recipe(parallel, 0.1)
        made = cases.tokens(0)
    for step in (13, 14):  # after restarts of codes, which look at which are used
        recipe.step(step, *(send(each, cuda) for each in made))
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        terms = recipe.step(15, *(send(each, cuda) for each in made))  # waiting raises
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.isfinite(terms["loss"])


@pytest.mark.parametrize("kind", ["tokenizer", "generator"])
def test_compiled_steps_have_the_same_losses(cuda: torch.device, kind: str) -> None:
    found: list[list[dict[str, float]]] = [[], []]
    for losses, compiled in zip(found, (False, True), strict=True):
        parallel = Parallel(Processes(device=cuda), compile=compiled)
        tokenizer = kind == "tokenizer"
        recipe: Any = cases.tokenizer_recipe(parallel) if tokenizer else cases.generator_recipe(parallel, 0.0)
        for step in range(5):
            batch = cases.images(step) if tokenizer else cases.tokens(step)
            terms = recipe.step(step, *(send(each, cuda) for each in batch))
            losses.append({name: float(value) for name, value in terms.items() if not name.endswith("norm")})
    for plain, mine in zip(*found, strict=True):
        assert mine == pytest.approx(plain, rel=1e-3, abs=1e-4)


def in_new_process(case: str, folder: Path, *, group: bool = False) -> Result:
    """Determinism, and a process group, last as long as a process."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "train.py"
    script.write_text(
        _SCRIPT.format(first="" if group else DETERMINISTIC, case=case, group=group, to=str(folder / "out.pt"))
    )
    paths = [str(Path(cases.__file__).parent), str(Path(__file__).parents[2])]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])}
    ended = subprocess.run([sys.executable, str(script)], env=variables, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-3000:]
    found: Any = torch.load(folder / "out.pt", weights_only=True)
    return Result(found["losses"], found["weights"], found["indices"])


_SCRIPT = """
import torch, cases
import torch.distributed as dist
from cases import Case
from gigatok.runtime.device import allow_tf32
from gigatok.training.distributed.setup import Processes
from gigatok.training.distributed.wrap import Parallel
{first}
allow_tf32(False)
if {group}:
    dist.init_process_group("nccl", store=dist.HashStore(), rank=0, world_size=1)

    class OneShard(Parallel):
        sharded = property(lambda self: self.strategy == "fsdp")

    cases.Parallel = OneShard
found = cases.train({case}, Processes(device=torch.device("cuda")))
plain = {{name: value.cpu() for name, value in found.weights.items()}}
torch.save({{"losses": found.losses, "weights": plain, "indices": found.indices.cpu()}}, {to!r})
if {group}:
    dist.destroy_process_group()
"""
