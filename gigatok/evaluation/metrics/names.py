"""Names of metrics that are made of more than one word's choice, for those who write and those who look them up."""

ENCODER_PROBE = "tokenizer_probe_accuracy"
"""Accuracy of a linear probe on a tokenizer's encoder (paper figure 13)."""

REAL = "real_"
"""Begins the metrics of real images in the place of a model's (sheet ``reference``): ``real_rfid/<extractor>``."""
BEST = "_best_cfg"
"""Ends the name of a metric of samples with the best guidance, before ``/``."""


def encoder_probe_at(step: int) -> str:
    """``ENCODER_PROBE`` of the weights that were kept after ``step`` updates."""
    return f"{ENCODER_PROBE}_step_{step}"
