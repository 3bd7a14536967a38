"""Metric names that are built from parts, for writers and readers alike."""

ENCODER_PROBE = "tokenizer_probe_accuracy"
"""Accuracy of a linear probe on a tokenizer's encoder (paper figure 13)."""
ENCODER_PROBE_AT = f"{ENCODER_PROBE}_step_"
"""Begins the same of weights that were kept while training."""
BEST_GUIDANCE = "_best_cfg"
"""Ends the name, before the extractor, of a metric of samples with the guidance of the lowest gFID."""

REAL = "real_"
"""Begins the metrics of real images in the place of a model's (sheet ``reference``): ``real_rfid/<extractor>``."""

REST = "_rest"
"""Ends the name, before guidance and extractor, where real images were compared with all others of the set."""


def encoder_probe_at(step: int) -> str:
    """``ENCODER_PROBE`` of the weights that were kept after ``step`` updates."""
    return f"{ENCODER_PROBE_AT}{step}"


def with_best_guidance(metric: str) -> str:
    """``gfid/x`` -> ``gfid_best_cfg/x``."""
    name, slash, extractor = metric.partition("/")
    return f"{name}{BEST_GUIDANCE}{slash}{extractor}"


def without_best_guidance(metric: str) -> str:
    """``gfid_best_cfg/x`` -> ``gfid/x``; other metrics stay as they are."""
    return metric.replace(BEST_GUIDANCE, "", 1)


def has_best_guidance(metric: str) -> bool:
    """Whether a metric is of samples with the best guidance, or a mean of such metrics."""
    return BEST_GUIDANCE in metric.partition("/")[0]
