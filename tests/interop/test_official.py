"""Official checkpoints, name by name; sizes that have no stored case are checked against torch's own layers."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import formula
import pytest
import torch
from official_shapes import quick_state, tokenizer_shapes
from torch import Tensor, nn
from torch.nn import functional as F

from gigatok.config import GigatokError
from gigatok.interop.names import official_name, official_shape
from gigatok.interop.official import convert_tokenizer, export_tokenizer, load_ar, load_tokenizer
from gigatok.models import TOKENIZERS, Tokenizer


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """1D, encoder narrower than decoder, three blocks each."""
    return quick_state(tokenizer_shapes("1d", encoder=128, decoder=192, depth=3))


def test_sizes_are_read_off_the_tensors(state: dict[str, Tensor]) -> None:
    tokenizer = load_tokenizer(state)
    assert (tokenizer.config.encoder.width, tokenizer.config.decoder.width) == (128, 192)
    assert (tokenizer.config.encoder.heads, tokenizer.config.decoder.heads) == (2, 3)
    assert (tokenizer.config.encoder.depth, tokenizer.config.tokens, tokenizer.config.image_size) == (3, 256, 256)
    assert not tokenizer.training
    assert not [name for name, p in tokenizer.named_parameters() if p.is_meta or not p.requires_grad]


def test_every_tensor_is_used_and_none_copied(state: dict[str, Tensor]) -> None:
    _, converted = convert_tokenizer(state)
    theirs = {tensor.data_ptr() for name, tensor in state.items() if name != "quantize.codebook_used"}
    assert {tensor.data_ptr() for tensor in converted.values()} == theirs


@pytest.mark.parametrize("name", TOKENIZERS)
def test_official_names_of_every_size(name: str) -> None:
    """The names and shapes of a whole paper-size model are those of the official code."""
    config = TOKENIZERS[name]
    with torch.device("meta"):
        ours = Tokenizer(config.replace(encoder=_six(config.encoder), decoder=_six(config.decoder))).state_dict()
    found = {official_name(key, config): list(official_shape(key, tuple(value.shape))) for key, value in ours.items()}
    expected = tokenizer_shapes(
        config.layout, encoder=config.encoder.width, decoder=config.decoder.width, depth=6, block=config.block
    )
    del expected["quantize.codebook_used"]
    assert found == expected


def _six(size: Any) -> Any:
    return size.replace(depth=6)


def torch_layers(state: dict[str, Tensor], prefix: str, width: int, depth: int) -> list[nn.Module]:
    """torch's encoder layers, whose parameter names the official plain block has."""
    layers = []
    for number in range(depth):
        layer = nn.TransformerEncoderLayer(
            width, width // 64, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        start = f"{prefix}transformer.{number}."
        layer.load_state_dict({k.removeprefix(start): v for k, v in state.items() if k.startswith(start)})
        layers.append(layer.train())  # training mode: no fused inference path
    return layers


def test_plain_2d_blocks_compute_what_the_official_ones_do() -> None:
    """The widths of B-L-2d, at less depth: no stored case has plain blocks."""
    state = quick_state(tokenizer_shapes("2d", encoder=768, decoder=1024, depth=3, block="plain"))
    tokenizer = load_tokenizer(state)
    assert (tokenizer.config.layout, tokenizer.config.block) == ("2d", "plain")
    latent = torch.randn(1, 256, 16, 16, generator=torch.Generator().manual_seed(0))
    for part, width, embed in (("s2dencoder.", 768, "encoder_embed"), ("s2ddecoder.", 1024, "decoder_embed")):
        x = F.layer_norm(
            latent.flatten(2).transpose(1, 2), (256,), state[f"{part}ln_pre.weight"], state[f"{part}ln_pre.bias"]
        )
        x = F.linear(x, state[f"{part}{embed}.weight"], state[f"{part}{embed}.bias"])
        x = x + state[f"{part}positional_embedding"].transpose(0, 1)
        with torch.no_grad():
            for layer in torch_layers(state, part, width, 3):
                x = layer(x)
            if part == "s2dencoder.":
                x = F.layer_norm(x, (width,), state[f"{part}ln_post.weight"], state[f"{part}ln_post.bias"])
                found = tokenizer.transformer_encoder.features(latent)
            else:
                found = tokenizer.transformer_decoder.features(latent.flatten(2).transpose(1, 2), 3)
        torch.testing.assert_close(found, x, atol=3e-5, rtol=1e-5)


def test_runs_without_alignment_have_no_mlp() -> None:
    tokenizer = load_tokenizer(quick_state(tokenizer_shapes("1d", encoder=64, decoder=64, depth=1, alignment=False)))
    assert tokenizer.alignment is None
    assert tokenizer.config.alignment_layer is None


def test_alignment_width_follows_from_the_file() -> None:
    shapes = tokenizer_shapes("1d", encoder=64, decoder=64, depth=3)
    shapes["s1to2decoder.distill_mlp.4.weight"][0] = 1152
    shapes["s1to2decoder.distill_mlp.4.bias"][0] = 1152
    assert load_tokenizer(quick_state(shapes)).config.alignment_dim == 1152


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("decoder.conv_out.bias"), r"lacks 1 tensors \(decoder\.conv_out\.bias\)"),
        (lambda s: s.pop("quant_conv.weight"), r"lacks 1 tensors"),
        (lambda s: s.update({"extra.weight": torch.ones(1)}), r"has unknown 1 tensors \(extra\.weight\)"),
        (lambda s: s.update({"quant_conv.weight": torch.ones(8, 256)}), r"quant_conv.weight has shape \(8, 256\)"),
        (lambda s: s.pop("s2to1encoder.ln_pre.weight"), "no official GigaTok tokenizer"),
        (lambda s: s.pop("quantize.embedding.weight"), "quantize.embedding.weight is missing"),
        (
            lambda s: s.update({"s2to1encoder.latent_token_positional_embedding": torch.ones(200, 1, 128)}),
            "num_tokens 200 is not a power of two",
        ),
    ],
)
def test_conversion_is_strict(state: dict[str, Tensor], change: Any, message: str) -> None:
    broken = dict(state)
    change(broken)
    with pytest.raises(GigatokError, match=message):
        load_tokenizer(broken)


