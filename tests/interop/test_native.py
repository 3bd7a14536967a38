"""Our model folders: what goes in comes out; what was changed is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gigatok.artifacts import RunFolder, file_sha256, load_weights, save_weights
from gigatok.config import ArConfig, CnnConfig, GigatokError, TokenizerConfig, TransformerSize
from gigatok.interop.native import load_ar_dir, load_tokenizer_at, load_tokenizer_dir, read_description, save_model
from gigatok.models import ArModel, Tokenizer

SIZE = TransformerSize(width=16, depth=1, heads=2)
CNN = CnnConfig(channels=8, multipliers=(1, 2), latent_channels=16, groups=4)
CONFIG = TokenizerConfig(image_size=8, encoder=SIZE, decoder=SIZE, cnn=CNN, codebook_size=32, alignment_layer=1)
AR = ArConfig(width=16, depth=1, heads=2, codebook_size=32, num_tokens=16, num_classes=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(tmp_path / "T", Tokenizer(CONFIG), CONFIG, {"source": "test"})
    return tmp_path / "T"


def test_tokenizer_round_trip(tmp_path: Path) -> None:
    tokenizer = Tokenizer(CONFIG).eval()
    sha256 = save_model(tmp_path, tokenizer, CONFIG, {"source": "released file"})
    loaded = load_tokenizer_dir(tmp_path)
    assert loaded.config == CONFIG
    assert not loaded.training
    images = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(loaded.reconstruct(images), tokenizer.reconstruct(images))
    description = read_description(tmp_path)
    assert description["sha256"] == sha256 == file_sha256(tmp_path / "weights.safetensors")
    assert description["metadata"] == {"source": "released file"}


def test_ar_round_trip(tmp_path: Path) -> None:
    model = ArModel(AR).eval()
    torch.nn.init.normal_(model.head.weight)
    save_model(tmp_path, model, AR, {})
    indices, classes = torch.randint(32, (2, 16)), torch.tensor([0, 2])
    with torch.no_grad():
        assert torch.equal(load_ar_dir(tmp_path)(indices, classes), model(indices, classes))


def test_loading_brings_no_compiler(tmp_path: Path) -> None:
    """To fill weights that are about to be replaced torch imported its compiler: longer than all else of loading."""
    spatial = CONFIG.replace(initialisation="spatial")
    save_model(tmp_path / "S", Tokenizer(spatial), spatial, {})
    save_model(tmp_path / "T", Tokenizer(CONFIG), CONFIG, {})
    save_model(tmp_path / "G", ArModel(AR), AR, {})
    program = (
        "import sys\n"
        "from gigatok.interop.native import load_ar_dir, load_tokenizer_dir\n"
        "load_tokenizer_dir('S'), load_tokenizer_dir('T'), load_ar_dir('G')\n"
        "print(sorted({'sympy', 'torch._dynamo', 'torch.distributed.tensor'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_equal_models_give_equal_files(tmp_path: Path) -> None:
    tokenizer = Tokenizer(CONFIG)
    for name in ("a", "b"):
        save_model(tmp_path / name, tokenizer, CONFIG, {"step": 1, "lr": 2})
    for file in ("weights.safetensors", "config.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_loaded_models_can_be_trained(folder: Path) -> None:
    tokenizer = load_tokenizer_dir(folder).train()
    before = (folder / "weights.safetensors").read_bytes()
    optimizer = torch.optim.SGD(tokenizer.parameters(), lr=0.1)
    tokenizer(torch.rand(2, 3, 8, 8)).reconstruction.square().mean().backward()
    optimizer.step()
    assert (folder / "weights.safetensors").read_bytes() == before


def test_changed_weights_are_refused(folder: Path) -> None:
    path = folder / "weights.safetensors"
    weights = load_weights(path)
    weights["to_code.bias"] = weights["to_code.bias"] + 1
    save_weights(path, weights, {"kind": "tokenizer"})
    with pytest.raises(GigatokError, match="SHA-256 differs"):
        load_tokenizer_dir(folder)


def test_another_kind_is_refused(folder: Path) -> None:
    with pytest.raises(GigatokError, match="kind 'tokenizer', not 'generator'"):
        load_ar_dir(folder)


def test_missing_and_torn_files_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(GigatokError, match=r"config\.json does not exist"):
        load_tokenizer_dir(tmp_path / "nowhere")
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(GigatokError, match=r"weights\.safetensors is cut short"):
        load_tokenizer_dir(folder)
    weights.unlink()
    with pytest.raises(GigatokError, match=r"weights\.safetensors does not exist"):
        load_tokenizer_dir(folder)


def test_config_that_does_not_fit_is_refused(folder: Path) -> None:
    path = folder / "config.json"
    content = json.loads(path.read_text())
    content["model"]["codebook_size"] = 64
    path.write_text(json.dumps(content))
    with pytest.raises(GigatokError, match=r"does not fit config\.json"):
        load_tokenizer_dir(folder)
    content["model"]["colour"] = "red"
    path.write_text(json.dumps(content))
    with pytest.raises(GigatokError, match=r"model\.colour"):
        load_tokenizer_dir(folder)
    path.write_text("{")
    with pytest.raises(GigatokError, match="no JSON"):
        load_tokenizer_dir(folder)


def test_a_diverged_model_is_refused_by_the_tensors_name(tmp_path: Path) -> None:
    tokenizer = Tokenizer(CONFIG)
    with torch.no_grad():
        tokenizer.to_code.bias[0] = float("nan")
    save_model(tmp_path, tokenizer, CONFIG)
    with pytest.raises(GigatokError, match=r"tensor to_code\.bias has 1 values that are no finite numbers"):
        load_tokenizer_dir(tmp_path)


def described(folder: Path, **changes: object) -> None:
    """Replace keys of ``config.json``; ``None`` removes one."""
    content = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({k: value for k, value in content.items() if value is not None}))


def kept(folder: Path, **tensors: torch.Tensor) -> RunFolder:
    """The folder with weights that were kept after step 3, and their hash in ``config.json``."""
    run = RunFolder(folder)
    save_weights(run.checkpoint_path(3), {**load_weights(run.weights_path), **tensors}, {})
    hashes = {run.checkpoint_path(3).name: file_sha256(run.checkpoint_path(3))}
    described(folder, metadata={"checkpoints": hashes})
    return run


def test_weights_kept_on_the_way_are_loaded_by_their_step(folder: Path) -> None:
    bias = torch.full_like(load_weights(folder / "weights.safetensors")["to_code.bias"], 3.0)
    run = kept(folder, **{"to_code.bias": bias})
    assert torch.equal(load_tokenizer_at(run, 3).to_code.bias, bias)
    assert not torch.equal(load_tokenizer_at(run, "final").to_code.bias, bias)


def test_kept_weights_are_checked_as_the_last_ones_are(folder: Path) -> None:
    like = load_weights(folder / "weights.safetensors")["to_code.bias"]
    for name, tensor, message in (
        ("to_code.bias", torch.full_like(like, torch.nan), r"to_code\.bias has \d+ values that are no finite numbers"),
        ("to_code.bias", like.int(), r"tensor to_code\.bias is int32, no floating-point weights"),
        ("to_code.bias", like[:1], r"does not fit config\.json"),
        ("more", like, r"does not fit config\.json"),
    ):
        run = kept(folder, **{name: tensor})
        with pytest.raises(GigatokError, match=rf"step-0000003\.safetensors.*{message}"):
            load_tokenizer_at(run, 3)


@pytest.mark.parametrize("metadata", [None, [1], {}, {"checkpoints": [1]}, {"checkpoints": {"x": 1}}, "x"])
def test_kept_weights_without_a_hash_are_refused(folder: Path, metadata: object) -> None:
    run = kept(folder)
    described(folder, metadata=metadata)
    with pytest.raises(GigatokError, match=r"names no SHA-256 of step-0000003\.safetensors: run the tokenizer's stage"):
        load_tokenizer_at(run, 3)


@pytest.mark.parametrize("sha256", [None, 7, ["x"]])
def test_weights_without_a_hash_are_refused(folder: Path, sha256: object) -> None:
    described(folder, sha256=sha256)
    with pytest.raises(GigatokError, match="names no SHA-256 of its weights: run its stage or import again"):
        load_tokenizer_dir(folder)


def test_a_stored_shape_out_of_bounds_is_never_built(folder: Path) -> None:
    path = folder / "config.json"
    content = json.loads(path.read_text())
    for key, value in (("depth", 10**9), ("width", 2**30)):
        changed = {**content, "model": {**content["model"], "decoder": {**content["model"]["decoder"], key: value}}}
        path.write_text(json.dumps(changed))
        with pytest.raises(GigatokError, match=rf"model\.decoder\.{key}: Input should be less than"):
            load_tokenizer_dir(folder)
    for text in ("[]", "3", '{"kind": "tokenizer", "kind": "generator"}', "[" * 5000):
        path.write_text(text)
        with pytest.raises(GigatokError, match="run its stage or import again"):
            load_tokenizer_dir(folder)
