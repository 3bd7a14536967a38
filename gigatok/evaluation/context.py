"""What the scoring stages share: the judge, its features of the real images, and where numbers come from."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from threadpoolctl import threadpool_limits

from gigatok.artifacts import Protocol, Provenance, RunFolder, Workspace, code_fingerprint, git_state, write_json
from gigatok.config import ConfigError, GigatokError, Params, fingerprint
from gigatok.config.sections import BaseSection, ReferenceSection
from gigatok.data import DataSummary
from gigatok.evaluation.cache import cached_features
from gigatok.evaluation.extractors import Extractor, Features, Progress, load_extractor


def open_judge(section: ReferenceSection, device: torch.device | str = "cpu") -> Extractor:
    """The extractor that every score of a run is measured with."""
    return load_extractor(
        section.extractor,
        Path(section.weights) if section.weights else None,
        section.extractor_size,
        device=device,
    )


def further_judges(section: ReferenceSection, device: torch.device | str = "cpu") -> tuple[list[Extractor], list[str]]:
    """``reference.more_extractors`` whose weights are there, and a note for each that is left out."""
    judges, notes = [], []
    for name in section.more_extractors:
        try:
            judges.append(load_extractor(name, section.more_weights.get(name), device=device))
        except ConfigError:
            raise
        except GigatokError as reason:
            notes.append(f"distances with {name} are absent: {reason}")
    return judges, notes


def judged_features(
    judge: Extractor,
    images: npt.NDArray[np.uint8],
    workspace: Workspace,
    batch_size: int,
    progress: Progress | None = None,
) -> Features:
    """The judge's features of (n, S, S, 3) images, kept under ``runs/cache`` by content."""
    return cached_features(judge, images, feature_cache(workspace), batch_size=batch_size, progress=progress)


def feature_cache(workspace: Workspace) -> Path:
    """Store of features, a new one whenever the code that computes them changes."""
    return workspace.runs / "cache" / f"features-{_extraction_code()[:12]}"


def sample_cache(workspace: Workspace) -> Path:
    """Store of sampled indices."""
    return workspace.runs / "cache" / "samples"


@cache
def _extraction_code() -> str:
    digest = hashlib.sha256(code_fingerprint(["teachers"]).encode())
    for name in ("extractors", "resize", "efficientnet", "inception", "vit_extractors"):
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()


def judge_protocol(judge: Extractor, *, reference: str, reference_count: int | None, sample_count: int) -> Protocol:
    """Protocol of a score on the judge's features; arrays throughout, no image files in between."""
    return Protocol(
        extractor=judge.name,
        extractor_sha256=judge.sha256,
        extractor_size=judge.image_size,
        reference=reference,
        reference_count=reference_count,
        sample_count=sample_count,
        preprocessing=judge.preprocessing,
        rounding="adm",
        codec="none",
    )


def pixel_protocol(originals: str, count: int) -> Protocol:
    """Protocol of PSNR and SSIM: uint8 reconstructions against uint8 originals of that name."""
    return Protocol(
        reference=originals,
        reference_count=count,
        sample_count=count,
        rounding="adm",
        codec="none",
    )


def provenance(
    params: Params, data: DataSummary, run: str, *sections: object, training_seed: int | None = None
) -> Provenance:
    """Commit, settings, data and seed (of the training, where the run has one) behind the numbers of ``run``."""
    commit, dirty = git_state(Path.cwd())
    return Provenance(
        commit=commit,
        dirty=dirty,
        params_sha=fingerprint(params.base, params.prepare, params.reference, *sections),
        data_sha=data.data_sha256,
        seed=params.base.seed if training_seed is None else training_seed,
        profile=params.profile,
        run=run,
    )


def limit_threads(section: BaseSection) -> torch.device:
    """Seed torch, fix the threads, choose the device for scoring."""
    if section.threads:
        torch.set_num_threads(section.threads)
        # NumPy and SciPy bring a BLAS each, with threads of its own: two stages side by side would wait for each other.
        import scipy.linalg  # noqa: F401  only a library that is loaded can be limited

        threadpool_limits(section.threads)
    torch.manual_seed(section.seed)
    if section.device != "auto":
        return torch.device(section.device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def timed_evaluation(run: RunFolder) -> Iterator[None]:
    """Add the block's wall time to the run's provenance as ``evaluate_seconds``."""
    begin = time.monotonic()
    yield
    try:
        known = json.loads(run.provenance_path.read_text())
    except (FileNotFoundError, ValueError):
        known = {}
    write_json(run.provenance_path, {**known, "evaluate_seconds": time.monotonic() - begin})
