"""Time of training, from operations and speed; and expected seconds of every stage on one CPU core.

The latter order the work and give the first guess of time left. Only proportions have to be right there: the runner
corrects the pace as soon as stages have ended, and durations measured in earlier runs take the place of these.
Operations come from shapes alone (``flops.py``): torch is not loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigatok.planning.flops import generator_training_flops, training_flops

if TYPE_CHECKING:
    from gigatok.config import Params

CORE_FLOPS = 50e9
"""Operations a second of one CPU core that trains: of the model's own ones, while losses, adversary and the encoding of
all images run beside them. The 18 tokenizers of the reports of ``nano`` and ``mini`` reached 42 to 59, generators 34 to
57 (two 2.8 GHz cores, a run on each)."""
UTILISATION = {"tokenizer": 0.1, "generator": 0.25}
"""Share of a GPU's peak speed in bf16 that training reached on an H200 (reports/gpu-h200.md): S-S at 256 px 8 to 11%,
GPT-B 27%, compiled 36%. On an H100 (reports/gpu.md) S-S reached 7 and 12%, compiled 20%, GPT-B 23%, compiled 27%."""
ENCODINGS = 0.02
"""What encoding and decoding images to be scored takes, as a share of the training. Large tokenizers come first by it,
so that no long scoring is left for the end when the other core has nothing more to do."""
OVERHEAD_SECONDS = 8.0
"""Imports, loading, saving and DVC's own work of any stage."""


def training_hours(flops: float, *, devices: int, peak: float, utilisation: float) -> float:
    """Hours of ``flops`` operations on ``devices`` that reach a share ``utilisation`` of ``peak`` a second each.

    Raises:
        ValueError: a number that is not positive.
    """
    if min(devices, peak, utilisation) <= 0:
        raise ValueError(f"devices {devices}, peak {peak} and utilisation {utilisation} must be above 0")
    return flops / (devices * peak * utilisation) / 3600


def expected_seconds(params: Params) -> dict[str, float]:
    """Seconds by stage name."""
    seconds = {"criteria": 2.0, "prepare": 15.0, "teacher": 60.0, "reference": 90.0, "timing": 20.0, "report": 25.0}
    for name in params.tokenizers:
        training = training_flops(params, name) / CORE_FLOPS
        seconds[f"train_tokenizer@{name}"] = OVERHEAD_SECONDS + training
        seconds[f"evaluate_tokenizer@{name}"] = OVERHEAD_SECONDS + 15.0 + ENCODINGS * training
    for name in params.generators:
        seconds[f"train_generator@{name}"] = OVERHEAD_SECONDS + generator_training_flops(params, name) / CORE_FLOPS
        images = params.generator_evaluation(name).expected_images
        seconds[f"evaluate_generator@{name}"] = OVERHEAD_SECONDS + 0.01 * images
    return seconds
