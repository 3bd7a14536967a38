"""One training step of a tokenizer or a generator on tensors without data, and the memory it holds at every moment.

The step is that of ``training/tokenizer_recipe.py`` and ``generator_recipe.py``: the same networks, losses and order.
Losses of one number an image (hinge, cosine) are there because they keep inputs alive, not for their size.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from gigatok.config import ArConfig, TokenizerConfig
from gigatok.config.launch import Recompute
from gigatok.config.sections import OptimizerSection, TeacherSection, TrainGeneratorSection, TrainTokenizerSection
from gigatok.losses import hinge_discriminator_loss, hinge_generator_loss, semantic_loss
from gigatok.models.ar import ArModel
from gigatok.models.attention import blocks, light
from gigatok.models.tokenizer import Tokenizer
from gigatok.optim import Ema, build_adamw
from gigatok.planning.flops import attention_counters
from gigatok.planning.live_memory import PARTS, Bytes, LiveMemory
from gigatok.planning.networks import (
    allocate,
    on_meta,
    planned_discriminator,
    planned_perceptual,
    planned_teacher,
)

Precision = Literal["fp32", "bf16", "fp16"]
ModuleT = TypeVar("ModuleT", bound=nn.Module)
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class StepTrace(NamedTuple):
    """What one step held and did."""

    intervals: Bytes
    """(intervals, parts): bytes when most were alive in each interval. Optimizer and EMA are there from the start."""
    flops: int
    """Floating-point operations of the whole step, of matrix products, convolutions and attention."""
    block_parameters: tuple[int, ...]
    """Parameters of each block that is sharded as one."""
    parameters: int
    """Parameters that are trained, without the adversary's."""
    adversary_parameters: int = 0
    """The adversary's trained ones."""


class _CudaNorms(TorchFunctionMode):
    """Norms and softmax in fp32, as CUDA's autocast takes them; the CPU's leaves them in half precision."""

    FLOAT: frozenset[Any] = frozenset({F.layer_norm, F.group_norm, F.softmax, F.log_softmax})

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in self.FLOAT and torch.is_autocast_enabled("cpu"):
            args = (args[0].float(), *args[1:])
        return func(*args, **(kwargs or {}))