def test_the_wrong_name_is_refused(state: dict[str, Tensor]) -> None:
    with pytest.raises(GigatokError, match="no S-S: it has layout 1d, encoder 128 wide and 3 deep"):
        load_tokenizer(state, "S-S")
    with pytest.raises(GigatokError, match="'S-Q' is unknown"):
        load_tokenizer(state, "S-Q")


def released(state: dict[str, Tensor], **more: Any) -> dict[str, Any]:
    """The layout of a released file."""
    return {"model": state, "optimizer": {}, "steps": 1, "args": argparse.Namespace(vq_model="VQ-16"), **more}


def test_released_files_load_and_prefer_ema(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "VQ.pt"
    averaged = {**state, "quant_conv.bias": torch.full((8,), 7.0)}
    torch.save(released(state, ema=averaged, discriminator={}, optimizer_disc={}), path)
    tokenizer = load_tokenizer(path)
    assert tokenizer.to_code.bias.tolist() == [7.0] * 8
    torch.save(released(state), path)
    assert torch.equal(load_tokenizer(str(path)).to_code.bias, state["quant_conv.bias"])


def test_generators_prefer_model() -> None:
    shapes = {name: [min(n, 64) for n in shape] for name, shape in formula.shapes("GPT-B").items()}
    small = {name: shape for name, shape in shapes.items() if not name.startswith("layers.") or ".0." in name[:9]}
    for name, axis in (("attention.wqkv", 0), ("feed_forward.w1", 0), ("feed_forward.w3", 0), ("feed_forward.w2", 1)):
        small[f"layers.0.{name}.weight"][axis] = 192
    state = formula.state_dict(small)
    other = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    model = load_ar(released(state, ema=other))
    assert torch.equal(model.token_embedding.weight, state["tok_embeddings.weight"])
    assert not model.training
    with pytest.raises(GigatokError, match="no GPT-B: it has width 64, depth 1"):
        load_ar(state, "GPT-B")


def test_export_is_the_inverse(state: dict[str, Tensor]) -> None:
    exported = export_tokenizer(load_tokenizer(state))
    assert exported.keys() == state.keys() - {"quantize.codebook_used"}
    assert all(torch.equal(value, state[name]) for name, value in exported.items())


MEASURE = """
import re, sys, torch
from pathlib import Path
from gigatok.interop.official import load_tokenizer
from gigatok.models import build_tokenizer
with torch.device("meta"):
    build_tokenizer("S-S")  # what torch imports on first use of the meta device is not the weights'
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
before = peak()
tokenizer = load_tokenizer(sys.argv[1])
total = sum(float(p.detach().sum()) for p in tokenizer.parameters())  # every page is read
print((peak() - before) / sum(p.numel() * 4 for p in tokenizer.parameters()))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_loading_needs_memory_for_the_weights_once(tmp_path: Path) -> None:
    shapes = tokenizer_shapes("1d", encoder=512, decoder=512, depth=3)
    state = {name: torch.ones(shape) for name, shape in shapes.items()}
    torch.save(released(state, ema={name: tensor * 2 for name, tensor in state.items()}), tmp_path / "big.pt")
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "big.pt")]
    ratio = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert 0.8 < ratio < 1.2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensor: tensor.bool(), "is bool"),
        (lambda tensor: tensor.long(), "is int64"),
        (lambda tensor: tensor + 1j, "is complex64"),
        (lambda tensor: tensor * float("nan"), "no finite numbers"),
        (lambda tensor: tensor.flatten()[0].clone().expand(tensor.shape), "stands for more values"),
    ],
)
def test_tensors_that_are_no_weights_are_refused_by_name(state: dict[str, Tensor], change: Any, message: str) -> None:
    name = "quantize.embedding.weight"
    with pytest.raises(GigatokError, match=rf"tensor {name} .*{message}"):
        load_tokenizer({**state, name: change(state[name])})
