"""Floating-point operations of training a tokenizer."""

from __future__ import annotations

from functools import cache

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from gigatok.config import Params, TokenizerConfig
from gigatok.models import Tokenizer


def training_flops(params: Params, name: str) -> float:
    """Floating-point operations of training a tokenizer: three times its forward pass, per image and step.

    This is the usual 6 x parameters x tokens (2 forward, 4 backward), but counted by torch over our modules, since
    convolutions use a parameter once a pixel. Nothing is allocated. Teacher, perceptual network and discriminator are
    left out: they are the same for every rung.
    """
    training = params.tokenizer_training(name)
    config = params.tokenizer_model(name, alignment_dim=1).model_copy(update={"alignment_layer": None})
    return 3.0 * forward_flops(config) * training.steps * training.batch_size


@cache
def forward_flops(config: TokenizerConfig) -> int:

    with FakeTensorMode(), torch.no_grad():
        tokenizer = Tokenizer(config).eval()
        images = torch.zeros(1, 3, config.image_size, config.image_size)
        with FlopCounterMode(display=False) as counter:
            tokenizer(images)
    return int(counter.get_total_flops())
