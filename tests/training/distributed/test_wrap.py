"""A model's blocks sharded and compiled: on the device that was asked for, and really so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cases
import pytest
import torch
import torch.distributed as dist
from torch._dynamo.testing import CompileCounterWithBackend
from torch.distributed.tensor import DTensor
from torch.nn.functional import scaled_dot_product_attention
from torch.utils._python_dispatch import TorchDispatchMode

from gigatok.config import ArConfig
from gigatok.config.launch import Recompute
from gigatok.models.ar import ArModel
from gigatok.models.attention import FeedForward, light
from gigatok.models.cnn import ResidualBlock
from gigatok.models.discriminator import PatchGan
from gigatok.models.discriminator_dino import DinoDiscriminator
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


@pytest.mark.parametrize("recompute", ["none", "norms", "blocks"])
@pytest.mark.parametrize("sharded", [False, True], ids=["whole", "sharded"])
def test_blocks_are_compiled_and_gradients_stay(
    alone: Processes, compiler: CompileCounterWithBackend, sharded: bool, recompute: Recompute
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


@pytest.mark.parametrize("compiled", [False, True], ids=["as it is", "compiled"])
def test_shards_in_half_precision_have_the_gradients_of_a_whole_model(
    alone: Processes, compiler: CompileCounterWithBackend, compiled: bool
) -> None:
    """Compiled, a block stays one graph, which rounds in other places."""
    with torch.autocast("cpu", torch.bfloat16):
        expected = gradients(Parallel())
        found = gradients(Sharded(alone, compile=compiled, precision="bf16"))
    assert compiler.frame_count <= 2
    for name, value in expected.items():
        error = torch.linalg.vector_norm(found[name] - value) / torch.linalg.vector_norm(value)
        assert error < (0.01 if compiled else 1e-6), name


@pytest.mark.parametrize("recompute", ["norms", "blocks"])
def test_shards_are_gathered_for_what_is_computed_again(alone: Processes, recompute: Recompute) -> None:
    expected, found = gradients(Parallel()), gradients(Sharded(alone, recompute=recompute))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


class Calls(TorchDispatchMode):
    """How often each operator runs."""

    def __init__(self) -> None:
        super().__init__()
        self.of = Counter[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.of[str(func.overloadpacket)] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", ["residual", "wider", "feed-forward", "swiglu"])
def test_norms_are_computed_again_and_no_product_is(kind: str, precision: torch.dtype) -> None:
    """The backward pass has the same bits, from the inputs of the methods alone."""
    made: dict[str, Any] = {
        "residual": lambda: (ResidualBlock(8, 8, 2), torch.randn(2, 8, 6, 6)),
        "wider": lambda: (ResidualBlock(4, 8, 2), torch.randn(2, 4, 6, 6)),
        "feed-forward": lambda: (FeedForward(8), torch.randn(2, 5, 8)),
        "swiglu": lambda: (model().blocks[0].ffn, torch.randn(2, 4, 16)),
    }
    found = []
    for recompute in ("none", "norms"):
        torch.manual_seed(0)
        module, x = made[kind]()
        Parallel(recompute=recompute).wrap(module)  # type: ignore[arg-type]
        x.requires_grad_()
        with Calls() as calls:
            with torch.autocast("cpu", precision, enabled=precision != torch.float32):
                out = module(x)
            out.float().square().sum().backward()
        gradients = [parameter.grad for parameter in (x, *module.parameters())]
        found.append((gradients, {name: n for name, n in calls.of.items() if name.split(".")[1] in HEAVY}, calls.of))
    (plain, heavy, light_calls), (again, heavy_again, more_calls) = found
    assert heavy
    assert heavy == heavy_again
    assert light_calls.total() < more_calls.total()
    assert all(torch.equal(a, b) for a, b in zip(plain, again, strict=True))


HEAVY = ("convolution", "convolution_backward", "mm", "addmm", "bmm")


def test_every_method_that_is_computed_again_is_there() -> None:
    parts = light(torch.nn.ModuleList([ResidualBlock(4, 4, 2), FeedForward(8), model()]))
    assert [type(part).__name__ for part, _ in parts] == ["ResidualBlock", "ResidualBlock"] + 3 * ["FeedForward"]
    assert all(callable(getattr(part, name)) for part, name in parts)


def test_a_compiled_tokenizer_has_the_losses_of_a_plain_one(compiler: CompileCounterWithBackend) -> None:
    """Blocks, adversary and perceptual distance, whose shapes are few enough that torch compiles all of them."""
    found = []
    for compiled in (False, True):
        recipe = cases.tokenizer_recipe(Parallel(compile=compiled))
        with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
            found.append([recipe.step(step, *cases.images(step)) for step in range(12)])
    assert compiler.frame_count > 5
    for plain, mine in zip(*found, strict=True):
        assert {name: float(value) for name, value in mine.items()} == pytest.approx(
            {name: float(value) for name, value in plain.items()}, rel=2e-4, abs=1e-6
        )


def test_passes_without_a_gradient_are_not_compiled(compiler: CompileCounterWithBackend) -> None:
    """Validation has other shapes, and torch gives up after eight."""
    made = model()
    wrapped = Parallel(compile=True).wrap(made).eval()
    with torch.no_grad():
        expected = wrapped(INDICES, CLASSES)
    assert compiler.frame_count == 0
    torch.testing.assert_close(wrapped(INDICES, CLASSES), expected)
    assert compiler.frame_count == 1


@torch._dynamo.config.patch(recompile_limit=8)
def test_every_batch_size_is_compiled(compiler: CompileCounterWithBackend) -> None:
    """Torch stops after eight graphs of one function, and runs what comes then as it is."""
    wrapped = Parallel(compile=True).wrap(model())
    for rows in range(1, 11):
        wrapped(INDICES[:1].expand(rows, -1), CLASSES[:1].expand(rows))
    assert compiler.frame_count == 10


class Drawing(torch.nn.Linear):
    """Takes numbers that are others in each step, as the DINO discriminator does."""

    def draw(self, images: torch.Tensor, count: int) -> tuple[float, ...]:
        return tuple(torch.rand(count).tolist())


def test_a_network_that_draws_is_not_compiled(compiler: CompileCounterWithBackend) -> None:
    """Its crops, numbers of Python, would be constants of a graph: each step would make a new one."""
    parallel, rows = Parallel(compile=True), torch.ones(2, 3)
    parallel.compiled(Drawing(3, 1))(rows)
    assert compiler.frame_count == 0
    parallel.compiled(torch.nn.Linear(3, 1))(rows)
    assert compiler.frame_count == 1
    assert hasattr(DinoDiscriminator, "draw")
    assert not hasattr(PatchGan, "draw")
