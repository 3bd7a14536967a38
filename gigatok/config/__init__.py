"""Settings: frozen models of every section of ``params.yaml`` and of every network's shape."""

from gigatok.config.base import ConfigError, GigatokError, Section
from gigatok.config.models import ArConfig, CnnConfig, TokenizerConfig, TransformerSize
from gigatok.config.params import RUNGS, Params, describe, fingerprint, load_params, parse_params

__all__ = [
    "RUNGS",
    "ArConfig",
    "CnnConfig",
    "ConfigError",
    "GigatokError",
    "Params",
    "Section",
    "TokenizerConfig",
    "TransformerSize",
    "describe",
    "fingerprint",
    "load_params",
    "parse_params",
]
