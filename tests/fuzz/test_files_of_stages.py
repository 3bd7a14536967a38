"""Readers of what stages leave: pictures, reference features, curves, records of criteria, times and owners."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from fuzzing import altered, files, fuzzed, npz, value_or_one_error
from hypothesis import given
from hypothesis import strategies as st

from gigatok.artifacts import RunFolder, ScoreSheet, Workspace, read_resumptions
from gigatok.artifacts.belonging import read_provenance
from gigatok.artifacts.lock import living_owner
from gigatok.artifacts.outputs.digests import noted_outputs
from gigatok.artifacts.outputs.pictures import GeneratorSamples, TokenizerPictures
from gigatok.artifacts.process import this_process
from gigatok.evaluation.inputs.reference import read_stored_reference
from gigatok.evaluation.timing.times import TimingTable
from gigatok.paper.claims.criteria import criteria_path, read_criteria
from gigatok.paper.results.run import Run

PIXELS = np.zeros((2, 4, 4, 3), np.uint8)
PAIRS = npz(originals=PIXELS, reconstructions=PIXELS, labels=np.arange(2))
SAMPLES = npz(samples=PIXELS, classes=np.arange(2))


@fuzzed
@given(data=files(PAIRS, SAMPLES))
def test_pictures(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    path.write_bytes(data)
    pairs = value_or_one_error(lambda: TokenizerPictures.read(path, fix="x"))
    assert pairs is None or pairs.originals.shape == pairs.reconstructions.shape == (2, 4, 4, 3)
    samples = value_or_one_error(lambda: GeneratorSamples.read(path, fix="x"))
    assert samples is None or len(samples.samples) == len(samples.classes) == 2


REFERENCE: dict[str, Any] = {
    "samples": np.zeros((3, 2), np.float32),
    "validation": np.zeros((2, 2), np.float32),
    "samples_content": np.array("a"),
    "validation_sha256": np.array("b"),
    "samples_name": np.array("c"),
    "samples_kernel_within": np.array(0.5),
    "samples_squared_radii": np.ones(3),
}
ODD_ARRAYS = [np.array("x"), np.zeros((0, 2)), np.zeros(3, np.complex64), np.zeros((2, 2, 2)), np.array([True])]


@fuzzed
@given(data=st.data())
def test_reference_features(data: st.DataObject, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.reference.mkdir(parents=True, exist_ok=True)
    arrays = dict(REFERENCE)
    for name in data.draw(st.sets(st.sampled_from(sorted(REFERENCE)), max_size=2)):
        change = data.draw(st.sampled_from([None, *ODD_ARRAYS]))
        del arrays[name]
        arrays |= {} if change is None else {name: change}
    content = npz(**arrays)
    (workspace.reference / "features.npz").write_bytes(data.draw(st.one_of(st.just(content), files(content))))
    found = value_or_one_error(lambda: read_stored_reference(workspace))
    if found is not None:
        assert [each.ndim for each in (found.samples, found.validation)] == [2, 2]
        assert {each.dtype.kind for each in (found.samples, found.validation)} == {"f"}


RECORDS: dict[str, Any] = {
    "curves.json": {"loss": [[1, 0.5], [2, 0.25]]},
    "metrics.jsonl": {"step": 1, "time": 1.5, "name": "loss", "value": 0.5},
    "config.json": {"sha256": "a", "metadata": {"resumed_anyway": [{"run": "r", "step": 1, "differences": None}]}},
    "provenance.json": {"complete": True, "outputs": {"a": {"sha256": "x", "md5": "y", "bytes": 1}}},
    "criteria.json": {"versions": [{"date": "2026-01-01T00:00:00Z", "claims": []}]},
    "table04.json": {
        "scale": "s",
        "about": {},
        "decode": {"B": {"median": 1, "fastest": 1, "slowest": 1}},
        "sample": {},
    },
    "a.lock": this_process().model_dump(),
}


@fuzzed
@given(data=st.data())
def test_records(data: st.DataObject, tmp_path: Path) -> None:
    name = data.draw(st.sampled_from(sorted(RECORDS)))
    text = json.dumps(RECORDS[name])
    content = data.draw(st.one_of(files(text.encode()), altered(RECORDS[name]).map(lambda v: json.dumps(v).encode())))
    run = RunFolder(tmp_path / "tokenizers" / "T")
    run.path.mkdir(parents=True, exist_ok=True)
    for each, value in RECORDS.items():
        (run.path / each).write_text(json.dumps(value))
    (run.path / name).write_bytes(content)
    criteria_path(run.path).parent.mkdir(parents=True, exist_ok=True)
    criteria_path(run.path).write_bytes((run.path / "criteria.json").read_bytes())
    sheet = ScoreSheet(name="T", kind="tokenizer")
    provenance = value_or_one_error(lambda: read_provenance(run))
    assert isinstance(provenance, dict)
    value_or_one_error(lambda: Run("tokenizer", "T", run.path, sheet, provenance).curves)
    value_or_one_error(lambda: read_resumptions(run.config_path))
    value_or_one_error(lambda: noted_outputs(run))
    value_or_one_error(lambda: read_criteria(run.path))
    value_or_one_error(lambda: TimingTable.read(run.path / "table04.json"))
    value_or_one_error(lambda: living_owner(run.path / "a.lock"))
