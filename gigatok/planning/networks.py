"""The networks of a training run, built without data: sizes are what the planner needs, weights are not."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._guards import detect_fake_mode
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes

from gigatok.config.sections import TeacherSection, TrainTokenizerSection
from gigatok.models.discriminator import PatchGan
from gigatok.models.discriminator_dino import IMAGE_SIZE, DinoDiscriminator, build_dino_backbone
from gigatok.teachers import PerceptualNetwork, Teacher, load_perceptual, load_teacher
from gigatok.teachers.lpips import STAGES, Lpips, VggFeatures
from gigatok.teachers.vit import VIT_TEACHERS, build_vit

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def on_meta(build: Callable[[], ModuleT]) -> ModuleT:
    """What ``build`` makes, on the meta device: shapes alone."""
    with torch.device("meta"):
        return build()


def allocate(module: ModuleT) -> ModuleT:
    """Give ``module``, built by ``on_meta``, parameters and buffers without values on the CPU; in place.

    Inside ``FakeTensorMode`` nothing is allocated.
    """
    for part in module.modules():
        for name, parameter in list(part._parameters.items()):
            if parameter is not None:
                new = torch.empty(parameter.shape, dtype=parameter.dtype)
                part._parameters[name] = nn.Parameter(new, requires_grad=parameter.requires_grad)
        for name, buffer in list(part._buffers.items()):
            if buffer is not None:
                part._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)
    return module


class PlannedTeacher(NamedTuple):
    """A semantic encoder of the right size."""

    network: nn.Module
    dim: int
    """Feature width."""
    image_size: int

    def features(self, images: Tensor) -> None:
        """A forward pass over as many images as ``images`` (B, 3, H, W)."""
        size = self.image_size
        seen = torch.zeros(len(images), 3, size, size)
        network: Any = self.network
        run = network.feature_map if isinstance(network, Teacher) else network.forward_features
        with torch.no_grad():
            run(seen)


def planned_teacher(section: TeacherSection) -> PlannedTeacher:
    """The teacher with weights of no meaning; a ViT is not downloaded for it."""
    if section.name in VIT_TEACHERS:
        source = VIT_TEACHERS[section.name]
        network = _from_timm(lambda: build_vit(source.timm_name, section.image_size))
        return PlannedTeacher(network.eval().requires_grad_(False), int(network.num_features), section.image_size)
    teacher = _loaded(lambda: load_teacher(section.name, image_size=section.image_size))
    return PlannedTeacher(teacher, teacher.dim, section.image_size)


@cache
def teacher_dim(section: TeacherSection) -> int:
    """Feature width of the teacher, and of the alignment MLP's output."""
    with FakeTensorMode():
        return planned_teacher(section).dim


def planned_perceptual(section: TrainTokenizerSection) -> PerceptualNetwork | None:
    """The perceptual distance with weights of no meaning; VGG16 is not downloaded for it."""
    if not section.loss.perceptual_weight:
        return None
    if section.loss.perceptual_network == "vgg16":
        return _loaded(_random_lpips)
    return _loaded(lambda: load_perceptual(section.loss.perceptual_network))


def planned_discriminator(section: TrainTokenizerSection) -> nn.Module | None:
    """The adversary, where the run has one."""
    settings = section.loss.discriminator
    if not section.loss.adversarial_weight or settings.start_step >= section.steps:
        return None
    if settings.kind == "dino":
        return _DinoJudge(DinoDiscriminator(_from_timm(build_dino_backbone)))
    return PatchGan(settings.channels, settings.layers, settings.statistics_group)


class _DinoJudge(nn.Module):
    """The DINO discriminator on images that were not augmented: random numbers have no size."""

    def __init__(self, discriminator: DinoDiscriminator) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 980) logits."""
        seen = F.interpolate(images, size=(IMAGE_SIZE, IMAGE_SIZE), mode="area")
        taps = self.discriminator.features(seen)
        return torch.cat([head(tap) for head, tap in zip(self.discriminator.heads, taps, strict=True)], dim=1)


class _HostRanges(TorchFunctionMode):
    """timm reads the values of ``linspace`` while it builds a network."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.linspace:
            kwargs["device"] = "cpu"
        return func(*args, **kwargs)


def _random_lpips() -> Lpips:
    heads = {f"lin{i}.model.1.weight": torch.ones(1, widths[-1], 1, 1) for i, widths in enumerate(STAGES)}
    return Lpips(VggFeatures().state_dict(), heads, sha256="")


def _loaded(load: Callable[[], ModuleT]) -> ModuleT:
    """A network whose weights are checked while they are loaded: read as they are, then without values in their place.

    Where tensors have values, as in a measurement, it keeps its own.
    """
    with _disable_current_modes():
        network = load()
    return allocate(network) if detect_fake_mode() is not None else network


def _from_timm(build: Callable[[], ModuleT]) -> ModuleT:
    """A network of timm, which must see some values while it is built: in no mode but the meta device's."""
    with _disable_current_modes(), torch.device("meta"), _HostRanges():
        network = build()
    return allocate(network)
