"""Readers of what a run keeps for itself: training states, teacher features, cached parts, journals of searches."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from fuzzing import altered, files, fuzzed, value_or_one_error
from hypothesis import given
from hypothesis import strategies as st

from gigatok.artifacts import Workspace, load_state, save_state, state_meta
from gigatok.artifacts.states.folder import MANIFEST, read_manifest, sum_of, write_manifest
from gigatok.artifacts.states.objects import Restored, pack
from gigatok.config import parse_params
from gigatok.config.profiles import render
from gigatok.config.reading import parse_yaml
from gigatok.evaluation.guidance.setting import Guidance
from gigatok.evaluation.guidance.study import StudySpace, guidance_study
from gigatok.evaluation.store.parts import PartStore
from gigatok.pipeline.tuning.plan import StudyPlan
from gigatok.pipeline.tuning.space import Space
from gigatok.pipeline.tuning.study import PSNR, ended, open_study, reap, summary
from gigatok.training.targets import open_targets

pytestmark = pytest.mark.filterwarnings("ignore")


def objects() -> dict[str, Any]:
    """Of each kind that a run has."""
    module = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(module.parameters())
    generators = {"torch": torch.Generator(), "numpy": np.random.default_rng(0)}
    return {"module": module, "optimizer": optimizer, **generators}


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state with a tensor that lies in a file of its own."""
    folder = tmp_path_factory.mktemp("states")
    save_state(folder, {**objects(), "large": torch.zeros(80, 80), "best": [1.5, None]}, {"step": 3})
    return folder


@pytest.fixture
def random_state() -> Iterator[None]:
    """A state that is restored brings the global generators along."""
    before = torch.get_rng_state()
    yield
    torch.set_rng_state(before)


def restored(folder: Path) -> None:
    """Load the state: it is whole, passed over, or of something else."""
    found = value_or_one_error(lambda: load_state(folder, objects()))
    assert found is None or isinstance(found, Restored)
    assert isinstance(state_meta(folder), dict | None)


@pytest.mark.usefixtures("random_state")
@fuzzed
@given(data=st.data())
def test_states(data: st.DataObject, states: Path) -> None:
    (path,) = states.glob("state-*")
    name = data.draw(st.sampled_from(sorted(each.name for each in path.iterdir())))
    whole, manifest = (path / name).read_bytes(), read_manifest(path)
    try:
        (path / name).write_bytes(data.draw(files(whole)))
        if name != MANIFEST:  # as if it had been written so
            write_manifest(path, manifest.meta, {**manifest.files, name: sum_of(path / name)})
        restored(states)
    finally:
        (path / name).write_bytes(whole)
        write_manifest(path, manifest.meta, manifest.files)


@pytest.mark.usefixtures("random_state")
@fuzzed
@given(data=st.data())
def test_manifests_of_states(data: st.DataObject, states: Path) -> None:
    path = next(states.glob("state-*")) / MANIFEST
    whole = path.read_text()
    values = {key: value for key, value in json.loads(whole).items() if key != "sha256"}
    try:
        changed = data.draw(altered(values))
        sha256 = hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()
        path.write_text(json.dumps({**changed, "sha256": sha256}))
        restored(states)
    finally:
        path.write_text(whole)


TREE = {**pack({**objects(), "best": [1.5, None]}), "meta": json.dumps({"step": 3})}


