"""What runs leave on disk: score sheets, weights, resumable states, journals. Whole files or none.

What needs torch is imported on first use: a process that only reads journals and sheets starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from gigatok.artifacts.files import replacing, write_bytes, write_json
from gigatok.artifacts.journal import Journal, Point, read_journal, series
from gigatok.artifacts.run_folder import RunFolder
from gigatok.artifacts.scores import Protocol, Provenance, Score, ScoreSheet, protocol_differences
from gigatok.artifacts.source import GitState, code_fingerprint, git_state
from gigatok.artifacts.workspace import Workspace

if TYPE_CHECKING:
    from gigatok.artifacts.training_state import Restored, TrainingState
    from gigatok.artifacts.weights import load_weights, read_metadata, save_weights

__all__ = [
    "GitState",
    "Journal",
    "Point",
    "Protocol",
    "Provenance",
    "Restored",
    "RunFolder",
    "Score",
    "ScoreSheet",
    "TrainingState",
    "Workspace",
    "code_fingerprint",
    "git_state",
    "load_weights",
    "protocol_differences",
    "read_journal",
    "read_metadata",
    "replacing",
    "save_weights",
    "series",
    "write_bytes",
    "write_json",
]

_WITH_TORCH = {
    "Restored": "training_state",
    "TrainingState": "training_state",
    "load_weights": "weights",
    "read_metadata": "weights",
    "save_weights": "weights",
}


def __getattr__(name: str) -> object:
    if name in _WITH_TORCH:
        return getattr(import_module(f"{__name__}.{_WITH_TORCH[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
