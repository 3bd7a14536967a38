"""A model spread over processes by torch's own DDP or FSDP2, and a batch spread over micro-batches.

The model files stay as they are: everything here acts on a module from outside.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from gigatok.config.launch import Recompute
from gigatok.models.ar import RmsNorm
from gigatok.models.attention import blocks, light
from gigatok.runtime.device import keep_graphs
from gigatok.training.distributed.setup import ALONE, Processes

ModuleT = TypeVar("ModuleT", bound=nn.Module)

FORWARD_METHODS = ("encode", "encode_continuous", "decode", "reconstruct", "encoder_features", "decoder_features")
"""Methods besides ``forward`` that compute with a model's parameters: under FSDP2 they gather them first."""
HALF = {"fp32": None, "bf16": torch.bfloat16}
"""What FSDP2 gathers a block's weights in; gradients are always summed in fp32."""


NORMS = (nn.LayerNorm, nn.GroupNorm, RmsNorm)
"""Layers whose weights are no factors of a product: autocast leaves them in fp32."""


class Parallel(NamedTuple):
    """How the step of a run is spread. The default is one process that takes the whole batch at once."""

    processes: Processes = ALONE
    strategy: Literal["ddp", "fsdp"] = "ddp"
    micro_batch: int | None = None
    """Images of one forward pass on one process; ``None``: its whole share of the batch."""
    recompute: Recompute = "none"
    """What is computed again in the backward pass instead of kept: nothing, norms and activation functions before a
    product or convolution, or all activations inside a block (where those of norms are not kept meanwhile, either)."""
    compile: bool = False
    """Whether ``torch.compile`` compiles each block, and the networks that losses pass through, for training steps."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"

    @property
    def sharded(self) -> bool:
        """Whether parameters are spread over processes."""
        return self.processes.world > 1 and self.strategy == "fsdp"

    @property
    def gathers_half(self) -> bool:
        """Whether a pass over the model sees weights in half precision: it then needs autocast."""
        return self.sharded and HALF[self.precision] is not None

    def parts(self, count: int) -> list[slice]:
        """The micro-batches of ``count`` images, in order."""
        size = self.micro_batch or count
        return [slice(start, start + size) for start in range(0, count, size)]

    def first(self, part: slice, count: int) -> int:
        """Position in the global batch of the first image of ``part``, of ``count`` images a process."""
        return self.processes.rank * count + int(part.start)

    def wrap(self, module: nn.Module) -> nn.Module:
        """What is called in the place of ``module`` in training. Its parameters stay its own; under FSDP2 they become
        DTensors, so an optimizer is made afterwards."""
        if self.recompute != "none" and not self.compile:  # compiled, a block decides by itself what to keep
            for part, name in light(module):
                again = partial(checkpoint, getattr(part, name), use_reentrant=False, preserve_rng_state=False)
                setattr(part, name, again)
        for block in blocks(module):
            # its forward alone: dynamo does not look into the hooks of FSDP2, nor into ``checkpoint``
            if self.compile:
                compile_steps(block)
            if self.recompute == "blocks":
                block.forward = partial(checkpoint, block.forward, use_reentrant=False)
        if self.sharded:
            _shard(module, self)
            return module
        return self.replicate(module)

    def compiled(self, module: ModuleT) -> ModuleT:
        """``module``, a network that losses pass through as a whole: compiled if blocks are, in place.

        Not where it draws numbers (``draw``), as the DINO discriminator does: its crops would be constants of a graph,
        and each step would make new ones.
        """
        if self.compile and not hasattr(module, "draw"):
            compile_steps(module)
        return module

    def replicate(self, module: nn.Module) -> nn.Module:
        """Like ``wrap``, with a whole copy on each process: for small networks."""
        if self.processes.world == 1:
            return module
        # no buffer is broadcast: what a forward pass computes of equal weights is equal
        return DistributedDataParallel(module, forward_sync_buffers=False, gradient_as_bucket_view=True)


WHOLE_BATCH = Parallel()
"""One process, one pass."""


def compile_steps(module: nn.Module) -> None:
    """Have ``torch.compile`` compile the forward pass of ``module``, in place, for passes that record a gradient.

    Training steps have one shape each, for which kernels are made: those for any shape take several times as long to
    make and run slower. Other passes (validation, encoding) are rare and of other shapes: they run as they are. A deep
    copy of ``module`` would compute with the weights of the original.
    """
    keep_graphs()
    plain = module.forward
    compiled = torch.compile(plain, dynamic=False)

    def forward(*inputs: Any, **named: Any) -> Any:
        return (compiled if torch.is_grad_enabled() else plain)(*inputs, **named)

    module.forward = forward


@contextmanager
def synchronised(module: nn.Module, when: bool) -> Iterator[None]:
    """Gradients of the passes in the block are averaged over processes, or wait for those of a later micro-batch."""
    if isinstance(module, DistributedDataParallel):
        with nullcontext() if when else module.no_sync():
            yield
        return
    if callable(choose := getattr(module, "set_requires_gradient_sync", None)):  # FSDP2's
        choose(when)
    yield


def _shard(module: nn.Module, parallel: Parallel) -> None:
    """FSDP2: each block on its own, the root last. Norms and the codebook stay fp32, and autocast alone chooses the
    types of activations: a generator's residual stream is fp32 as its embeddings are, a tokenizer's is what its first
    product gives. A block's norms, which autocast computes in fp32, are gathered apart. Not so where a block is
    compiled: what gathers them would break its graph, so their weights are rounded there.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method

    kind = HALF[parallel.precision]
    half = MixedPrecisionPolicy(param_dtype=kind, reduce_dtype=torch.float32, cast_forward_inputs=False)
    # the default is whatever accelerator the machine has, though base.device may say cpu
    mesh = init_device_mesh(parallel.processes.device.type, (parallel.processes.world,))
    apart = kind is not None and not parallel.compile
    for block in blocks(module):
        norms: list[nn.Module] = [part for part in block.modules() if isinstance(part, NORMS) and [*part.parameters()]]
        if norms and apart:
            fully_shard(norms, mesh=mesh)
        fully_shard(block, mesh=mesh, mp_policy=half)
    fully_shard(module, mesh=mesh)
    # nobody changes an output in place
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
    for name in FORWARD_METHODS:
        if hasattr(module, name):
            register_fsdp_forward_method(module, name)


def reshard(module: nn.Module) -> None:
    """Parameters of ``module`` are shards again: a forward pass without a backward leaves the root's gathered."""
    if callable(free := getattr(module, "reshard", None)):
        free()


@contextmanager
def whole(module: nn.Module, name: str) -> Iterator[Tensor]:
    """Parameter ``name`` of ``module`` as a plain tensor, to be changed in place; its shards are changed after it."""
    parameter = cast(nn.Parameter, getattr(module, name))
    if not isinstance(parameter, DTensor):
        yield parameter
        return
    full = nn.Parameter(parameter.full_tensor().detach())
    module._parameters[name] = full
    try:
        yield full
    finally:
        module._parameters[name] = parameter
    with torch.no_grad():
        parameter.copy_(distribute_tensor(full.detach(), parameter.device_mesh, parameter.placements))
