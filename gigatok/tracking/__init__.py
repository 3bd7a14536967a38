"""Tracking: the journals are the truth, a process of its own uploads them to MLflow.

Only ``gigatok.tracking.mlflow`` imports MLflow, on behalf of the feeder (``feed``) and of ``sync`` (rebuild, doctor).
"""

from gigatok.tracking.feeder import drain
from gigatok.tracking.run_info import RunInfo
from gigatok.tracking.tracker import MlflowTracker, NullTracker, Tracker, note_artifact, open_tracker, publish_summary

__all__ = [
    "MlflowTracker",
    "NullTracker",
    "RunInfo",
    "Tracker",
    "drain",
    "note_artifact",
    "open_tracker",
    "publish_summary",
]
