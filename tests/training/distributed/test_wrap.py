"""A model's blocks sharded and compiled: on the device that was asked for, and really so."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch._dynamo.testing import CompileCounterWithBackend
from torch.distributed.tensor import DTensor
from torch.nn.functional import scaled_dot_product_attention

from gigatok.config import ArConfig
from gigatok.models.ar import ArModel
from gigatok.training.distributed.setup import Processes
from gigatok.training.distributed.wrap import Parallel

INDICES = torch.arange(8).reshape(2, 4)
CLASSES = torch.tensor([0, 1])


class Sharded(Parallel):
    """Shards even on one process."""

    @property
    def sharded(self) -> bool:
        return True


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Processes]:
    """A process group of one process."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield Processes()
    dist.destroy_process_group()


def model() -> ArModel:
    torch.manual_seed(0)
    config = ArConfig(width=16, depth=2, heads=2, codebook_size=8, num_tokens=4, num_classes=2, class_dropout=0.0)
    made = ArModel(config)
    torch.nn.init.normal_(made.head.weight)
    return made


def gradients(parallel: Parallel) -> dict[str, torch.Tensor]:
    """Of one pass, by parameter."""
    made = model()
    wrapped = parallel.wrap(made)
    wrapped(INDICES, CLASSES).square().mean().backward()
    found = {}
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None
        found[name] = parameter.grad.full_tensor() if isinstance(parameter.grad, DTensor) else parameter.grad
    return found


def test_shards_lie_on_the_device_of_the_run(alone: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine with a GPU a run of ``device: cpu`` has its shards on the CPU."""
    expected = gradients(Parallel())
    monkeypatch.setattr(torch._C, "_get_accelerator", lambda *_: torch.device("cuda"))
    made = model()
    assert Sharded(alone).wrap(made) is made
    shards = [parameter for parameter in made.parameters() if isinstance(parameter, DTensor)]
    assert len(shards) == len(expected)
    assert {shard.device_mesh.device_type for shard in shards} == {"cpu"}


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[CompileCounterWithBackend]:
    """Counts what ``torch.compile`` compiles, into graphs that run as they are."""
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=counter))
    yield counter
    torch._dynamo.reset()


@pytest.mark.parametrize("recompute", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize("sharded", [False, True], ids=["whole", "sharded"])
def test_blocks_are_compiled_and_gradients_stay(
    alone: Processes, compiler: CompileCounterWithBackend, sharded: bool, recompute: bool
) -> None:
    expected = gradients(Parallel())
    kind = Sharded if sharded else Parallel
    found = gradients(kind(alone, compile=True, recompute=recompute))
    # a block in one graph: the second block is of the same kind
    assert 1 <= compiler.frame_count <= 2
    assert all(any(node.target is scaled_dot_product_attention for node in graph.graph.nodes)
               for graph in compiler.graphs)  # fmt: skip
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-7, msg=name)
