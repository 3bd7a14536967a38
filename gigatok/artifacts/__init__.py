"""What runs leave on disk: score sheets, weights, resumable states, journals. Whole files or none.

What needs torch is imported on first use: a process that only reads journals and sheets starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from gigatok.artifacts.code import code_fingerprint, module_meanings
from gigatok.artifacts.files import Digests, file_digests, file_sha256, replacing, write_bytes, write_json, write_text
from gigatok.artifacts.identity import (
    RESUME_OPTION,
    RESUME_VARIABLE,
    Difference,
    Resumption,
    RunIdentity,
    describe_differences,
    note_resumptions,
    read_resumptions,
    resume_anyway,
)
from gigatok.artifacts.journal import Journal, Point, read_journal, series
from gigatok.artifacts.run_folder import RunFolder
from gigatok.artifacts.sheets.protocol import (
    Crop,
    Estimator,
    IntervalMethod,
    IntervalOver,
    Protocol,
    ProtocolDifference,
)
from gigatok.artifacts.sheets.scores import FewSamples, Provenance, Score, ScoreSheet, protocol_differences
from gigatok.artifacts.source import GitState, git_state
from gigatok.artifacts.states.folder import DOUBTFUL, drop_states, state_meta
from gigatok.artifacts.workspace import Workspace

if TYPE_CHECKING:
    from gigatok.artifacts.states.load import load_state
    from gigatok.artifacts.states.objects import Restored
    from gigatok.artifacts.states.save import StateSaver, save_state
    from gigatok.artifacts.weights import load_weights, save_weights

__all__ = [
    "DOUBTFUL",
    "RESUME_OPTION",
    "RESUME_VARIABLE",
    "Crop",
    "Difference",
    "Digests",
    "Estimator",
    "FewSamples",
    "GitState",
    "IntervalMethod",
    "IntervalOver",
    "Journal",
    "Point",
    "Protocol",
    "ProtocolDifference",
    "Provenance",
    "Restored",
    "Resumption",
    "RunFolder",
    "RunIdentity",
    "Score",
    "ScoreSheet",
    "StateSaver",
    "Workspace",
    "code_fingerprint",
    "describe_differences",
    "drop_states",
    "file_digests",
    "file_sha256",
    "git_state",
    "load_state",
    "load_weights",
    "module_meanings",
    "note_resumptions",
    "protocol_differences",
    "read_journal",
    "read_resumptions",
    "replacing",
    "resume_anyway",
    "save_state",
    "save_weights",
    "series",
    "state_meta",
    "write_bytes",
    "write_json",
    "write_text",
]

_WITH_TORCH = {
    "Restored": "states.objects",
    "StateSaver": "states.save",
    "load_state": "states.load",
    "load_weights": "weights",
    "save_state": "states.save",
    "save_weights": "weights",
}


def __getattr__(name: str) -> object:
    if name in _WITH_TORCH:
        return getattr(import_module(f"{__name__}.{_WITH_TORCH[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
