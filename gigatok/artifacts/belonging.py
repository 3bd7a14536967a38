"""Whether the files beside a run's weights are of the training that made those weights.

Weights, ``config.json``, curves and scores are DVC outputs: ``dvc checkout`` brings another training's. Journal,
provenance and what tracking keeps are none, and stay. ``config.json`` names the hash of the weights it came with;
whatever is of other weights is never used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gigatok.artifacts.journal import read_journal
from gigatok.artifacts.run_folder import RunFolder
from gigatok.config.reading import json_object_or_none

WEIGHTS = "weights_sha256"
"""Key under which a file notes the weights that it belongs to."""


def weights_sha256(run: RunFolder) -> str | None:
    """SHA-256 of the weights that are there, as ``config.json`` has it; ``None`` before a training has ended."""
    known = _read(run.config_path).get("sha256")
    return known if isinstance(known, str) and known else None


def of_these_weights(run: RunFolder, known: Mapping[str, Any]) -> bool:
    """Whether ``known``, the content of one of the run's files, belongs to the weights that are there.

    What names no weights (written before the training ended, or by an earlier version) is of the training that the
    journal is of.
    """
    here, noted = weights_sha256(run), noted_weights(known)
    if here is None or noted is not None:
        return here is None or here == noted
    return companions_belong(run)


def companions_belong(run: RunFolder) -> bool:
    """Whether journal and provenance are of the weights that are there; true where nothing says otherwise.

    The provenance of a finished training holds the hash of its weights. Where there is none, the journal decides: its
    values are the curves', unless another training wrote it.
    """
    here = weights_sha256(run)
    noted = noted_weights(_read(run.provenance_path))
    if here is None or noted is not None:
        return here is None or here == noted
    return not _contradicts(run)


def read_provenance(run: RunFolder) -> dict[str, Any]:
    """``provenance.json`` of the weights that are there; empty if it is another training's, damaged or missing."""
    return _read(run.provenance_path) if companions_belong(run) else {}


def noted_weights(known: Mapping[str, Any]) -> str | None:
    """The hash of the weights that a file of a run was written for, where it says so."""
    outputs = known.get("outputs")
    weights = outputs.get("weights.safetensors") if isinstance(outputs, dict) else None
    noted = known.get(WEIGHTS) or (weights.get("sha256") if isinstance(weights, dict) else None)
    return noted if isinstance(noted, str) else None


def _contradicts(run: RunFolder) -> bool:
    """Whether the journal has another value than the curves for a name and step that both have."""
    curves = {
        (name, step): value
        for name, points in _read(run.curves_path).items()
        if isinstance(points, list)
        for step, value in (point for point in points if isinstance(point, list) and len(point) == 2)
        if isinstance(step, (int, float))
    }
    logged = {(point.name, point.step): point.value for point in read_journal(run.journal_path)}
    return any(curves[key] != value for key, value in logged.items() if key in curves)


def _read(path: Path) -> dict[str, Any]:
    return json_object_or_none(path) or {}