class _Setting(NamedTuple):
    """How the step is taken."""

    precision: Precision
    recompute: Recompute
    device: Literal["cpu", "cuda"]

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Forward passes in the block run in half precision as they would on the device."""
        if self.precision == "fp32":
            yield
            return
        with torch.autocast("cpu", _TYPES[self.precision]), self.norms():
            yield

    def norms(self) -> AbstractContextManager[Any]:
        """In fp32 on CUDA."""
        return _CudaNorms() if self.device == "cuda" and self.precision != "fp32" else nullcontext()

    def wrap(self, module: nn.Module) -> None:
        """Compute again in the backward pass what is asked for."""
        parts = [] if self.recompute == "none" else light(module)
        if self.recompute == "blocks":
            parts += [(block, "forward") for block in blocks(module)]
        for part, name in parts:
            again = partial(
                checkpoint,
                getattr(part, name),
                use_reentrant=False,
                preserve_rng_state=False,
                context_fn=lambda: (nullcontext(), self.norms()),
            )
            setattr(part, name, again)


def trace_tokenizer(
    config: TokenizerConfig,
    section: TrainTokenizerSection,
    teacher: TeacherSection | None,
    *,
    batch: int,
    step: int,
    recompute: Recompute = "none",
    device: Literal["cpu", "cuda"] = "cpu",
) -> StepTrace:
    """One step of a tokenizer's training.

    Args:
        teacher: the semantic encoder that computes targets while training; ``None`` where they are stored or not used.
        batch: images of one forward pass on one process.
        step: which one: the shortcut ends and the adversary starts at steps that the settings give.
        recompute: what is computed again in the backward pass, as ``launch.recompute`` has it.
        device: whose choice of number formats and kernels is followed.
    """
    setting = _Setting(section.precision, recompute, device)
    temperature = section.loss.entropy_temperature if section.loss.entropy_weight else None
    built = on_meta(lambda: Tokenizer(config, entropy_temperature=temperature))
    with FakeTensorMode(), LiveMemory() as memory, _counter() as counter:
        with memory.part("weights"):
            tokenizer = allocate(built).train()
        with memory.part("teacher"):
            encoder = planned_teacher(teacher) if teacher is not None else None
        with memory.part("perceptual"):
            perceptual = planned_perceptual(section)
        with memory.part("adversary"):
            starts = step >= section.loss.discriminator.start_step
            discriminator = planned_discriminator(section) if starts else None
        setting.wrap(tokenizer)
        memory.watch(tokenizer, "gradients")
        images = torch.zeros(batch, 3, config.image_size, config.image_size)
        memory.mark()
        if encoder is not None:
            with memory.part("teacher"):
                encoder.features(images)
            memory.mark()
        shortcut = section.loss.shortcut is not None and step < section.loss.shortcut.image_end_step
        fake = _generator_side(tokenizer, section, setting, (images, shortcut), (perceptual, discriminator), memory)
        held = _update(tokenizer, section.optimizer, section.ema_decay, memory)
        if discriminator is not None:
            memory.watch(discriminator, "adversary")
            with memory.part("adversary"):
                with setting.autocast():
                    logits = [discriminator(images), discriminator(fake)]
                loss = hinge_discriminator_loss(logits[0].float(), logits[1].float())
            del logits
            torch.autograd.backward(loss)
            with memory.part("adversary"):
                build_adamw(discriminator, section.optimizer).step()
            memory.mark()
        count = 0 if discriminator is None else sum(p.numel() for p in discriminator.parameters())
        return _trace(memory, counter, tokenizer, held)._replace(adversary_parameters=count)


def trace_generator(
    config: ArConfig,
    section: TrainGeneratorSection,
    *,
    batch: int,
    recompute: Recompute = "none",
    device: Literal["cpu", "cuda"] = "cpu",
) -> StepTrace:
    """A step of the AR model; arguments as for ``trace_tokenizer``."""
    setting = _Setting(section.precision, recompute, device)
    built = on_meta(lambda: ArModel(config))
    with FakeTensorMode(), LiveMemory() as memory, _counter() as counter:
        with memory.part("weights"):
            model = allocate(built).train()
        setting.wrap(model)
        memory.watch(model, "gradients")
        indices = torch.zeros(batch, config.num_tokens, dtype=torch.int64)
        classes = torch.zeros(batch, dtype=torch.int64)
        memory.mark()
        with memory.part("activations"):
            with setting.autocast():
                logits = model(indices, classes)
            loss = F.cross_entropy(logits.float().flatten(0, 1), indices.flatten())
        memory.mark()
        torch.autograd.backward(loss)
        del loss, logits
        held = _update(model, section.optimizer, section.ema_decay, memory)
        return _trace(memory, counter, model, held)


def _generator_side(
    tokenizer: Tokenizer,
    section: TrainTokenizerSection,
    setting: _Setting,
    inputs: tuple[Tensor, bool],
    networks: tuple[nn.Module | None, nn.Module | None],
    memory: LiveMemory,
) -> Tensor:
    """Forward and backward pass of the tokenizer; the reconstructions, detached.

    ``inputs``: images, and whether the shortcut is decoded too.
    """
    images, shortcut = inputs
    perceptual, discriminator = networks
    weights = section.loss
    with memory.part("activations"):
        with setting.autocast():
            out = tokenizer(images, shortcut=shortcut)
        reconstruction = out.reconstruction.float()
        losses = [F.mse_loss(reconstruction, images), out.codebook.codebook_loss, out.codebook.commitment_loss]
        if weights.l1_weight:
            losses.append(F.l1_loss(reconstruction, images))
        if out.codebook.entropy_loss is not None:
            losses.append(out.codebook.entropy_loss)
        if out.alignment is not None:
            losses.append(semantic_loss(out.alignment.float(), torch.zeros(out.alignment.shape)))
        if weights.shortcut is not None:
            losses.append(F.mse_loss(out.decoder_map.float(), out.encoder_map.detach().float()))
    for decoded in (reconstruction, None if out.shortcut is None else out.shortcut.float()):
        if decoded is None:
            continue
        losses.append(F.mse_loss(decoded, images))
        if perceptual is not None:
            with memory.part("perceptual"), setting.autocast():
                losses.append(perceptual(decoded, images).mean())
        memory.mark()
    if discriminator is not None:
        discriminator.requires_grad_(False)
        with memory.part("adversary"):
            with setting.autocast():
                logits = discriminator(reconstruction)
            losses.append(hinge_generator_loss(logits.float()))
        discriminator.requires_grad_(True)
    loss = torch.stack(losses).sum()
    fake: Tensor = reconstruction.detach()
    del losses, out, reconstruction, decoded
    memory.mark()
    torch.autograd.backward(loss)
    return fake


def _update(module: nn.Module, section: OptimizerSection, ema_decay: float, memory: LiveMemory) -> list[object]:
    """Clip and update; what stays alive until the next step."""
    memory.mark()
    nn.utils.clip_grad_norm_(module.parameters(), section.gradient_clip)
    optimizer = build_adamw(module, section)
    with memory.part("optimizer"):
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    with memory.part("ema"):
        ema = Ema(module, ema_decay) if ema_decay else None
    memory.mark()
    return [optimizer, ema]


class _NoModules:
    """Counts belong to the whole. ``FlopCounterMode`` would know in which module it is: for the backward pass it keeps
    the graph of every module's inputs, with all that blocks have computed again, until the end."""

    def __init__(self) -> None:
        self.parents = {"Global"}

    def __enter__(self) -> None:
        """Nothing to begin."""

    def __exit__(self, *args: object) -> None:
        """Nothing to end."""


def _counter() -> FlopCounterMode:
    counter = FlopCounterMode(display=False, custom_mapping=dict(attention_counters()))
    counter.mod_tracker = _NoModules()  # type: ignore[assignment]
    return counter


def _trace(memory: LiveMemory, counter: FlopCounterMode, module: nn.Module, held: list[object]) -> StepTrace:
    """``held`` is alive to the end."""
    memory.mark()
    intervals = np.stack(memory.intervals)
    for name in ("optimizer", "ema"):  # from the second step on they are there at its start
        intervals[:, PARTS.index(name)] = memory.live(name)
    held.clear()
    return StepTrace(
        intervals,
        int(counter.get_total_flops()),
        tuple(sum(p.numel() for p in block.parameters()) for block in blocks(module)),
        sum(p.numel() for p in module.parameters()),
    )
