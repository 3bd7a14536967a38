"""A stage that scores in 2 or 4 processes leaves what it leaves in one, bit by bit."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gigatok.artifacts import Workspace, file_sha256, read_journal, save_weights, write_json
from gigatok.data import ImageSet
from gigatok.evaluation import workers
from gigatok.evaluation.decode import as_they_lie, images_in_file, open_images
from gigatok.evaluation.guidance import sampler
from gigatok.evaluation.probes import scores as probes
from gigatok.evaluation.stages import common as stage_common
from gigatok.evaluation.stages import generator as generator_stage
from gigatok.evaluation.stages import tokenizer_work
from gigatok.evaluation.stages.generator import score_generator
from gigatok.evaluation.stages.tokenizer import score_tokenizer
from gigatok.evaluation.store import samples as sample_store
from gigatok.evaluation.store.parts import PartStore

pytestmark = pytest.mark.forks

PART = 8


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that few images make several parts, and processes that see what a test has changed."""
    monkeypatch.setattr(workers, "START", "fork")
    for module in (sampler, sample_store, tokenizer_work):
        monkeypatch.setattr(module, "PART", PART)
    for method in (PartStore.collect, PartStore.missing):
        monkeypatch.setitem(method.__kwdefaults__, "part", PART)
    monkeypatch.setattr(probes, "_BATCH", 4)
    for module in (tokenizer_work, generator_stage):
        monkeypatch.setattr(module, "POOL_PART", 2 * 4)


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch, make_extractor: Any) -> None:
    """A further extractor beside the judge."""
    monkeypatch.setattr(stage_common, "load_extractor", lambda name, *_, **__: make_extractor(name, "1" * 64))


def copy(project: Any, name: str) -> Workspace:
    root = project.workspace.root
    root = root.with_name(f"{root.name}-{name}")
    shutil.copytree(project.workspace.root, root)
    return Workspace(root)


def params(project: Any, processes: int, **sections: Any) -> Any:
    reference = project.params.reference.replace(more_extractors=["dinov2-s"])
    launch = project.params.launch.replace(processes=processes)
    return project.params.model_copy(update={"launch": launch, "reference": reference, **sections})


def left(folder: Path) -> dict[str, Any]:
    """Every file of a run, times left out."""
    found: dict[str, Any] = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    found["provenance.json"] = json.loads(found.get("provenance.json", b"{}")) | {"evaluate_seconds": 0}
    found["metrics.jsonl"] = [point._replace(time=0) for point in read_journal(folder / "metrics.jsonl")]
    return found


class Counted:
    """Images that pass through the parent's extractors: what workers do, it does not."""

    def __init__(self, project: Any) -> None:
        self._network = project.judge.network
        self._before = self._network.seen

    def __int__(self) -> int:
        return int(self._network.seen - self._before)


@pytest.mark.usefixtures("small_parts", "other")
def test_a_generator(project: Any) -> None:
    """Guided samples, two seeds, a set that ends within a part, shuffled tokens, a further extractor, a probe."""
    section = project.params.evaluate_generator.replace(samples=30, seeds=[0, 1])
    folders = {}
    for processes in (1, 2, 4):
        workspace, seen = copy(project, f"with-{processes}"), Counted(project)
        score_generator("S-S", params(project, processes, evaluate_generator=section), workspace)
        assert (int(seen) > 0) is (processes == 1)
        folders[processes] = left(workspace.generator("S-S").path)
        assert not list((workspace.runs / "cache").rglob("*.npy"))
    assert {"summary.json", "samples.npz", "details.npz"} <= folders[1].keys()
    assert folders[1] == folders[2] == folders[4]


@pytest.mark.usefixtures("small_parts", "other")
def test_a_tokenizer(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconstructions, changed tokens, a further extractor, probes of the end and of a checkpoint; four processes also
    read the originals, as of images that are not packed."""
    section = project.params.evaluate_tokenizer.replace(probe={"kind": "lbfgs"}, batch_size=3)
    entry = project.params.tokenizers["S-S"].replace(overrides={"keep_steps": [3]})
    sections = {"evaluate_tokenizer": section, "tokenizers": {**project.params.tokenizers, "S-S": entry}}
    run = project.workspace.tokenizer("S-S")
    kept = run.checkpoint_path(3)
    save_weights(kept, tokenizer_work.load_tokenizer_dir(run.path).state_dict(), {})
    described = json.loads(run.config_path.read_text())
    write_json(run.config_path, {**described, "metadata": {"checkpoints": {kept.name: file_sha256(kept)}}})
    folders = {}
    for processes in (1, 2, 4):
        workspace, seen = copy(project, f"with-{processes}"), Counted(project)
        if processes == 4:
            monkeypatch.setattr(ImageSet, "is_packed", property(lambda images: False))
        score_tokenizer("S-S", params(project, processes, **sections), workspace)
        assert (int(seen) > 0) is (processes == 1)
        folders[processes] = left(workspace.tokenizer("S-S").path)
        assert not list((workspace.runs / "cache").rglob("*.npy"))
    assert {"summary.json", "pictures.npz", "details.npz"} <= folders[1].keys()
    assert folders[1] == folders[2] == folders[4]


def test_images_of_other_processes_lie_as_they_lay_there(tmp_path: Path) -> None:
    planes = torch.randint(256, (10, 3, 4, 4), dtype=torch.uint8)
    for name, images in (("planes", planes.permute(0, 2, 3, 1).numpy()), ("pixels", np.zeros((10, 4, 4, 3), np.uint8))):
        done: list[int] = []
        travelled = [pickle.loads(pickle.dumps(as_they_lie(part))) for part in (images[:7], images[7:])]
        written = images_in_file(tmp_path / f"{name}.npy", 10, travelled, done.append)
        found = open_images(tmp_path / f"{name}.npy")
        assert done == [7, 10]
        for each in (written, found):
            assert (each == images).all()
            assert each.strides == images.strides


def _refuses(_: Any) -> bool:
    return torch.are_deterministic_algorithms_enabled()


@pytest.fixture
def repeatable_or_not() -> Iterator[None]:
    """Leaves torch as it was."""
    before = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(before)


@pytest.mark.usefixtures("small_parts", "other", "repeatable_or_not")
@pytest.mark.parametrize("asked", [False, True])
def test_scoring_refuses_unrepeatable_operations_when_asked(project: Any, asked: bool) -> None:
    launch = project.params.launch.replace(processes=2, deterministic=asked)
    settings = params(project, 2, launch=launch)
    with tokenizer_work.open_work("S-S", settings, project.workspace) as work:
        assert list(work.each(_refuses, [(), (), ()])) == [asked] * 3
    assert torch.are_deterministic_algorithms_enabled() is asked
    torch.use_deterministic_algorithms(False)
    generator_stage.open_sampler("S-S", settings, project.workspace, torch.device("cpu"))
    assert torch.are_deterministic_algorithms_enabled() is asked
