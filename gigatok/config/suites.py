"""Suites: which tokenizers and generators a run of the pipeline trains."""

from __future__ import annotations

from typing import Any

Entry = dict[str, Any]

NO_SEMANTIC: Entry = {"loss": {"semantic_weight": 0.0}}

CORE_TOKENIZERS: dict[str, Entry] = {
    "S-S": {"encoder": "S", "decoder": "S"},
    "S-B": {"encoder": "S", "decoder": "B"},
    "S-L": {"encoder": "S", "decoder": "L"},
    "B-L": {"encoder": "B", "decoder": "L"},
    "L-XL": {"encoder": "L", "decoder": "XL"},
    # The paper's only size with an entropy loss (table 9): without it the codebook of a 3B model collapses.
    "XL-XXL": {"encoder": "XL", "decoder": "XXL", "overrides": {"loss": {"entropy_weight": 0.005}}},
    "S-S-no-sem": {"encoder": "S", "decoder": "S", "overrides": NO_SEMANTIC},
    "S-L-no-sem": {"encoder": "S", "decoder": "L", "overrides": NO_SEMANTIC},
    "B-L-no-sem": {"encoder": "B", "decoder": "L", "overrides": NO_SEMANTIC},
}
"""The five sizes, S-L, and the three sizes of figure 3 without semantic regularization."""


def default_generators(tokenizers: dict[str, Entry]) -> dict[str, Entry]:
    """One generator a tokenizer, under the tokenizer's name (AR probing with the B model)."""
    return {name: {"tokenizer": name} for name in tokenizers}
