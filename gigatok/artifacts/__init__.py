"""What runs leave on disk: score sheets, weights, resumable states, journals. Whole files or none."""

from gigatok.artifacts.files import replacing, write_bytes, write_json
from gigatok.artifacts.journal import Journal, Point, read_journal, series
from gigatok.artifacts.run_folder import RunFolder
from gigatok.artifacts.scores import Protocol, Provenance, Score, ScoreSheet, protocol_differences
from gigatok.artifacts.source import GitState, code_fingerprint, git_state
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
