"""What a run folder says about itself: score sheet, provenance, curves, pictures. Absent stays absent."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gigatok.artifacts import RunFolder, Score, ScoreSheet
from gigatok.artifacts.arrays import read_npz
from gigatok.artifacts.belonging import of_these_weights, read_provenance, weights_sha256
from gigatok.artifacts.journal import read_curves
from gigatok.artifacts.outputs.digests import make_sound, outputs_in
from gigatok.artifacts.outputs.pictures import GeneratorSamples, TokenizerPictures
from gigatok.config import RUNGS, Params
from gigatok.config.reading import read_json_object

Kind = Literal["tokenizer", "generator", "reference"]
Curve = list[tuple[float, float]]

_AGAIN = "delete it and run its stage again"
_FOLDERS = {"tokenizer": "tokenizers", "generator": "generators"}
_SIZES = {tokenizer: size for size, tokenizer in RUNGS.items()}


@dataclass(frozen=True)
class Run:
    """One folder under ``runs/``; ``sheet`` is ``None`` where nothing (or another profile) was evaluated."""

    kind: Kind
    name: str
    folder: Path
    sheet: ScoreSheet | None
    provenance: dict[str, Any] = field(default_factory=dict)
    mlflow_run: str | None = None
    """Id of its MLflow run; ``None`` where it was not tracked."""
    stale: str | None = None
    """Profile of a sheet that was left aside because it is not the current one."""
    outdated: str | None = None
    """Run whose weights are others than those that a sheet, left aside for it, is of."""
    repeats: tuple[Run, ...] = ()
    """The single trainings, where the scores are means over several."""
    same_tokens: tuple[Run, ...] = ()
    """The generators on one training's tokens, where the scores are means over several."""

    @property
    def first(self) -> Run:
        """The one training whose folder this is, where the scores are means over several: that of the pictures."""
        run = self.repeats[0] if self.repeats else self
        return run.same_tokens[0] if run.same_tokens else run

    @property
    def scores(self) -> tuple[Score, ...]:
        """Its measured values (none where it was not run)."""
        return tuple(self.sheet.scores) if self.sheet else ()

    @property
    def floors(self) -> tuple[Score, ...]:
        """Its baselines (none where it was not run)."""
        return tuple(self.sheet.floors) if self.sheet else ()

    @cached_property
    def curves(self) -> dict[str, Curve]:
        """``curves.json``: name -> [(step, value), ...]; empty without the file.

        Raises:
            GigatokError: the file is damaged, and DVC's cache does not hold it.
        """
        path = RunFolder(self.folder).curves_path
        if not self.sheet or not path.exists():
            return {}
        make_sound(path, outputs_in(self.provenance).get(path.name), fix=_AGAIN)
        values = read_curves(path, fix=_AGAIN)
        return {name: [(float(x), float(y)) for x, y in points] for name, points in values.items()}

    def arrays(self, file: str) -> dict[str, npt.NDArray[Any]]:
        """Arrays of an ``.npz`` that was written with the score sheet; empty without the file or the run.

        Raises:
            GigatokError: the file is damaged, and DVC's cache does not hold it.
        """
        path = self.folder / file
        if not self.sheet or not path.exists():
            return {}
        make_sound(path, self.sheet.files.get(file), fix=_AGAIN)
        return read_npz(path, fix=_AGAIN).arrays

    @cached_property
    def details(self) -> dict[str, npt.NDArray[Any]]:
        """Values image by image, under ``images/<metric>`` (docs/protocols.md). Raises as ``arrays``.

        Of scores that are means over generators on the same tokens they are means, too, as their noise is; without a
        value that a generator lacks, or has of another number of images.
        """
        file = RunFolder(self.folder).details_path.name
        if not self.same_tokens:
            return self.arrays(file)
        found = [run.arrays(file) for run in self.same_tokens]
        alike = [name for name in found[0] if len({each[name].shape if name in each else None for each in found}) == 1]
        return {name: np.asarray(np.mean([each[name] for each in found], axis=0, dtype=np.float64)) for name in alike}

    @property
    def pictures(self) -> TokenizerPictures | None:
        """A tokenizer's pictures; ``None`` without the file or the run. Raises as ``arrays``."""
        path = RunFolder(self.folder).pictures_path
        if not self.sheet or not path.exists():
            return None
        return TokenizerPictures.read(path, self.sheet.files.get(path.name), fix=_AGAIN)

    @property
    def samples(self) -> GeneratorSamples | None:
        """A generator's samples; ``None`` without the file or the run. Raises as ``arrays``."""
        path = RunFolder(self.folder).samples_path
        if not self.sheet or not path.exists():
            return None
        return GeneratorSamples.read(path, self.sheet.files.get(path.name), fix=_AGAIN)


