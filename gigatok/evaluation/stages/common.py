"""What the scoring stages share: extractors, and where numbers come from."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from gigatok.artifacts import Provenance, RunFolder, ScoreSheet, git_state, read_resumptions, replacing, write_json
from gigatok.artifacts.belonging import weights_sha256
from gigatok.artifacts.sheets.views import write_views
from gigatok.config import ConfigError, GigatokError, Params, fingerprint
from gigatok.config.evaluation import ReferenceSection
from gigatok.config.reading import json_object_or_none
from gigatok.data import DataSummary
from gigatok.evaluation.extractors.base import Extractor
from gigatok.evaluation.extractors.registry import load_extractor


def open_extractor(section: ReferenceSection, device: torch.device | str = "cpu") -> Extractor:
    """The extractor that every score of a run is measured with."""
    return load_extractor(
        section.extractor,
        Path(section.weights) if section.weights else None,
        section.extractor_size,
        device=device,
    )


def further_extractors(
    section: ReferenceSection, device: torch.device | str = "cpu"
) -> tuple[list[Extractor], list[str]]:
    """``reference.more_extractors`` whose weights are there, and a note for each that is left out."""
    extractors, notes = [], []
    for name in section.more_extractors:
        try:
            extractors.append(load_extractor(name, section.more_weights.get(name), device=device))
        except ConfigError:
            raise
        except GigatokError as reason:
            notes.append(f"distances with {name} are absent: {reason}")
    return extractors, notes


def provenance(
    params: Params,
    data: DataSummary,
    run: str,
    *sections: object,
    training_seed: int | None = None,
    trained: Sequence[RunFolder] = (),
) -> Provenance:
    """Commit, settings, data and seed (of the training, where the run has one) behind the numbers of ``run``.

    ``trained``: folders of the models that are scored, which say whether they took over what another run had made.
    """
    resumptions = tuple(each for folder in trained for each in read_resumptions(folder.config_path))
    commit, dirty = git_state(Path.cwd())
    return Provenance(
        commit=commit,
        dirty=dirty,
        params_sha=fingerprint(params.base, params.prepare, params.reference, *sections),
        data_sha=data.data_sha256,
        seed=params.base.seed if training_seed is None else training_seed,
        profile=params.profile,
        run=run,
        resumed_anyway=resumptions or None,
    )


def scored_weights(*runs: RunFolder) -> dict[str, str]:
    """Which weights a sheet's scores are of, as it notes them."""
    known = {f"{run.path.parent.name}/{run.name}": weights_sha256(run) for run in runs}
    return {name: sha256 for name, sha256 in known.items() if sha256}


@contextmanager
def timed_evaluation(run: RunFolder) -> Iterator[None]:
    """Add the block's wall time to the run's provenance as ``evaluate_seconds``."""
    begin = time.monotonic()
    yield
    known = json_object_or_none(run.provenance_path) or {}
    write_json(run.provenance_path, {**known, "evaluate_seconds": time.monotonic() - begin})


def write_scores(run: RunFolder, sheet: ScoreSheet) -> None:
    """The run's score sheet, and what DVC shows of it."""
    sheet.write(run.summary_path)
    write_views(run, sheet)


def write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """An ``.npz`` of these arrays, whole or not at all; equal arrays give equal bytes."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
