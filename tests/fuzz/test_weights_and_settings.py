"""Readers of weights, settings, records and journals."""

from __future__ import annotations

import argparse
import io
import json
import math
from pathlib import Path

import pytest
import torch
import yaml
from fuzzing import altered, files, fuzzed, value_or_one_error
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from gigatok.artifacts import RunFolder, ScoreSheet, load_weights
from gigatok.artifacts.journal import read_journal
from gigatok.artifacts.sheets.scores import Score
from gigatok.config import CnnConfig, Params, TokenizerConfig, TransformerSize, load_params
from gigatok.config.profiles import render
from gigatok.config.sections import TrackingSection
from gigatok.interop import load_tokenizer_dir, save_model
from gigatok.interop.files import read_checkpoint, state_in
from gigatok.models import Tokenizer
from gigatok.teachers.weight_files import read_state_dict
from gigatok.tracking.destination import find_destination

STATE = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.ones(2, dtype=torch.float16)}


def saved(content: object, *, zipped: bool) -> bytes:
    """A torch file."""
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


@fuzzed
@given(data=files(save(STATE)))
def test_safetensors_files(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(data)
    found = value_or_one_error(lambda: load_weights(tmp_path / "x.safetensors"))
    assert found is None or all(isinstance(tensor, torch.Tensor) for tensor in found.values())


RELEASED = {"model": STATE, "args": argparse.Namespace(lr=0.1), "steps": 7}
TORCH_FILES = [saved(content, zipped=zipped) for content in (RELEASED, STATE) for zipped in (True, False)]


@pytest.mark.filterwarnings("ignore")
@fuzzed
@given(data=files(*TORCH_FILES))
def test_torch_files(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(data)
    content = value_or_one_error(lambda: read_checkpoint(path))
    if content is not None:
        value_or_one_error(lambda: state_in(content, ("ema", "model")))
    state = value_or_one_error(lambda: read_state_dict(path))
    assert state is None or all(tensor.isfinite().all() for tensor in state.values() if tensor.is_floating_point())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small tokenizer."""
    size = TransformerSize(width=16, depth=1, heads=2)
    cnn = CnnConfig(channels=8, multipliers=(1, 2), latent_channels=8, groups=4)
    config = TokenizerConfig(image_size=8, encoder=size, decoder=size, cnn=cnn, codebook_size=32, alignment_layer=None)
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, Tokenizer(config), config)
    return folder


@fuzzed
@given(data=st.data())
def test_stored_shapes(data: st.DataObject, model: Path) -> None:
    path = model / "config.json"
    whole = path.read_text()
    try:
        if data.draw(st.booleans()):
            path.write_text(json.dumps(data.draw(altered(json.loads(whole)))))
        else:
            path.write_bytes(data.draw(files(whole.encode())))
        found = value_or_one_error(lambda: load_tokenizer_dir(model))
        assert found is None or found.config.codebook_size == 32
    finally:
        path.write_text(whole)


SHEET = ScoreSheet(name="x", kind="tokenizer", scores=(Score(metric="psnr", value=20.0),)).model_dump(by_alias=True)


@fuzzed
@given(data=st.data())
def test_score_sheets(data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    if data.draw(st.booleans()):
        path.write_text(json.dumps(data.draw(altered(SHEET))))
    else:
        path.write_bytes(data.draw(files(json.dumps(SHEET).encode())))
    found = value_or_one_error(lambda: ScoreSheet.read(path))
    assert found is None or all(math.isfinite(value) for value in found.values().values())


POINTS = [{"step": step, "time": 1.5, "name": "loss", "value": value} for step, value in enumerate([0.5, "nan", 2])]
LINES = b"".join(json.dumps(point).encode() + b"\n" for point in POINTS)


@fuzzed
@given(data=files(LINES))
def test_journals(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(data)
    points = read_journal(tmp_path / "metrics.jsonl")
    assert all(isinstance(point.step, int) and isinstance(point.value, float) for point in points)


@fuzzed
@given(st.text(max_size=40))
def test_names_of_files_to_upload_stay_inside_the_folder(name: str) -> None:
    run = RunFolder(Path(__file__).parent)
    found = run.file_inside(name)
    assert found is None or found.parent.is_relative_to(run.path.resolve())


SETTINGS = render("smoke")


@fuzzed
@given(data=st.data())
def test_settings(data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    if data.draw(st.integers(0, 2)):
        path.write_text(yaml.safe_dump(data.draw(altered(yaml.safe_load(SETTINGS)))))
    else:
        path.write_bytes(data.draw(files(SETTINGS.encode())))
    found = value_or_one_error(lambda: load_params(path))
    assert found is None or isinstance(found, Params)


@fuzzed
@given(st.sampled_from(["", "sqlite:///", "sqlite:////", "http://", "https://user:pw@", "file:"]), st.text(max_size=30))
def test_tracking_addresses(scheme: str, rest: str) -> None:
    def read() -> str:
        found = find_destination(TrackingSection(uri=scheme + rest), Path("runs"))
        assert found.database is None or found.database.is_absolute()
        return found.fingerprint + found.shown

    shown = value_or_one_error(read)
    assert shown is None or "user:pw@" not in shown