def torch_file(content: object) -> bytes:
    """As states of earlier versions were written."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.mark.usefixtures("random_state")
@fuzzed
@given(data=st.one_of(files(torch_file(TREE)), altered(TREE).map(torch_file)))
def test_states_of_earlier_versions(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "state-000001.pt").write_bytes(data)
    restored(tmp_path)


PARAMS = parse_params(parse_yaml(render("smoke"), "smoke"))
TEACHER = PARAMS.teacher.replace(cache=True)
SECTION = PARAMS.train_tokenizer.replace(loss={**PARAMS.train_tokenizer.loss.model_dump(), "semantic_weight": 0.5})
IMAGES = SimpleNamespace(summary=SimpleNamespace(image_size=PARAMS.prepare.image_size, data_sha256="d"), train=range(3))


def features() -> tuple[bytes, dict[str, Any]]:
    """Stored features of three images, and what the stage notes of them."""
    grid = PARAMS.prepare.image_size // SECTION.model.cnn.downsample
    buffer = io.BytesIO()
    np.save(buffer, np.ones((3, grid**2, 5), np.float16))
    content = buffer.getvalue()
    about = {"name": TEACHER.name, "sha256": "s", "dim": 5, "grid": grid, "image_size": TEACHER.image_size,
             "cached": True, "data_sha256": "d"}  # fmt: skip
    sha256 = hashlib.sha256(content).hexdigest()
    noted = {"sha256": sha256, "md5": hashlib.md5(content).hexdigest(), "bytes": len(content)}
    return content, {**about, "features_sha256": sha256, "files": {"features.npy": noted}}


FEATURES, ABOUT = features()


@fuzzed
@given(data=st.data())
def test_teacher_features(data: st.DataObject, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.teacher.mkdir(parents=True, exist_ok=True)
    pixels, noted = FEATURES, ABOUT
    if data.draw(st.booleans()):
        pixels = data.draw(files(FEATURES))
    else:
        noted = data.draw(altered(ABOUT))
    if data.draw(st.booleans()):  # no hash is left to notice it by
        noted = {key: value for key, value in noted.items() if key not in ("features_sha256", "files")}
    (workspace.teacher / "features.npy").write_bytes(pixels)
    (workspace.teacher / "summary.json").write_text(json.dumps(noted))

    def read() -> Any:
        found = open_targets(TEACHER, SECTION, IMAGES, workspace, torch.device("cpu"))  # type: ignore[arg-type]
        assert found is not None
        return found.sound().source.of(np.arange(3), torch.zeros(3, 3, 4, 4), 1)

    target = value_or_one_error(read)
    assert target is None or target.shape == (3, 1, 5)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> PartStore:
    """Two parts of an entry."""
    store = PartStore(tmp_path_factory.mktemp("parts"), {"key": 1})
    store.collect(5, produced, part=3)
    return store


def produced(start: int, stop: int) -> dict[str, Any]:
    return {"pool": np.arange(start, stop, dtype=np.float32), "labels": np.arange(start, stop)}


@fuzzed
@given(data=st.data())
def test_cached_parts(data: st.DataObject, parts: PartStore) -> None:
    whole = {path: path.read_bytes() for path in parts.folder.iterdir()}
    path = data.draw(st.sampled_from(sorted(whole)))
    odd = parts.folder / f"{data.draw(st.sampled_from(['x', '1-2-3', '²-3', '1-2']))}.safetensors"
    try:
        path.write_bytes(data.draw(files(whole[path])))
        odd.write_bytes(whole[path])
        before = value_or_one_error(parts.stored)
        assert before is None or before["pool"].tolist() == [0, 1, 2, 3, 4]
        assert parts.collect(5, produced, part=3)["labels"].tolist() == [0, 1, 2, 3, 4]
    finally:
        odd.unlink(missing_ok=True)
        for each, content in whole.items():
            each.write_bytes(content)


SPACE = StudySpace(scales=(1.5, 2.0), schedules=("constant",), starts=(0.0,))


def search(path: Path, trials: int = 2) -> Any:
    """A search that is repeated; where its trials are known nothing is scored."""
    score: Callable[[Guidance, int], float] = lambda guidance, count: guidance.scale + 1 / count  # noqa: E731
    return guidance_study(score, SPACE, samples=(2, 4), trials=trials, storage=path)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Of a finished search."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = tmp_path_factory.mktemp("studies") / "S-S.log"
    search(path)
    return path.read_bytes()


@st.composite
def other_records(draw: st.DrawFn, content: bytes) -> bytes:
    """A journal with a record altered, left out or repeated."""
    lines = content.splitlines(keepends=True)
    place = draw(st.integers(0, len(lines) - 1))
    change = draw(st.sampled_from(("alter", "alter", "drop", "repeat")))
    record = lines[place]
    if change == "alter":
        lines[place] = json.dumps(draw(altered(json.loads(record)))).encode() + b"\n"
    else:
        lines[place : place + 1] = [] if change == "drop" else [record, record]
    return b"".join(lines)


@fuzzed
@given(data=st.data())
def test_journals_of_searches(data: st.DataObject, journal: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "studies"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "S-S.log").write_bytes(data.draw(st.one_of(files(journal), other_records(journal))))
    report = value_or_one_error(lambda: search(folder / "S-S.log"))
    assert report is None or report.unguided.guidance == Guidance()


class Plan(StudyPlan):
    """A study of a tokenizer whose settings are known."""

    def identity(self) -> str:
        """Always the same."""
        return "i"

    def sampler(self, number: int) -> optuna.samplers.TPESampler:
        """Of its number alone."""
        return optuna.samplers.TPESampler(seed=number)


def plan(root: Path) -> Plan:
    space = Space(semantic_weights=(0.0, 0.5), entropy_weights=(0.0,), learning_rates=(1e-3,), alignment_layers=(1, 2))
    return Plan(root, next(iter(PARAMS.tokenizers)), "s", space, 4, 4)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The journal of a study with two trials."""
    root = tmp_path_factory.mktemp("tuned")
    (root / "params.yaml").write_text(render("smoke"))
    study = open_study(plan(root), None)
    for value in (1.0, 2.0):
        trial = study.ask()
        plan(root).space.suggest(trial)
        trial.set_user_attr(PSNR, {"4": value})
        study.tell(trial, [value, value])
    return (plan(root).folder / "journal.log").read_bytes()


@fuzzed
@given(data=st.data())
def test_journals_of_studies(data: st.DataObject, tuned: bytes, tmp_path: Path) -> None:
    known = plan(tmp_path)
    (tmp_path / "params.yaml").write_text(render("smoke"))
    known.folder.mkdir(parents=True, exist_ok=True)
    (known.folder / "journal.log").write_bytes(data.draw(st.one_of(files(tuned), other_records(tuned))))

    def read() -> list[dict[str, Any]]:
        study = open_study(known, None)
        assert ended(study) >= 0
        reap(study)
        return summary(study, known.space)

    found = value_or_one_error(read)
    assert found is None or len(found) <= 2
