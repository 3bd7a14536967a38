"""Readers of released state dicts, and of what a run's folder says to the tracker."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from fuzzing import altered, files, fuzzed, value_or_one_error
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gigatok.artifacts import RunFolder
from gigatok.artifacts.process import this_process
from gigatok.config import TransformerSize
from gigatok.interop import load_ar, load_tokenizer, official
from gigatok.interop.names import official_name, official_shape
from gigatok.models import TOKENIZERS, ArModel, Tokenizer
from gigatok.tracking.ledger import is_pending, ledger_path, read_ledger
from gigatok.tracking.mlflow.run_feed import RunFeed
from gigatok.tracking.record import current_record, infer_record, read_record, record_path

ODD_TENSORS = (
    torch.zeros(()),
    torch.zeros(0),
    torch.zeros(1, 64),
    torch.zeros(2, 3, 4, 5, 6),
    torch.zeros(64, dtype=torch.int8),
    torch.zeros(64, dtype=torch.complex64),
    torch.full((64,), torch.nan),
    torch.zeros(1).expand(64, 64),
    torch.zeros(64, 64).to_sparse(),
    torch.empty(64, 64, device="meta"),
)
ODD_NAMES = ("", "x", "layers.4000000000.x", f"layers.{'9' * 5000}.x", "layers.\N{SUPERSCRIPT TWO}.x", "layers.-1.x",
             "s2to1encoder.transformer.", "s2dencoder.ln_pre.weight", "layers.1.w1.weight")  # fmt: skip


@st.composite
def other_state(draw: st.DrawFn, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with tensors replaced, cut, left out or added."""
    changed = dict(state)
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(sorted(changed)))
        tensor = changed[name]
        change = draw(st.sampled_from(("replace", "cut", "drop", "add", "rename")))
        if change == "replace":
            changed[name] = draw(st.sampled_from(ODD_TENSORS))
        elif change == "cut" and tensor.ndim and tensor.layout == torch.strided:
            changed[name] = tensor[: draw(st.integers(0, 2))]
        elif change == "add":
            changed[draw(st.sampled_from(ODD_NAMES))] = tensor
        elif len(changed) > 1:
            del changed[name]
            if change == "rename":
                changed[draw(st.sampled_from(ODD_NAMES))] = tensor
    return changed


def official_ar() -> dict[str, Tensor]:
    """As released, of one narrow layer."""
    shapes = {
        "positional_embedding": (5, 64),
        "cls_embedding.embedding_table.weight": (3, 64),
        "tok_embeddings.weight": (8, 64),
        "layers.0.attention.wqkv.weight": (192, 64),
        "layers.0.attention.wo.weight": (64, 64),
        "layers.0.feed_forward.w1.weight": (256, 64),
        "layers.0.feed_forward.w3.weight": (256, 64),
        "layers.0.feed_forward.w2.weight": (64, 256),
        "layers.0.attention_norm.weight": (64,),
        "layers.0.ffn_norm.weight": (64,),
        "norm.weight": (64,),
        "output.weight": (8, 64),
    }
    return {name: torch.zeros(shape) for name, shape in shapes.items()}


@fuzzed
@given(other_state(official_ar()))
def test_released_generators(state: dict[str, Tensor]) -> None:
    found = value_or_one_error(lambda: load_ar({"model": state}))
    assert found is None or isinstance(found, ArModel)


BUILT = lru_cache(16)(Tokenizer)
"""Most examples have the same shape, and only names and shapes of the network are looked at."""


def official_tokenizer() -> dict[str, Tensor]:
    """Names and shapes as released, of one narrow block; values would take a second each time."""
    size = TransformerSize(width=64, depth=1, heads=1)
    config = TOKENIZERS["S-S"].replace(encoder=size, decoder=size, alignment_layer=None)
    with torch.device("meta"):
        ours = Tokenizer(config).state_dict()
    shapes = {official_name(name, config): official_shape(name, tuple(tensor.shape)) for name, tensor in ours.items()}
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


@fuzzed
@given(state=other_state(official_tokenizer()))
def test_released_tokenizers(state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(official, "Tokenizer", BUILT)
    assert value_or_one_error(lambda: load_tokenizer({"model": state})) is None  # meta tensors hold no values


RECORD: dict[str, Any] = {
    "uid": "u", "suite_run": "smoke", "name": "T", "kind": "tokenizer", "params": {"a": "1"}, "tags": {"b": "2"},
    "metrics": {"m": 1.0}, "experiment": "e", "destination": "d", "status": "RUNNING",
    "process": this_process().model_dump(mode="json"), "started": 1.0, "weights_sha256": "w",
}  # fmt: skip
LEDGER = {"destination": "d", "uid": "u", "experiment_id": "1", "run_id": "r", "fed": {"files": {"a": [1, 2]}}}
LINES = b'{"path": "grids/a.png", "folder": "samples"}\n{"path": "x.txt", "folder": ""}\n'
TRACKED: dict[str, Any] = {"tracking.json": RECORD, "mlflow.json": LEDGER, "artifacts.jsonl": LINES}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run's folder with two files to upload, and one outside it."""
    found = RunFolder(tmp_path / "runs" / "tokenizers" / "T")
    (found.path / "grids").mkdir(parents=True)
    for path in (found.path / "grids" / "a.png", found.path / "x.txt", tmp_path / "secret"):
        path.write_bytes(b"x")
    found.config_path.write_text(json.dumps({"sha256": "w"}))
    return found


@fuzzed
@given(data=st.data())
def test_records_of_tracking(data: st.DataObject, run: RunFolder) -> None:
    for name, whole in (("tracking.json", RECORD), ("mlflow.json", LEDGER)):
        text = json.dumps(whole).encode()
        changed = st.one_of(st.just(text), files(text), altered(whole).map(lambda value: json.dumps(value).encode()))
        (run.path / name).write_bytes(data.draw(changed))
    ledger = value_or_one_error(lambda: read_ledger(run, "d"))
    assert ledger is None or ledger.destination == "d"
    for record in (read_record(run), current_record(run), infer_record(run, "e", "d")):
        if record is not None:
            assert value_or_one_error(lambda record=record: is_pending(run, record)) in (True, False)  # type: ignore[misc]
            assert record.ended_at(run) >= 0
    assert ledger_path(run).exists()
    assert record_path(run).exists()


class Uploads(list[tuple[Path, str]]):
    """What a store would be sent."""

    def upload(self, run_id: str, path: Path, folder: str) -> None:
        self.append((path, folder))


@st.composite
def listed(draw: st.DrawFn) -> bytes:
    """A list of files to upload, with names from anywhere."""
    known = ["grids/a.png", "x.txt", "../../../secret", "/etc/passwd", "", ".", "a/../x.txt"]
    names = st.one_of(st.sampled_from(known), st.text(max_size=20))
    items = [{"path": draw(names), "folder": draw(names)} for _ in range(draw(st.integers(1, 3)))]
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


@fuzzed
@given(data=st.one_of(files(LINES), listed()))
def test_lists_of_files_to_upload(data: bytes, run: RunFolder) -> None:
    (run.path / "artifacts.jsonl").write_bytes(data)
    uploads = Uploads()
    RunFeed(run, "u")._feed_artifacts(uploads, "r", {"artifacts.jsonl": [len(data), 1]})  # type: ignore[arg-type]
    for path, folder in uploads:
        assert path.is_relative_to(run.path.resolve())
        assert path.is_file()
        assert folder.isprintable()
        assert not Path(folder).is_absolute()
        assert ".." not in Path(folder).parts