def read_run(runs_root: Path, kind: Kind, name: str, profile: str | None = None) -> Run:
    """The run ``name`` under ``runs_root``.

    A sheet measured under another profile than ``profile`` does not count: it would stand in the wrong table. Nor does
    one of other weights than those that are there: a tokenizer trained again has no gFID before its generator has.

    Raises:
        GigatokError: a score sheet exists but cannot be read.
    """
    folder = runs_root / "reference" if kind == "reference" else runs_root / _FOLDERS[kind] / name
    path = folder / "summary.json"
    sheet = ScoreSheet.read(path) if path.exists() else None
    provenance = read_provenance(RunFolder(folder))
    found = next((each.provenance.profile for each in sheet.scores + sheet.floors), None) if sheet else None
    if profile and found and found != profile:
        return Run(kind, name, folder, None, stale=found)
    if outdated := _with_other_weights(runs_root, sheet):
        return Run(kind, name, folder, None, outdated=outdated)
    return Run(kind, name, folder, sheet, provenance, _mlflow_run(folder))


def _with_other_weights(runs_root: Path, sheet: ScoreSheet | None) -> str | None:
    """The first run whose weights are known to be others than those that were scored."""
    scored = sheet.weights if sheet else {}
    here = {name: weights_sha256(RunFolder(runs_root / name)) for name in scored}
    return next((name for name, sha256 in scored.items() if here[name] not in (None, sha256)), None)


def _mlflow_run(folder: Path) -> str | None:
    """The MLflow run of the weights that are there."""
    ledger = _read_json(folder / "mlflow.json")
    return ledger.get("run_id") if ledger and of_these_weights(RunFolder(folder), ledger) else None


def read_classes(runs_root: Path) -> list[str]:
    """Names of the classes by label; empty before ``prepare`` has run."""
    return [str(name) for name in _read_json(runs_root / "data" / "summary.json").get("classes", [])]


def command_for(params: Params, tokenizer: str) -> str:
    """The command that runs what is missing of a tokenizer and its generator."""
    if tokenizer in _SIZES and tokenizer in params.tokenizers:
        return f"gigatok-bench scaling --sizes {_SIZES[tokenizer]}"
    if tokenizer in params.generators:
        return f"dvc repro evaluate_tokenizer@{tokenizer} evaluate_generator@{tokenizer}"
    if tokenizer in params.tokenizers:
        return f"dvc repro evaluate_tokenizer@{tokenizer}"
    return f"{suite_full(params)} && dvc repro"


def suite_full(params: Params) -> str:
    """The command that writes the settings of suite full, with as many trainings of each recipe as now."""
    seeds = max((entry.seeds for entry in params.tokenizers.values()), key=len, default=())
    again = f" --seeds {','.join(map(str, seeds))}" if len(seeds) > 1 else ""
    return f"gigatok-bench profile {params.profile} --suite full{again}"


def _read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where the file is absent (a run in progress has not written it yet)."""
    return read_json_object(path, fix=_AGAIN) if path.exists() else {}


def total_parameters(parts: dict[str, int]) -> int:
    """Parameters of the whole from a sheet's ``parameters`` (which may carry the total itself)."""
    return parts["total"] if "total" in parts else sum(parts.values())
