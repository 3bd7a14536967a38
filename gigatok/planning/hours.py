"""Expected seconds of every stage on one CPU core: order of work and the first guess of time left.

Only proportions have to be right: the runner corrects the pace as soon as stages have ended, and durations
measured in earlier runs take the place of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gigatok.config import Params, TransformerSize

CORE_FLOPS = 50e9
"""Floating-point operations a second of one core on these small matrices."""
CNN_SECONDS = 1.5e-6
"""Training the convolutional stem and head, perceptual loss included, per pixel of an image."""
OVERHEAD_SECONDS = 8.0
"""Imports, loading, saving and DVC's own work of any stage."""


def expected_seconds(params: Params) -> dict[str, float]:
    """Seconds by stage name."""
    seconds = {"prepare": 15.0, "teacher": 60.0, "reference": 90.0, "timing": 20.0, "report": 25.0}
    images = params.evaluate_generator.samples * len(params.evaluate_generator.cfg_scales)
    for name in params.tokenizers:
        seconds[f"train_tokenizer@{name}"] = OVERHEAD_SECONDS + _tokenizer(params, name)
        seconds[f"evaluate_tokenizer@{name}"] = OVERHEAD_SECONDS + 15.0
    for name in params.generators:
        seconds[f"train_generator@{name}"] = OVERHEAD_SECONDS + _generator(params, name)
        seconds[f"evaluate_generator@{name}"] = OVERHEAD_SECONDS + 0.03 * images
    return seconds


def _tokenizer(params: Params, name: str) -> float:
    training = params.tokenizer_training(name)
    model = params.tokenizer_model(name, alignment_dim=1)
    sequence = model.tokens + model.grid**2
    flops = 6 * (_weights(model.encoder) + _weights(model.decoder)) * sequence
    image = CNN_SECONDS * model.image_size**2 + flops / CORE_FLOPS
    return image * training.steps * training.batch_size


def _generator(params: Params, name: str) -> float:
    training = params.generator_training(name)
    tokens = params.tokenizer_model(params.generators[name].tokenizer, alignment_dim=1).tokens
    head = training.sizes[params.generators[name].size]
    weights = _weights(head) + head.width * params.train_tokenizer.model.codebook_size
    return 6 * weights * tokens / CORE_FLOPS * training.steps * training.batch_size


def _weights(size: TransformerSize) -> int:
    return 12 * size.depth * size.width**2
