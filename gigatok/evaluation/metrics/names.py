"""Names of metrics that are made of more than one word's choice, for those who write and those who look them up."""

ENCODER_PROBE = "tokenizer_probe_accuracy"
"""Accuracy of a linear probe on a tokenizer's encoder (paper figure 13)."""


def encoder_probe_at(step: int) -> str:
    """``ENCODER_PROBE`` of the weights that were kept after ``step`` updates."""
    return f"{ENCODER_PROBE}_step_{step}"
