"""The paper's printed numbers: ``claims.yaml``, the only place they come from."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import yaml


@cache
def load_claims() -> dict[str, Any]:
    """The ledger as read; do not change it (it is cached)."""
    text = resources.files("gigatok.paper").joinpath("claims.yaml").read_text()
    claims: dict[str, Any] = yaml.safe_load(text)
    return claims
