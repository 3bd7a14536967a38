"""Weights by path, cache or download: which wins, and what is said when none works."""

import time
import urllib.error
from contextlib import nullcontext
from email.message import Message
from pathlib import Path

import pytest
import timm.models.vision_transformer  # noqa: F401  its import is none of the seconds that are measured here
import torch

from gigatok.config import GigatokError
from gigatok.runtime.hub_files import TIMM_FILES
from gigatok.teachers import load_dino_discriminator, load_perceptual, load_teacher
from gigatok.teachers.pretrained import load_vit_weights, timm_weights, torch_hub_weights
from gigatok.teachers.vit import build_vit

TINY = "vit_tiny_patch16_224.augreg_in21k"


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No network, empty caches; returns the addresses that were asked for."""
    asked = []

    def refuse(request, timeout):
        asked.append(request.full_url)
        assert 0 < timeout <= 10
        raise urllib.error.URLError("Name or service not known")

    def never(*_args, **_kwargs):
        raise AssertionError("a download began without an answer from the server")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", never)
    monkeypatch.setattr(torch.hub, "download_url_to_file", never)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return asked


@pytest.mark.parametrize(
    ("load", "setting"),
    [
        (lambda: load_teacher("dinov2-b", image_size=224), "teacher.weights"),
        (lambda: load_teacher("clip-dfn-l", image_size=224), "teacher.weights"),
        (lambda: load_teacher("siglip-so400m", image_size=224), "teacher.weights"),
        (lambda: load_perceptual("vgg16"), "loss.perceptual_weights"),
        (load_dino_discriminator, "loss.discriminator.weights"),
    ],
)
def test_without_network_it_says_at_once_what_to_set(offline, load, setting):
    start = time.monotonic()
    with pytest.raises(GigatokError) as caught:
        load()
    assert time.monotonic() - start < 2
    message = str(caught.value)
    assert "\n" not in message
    assert f"set {setting} to a local file" in message
    assert "Name or service not known" in message
    assert len(offline) == 1


@pytest.mark.parametrize("load", [timm_weights, torch_hub_weights])
def test_a_given_path_wins_and_must_exist(offline, tmp_path, load):
    path = tmp_path / "weights.pth"
    name = TINY if load is timm_weights else "https://example.org/x-0123abcd.pth"
    extra = {} if load is timm_weights else {"network": "x"}
    with pytest.raises(GigatokError, match=r"a\.setting .*is not a file"):
        load(name, path, setting="a.setting", **extra)
    path.touch()
    assert load(name, path, setting="a.setting", **extra) == path
    assert not offline


def test_caches_are_used_before_the_network(offline, tmp_path, monkeypatch):
    cached = tmp_path / "checkpoints" / "x-0123abcd.pth"
    cached.parent.mkdir()
    cached.touch()
    assert torch_hub_weights("https://example.org/x-0123abcd.pth", None, network="x", setting="s") == cached
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repository, name: f"/{repository}/{name}")
    assert timm_weights(TINY, None, setting="s") == Path(f"/timm/{TINY}/model.safetensors")
    assert not offline


@pytest.mark.parametrize("there", ["model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin"])
def test_the_file_that_the_repository_has_is_downloaded(offline, monkeypatch, there):
    """CLIP's repositories have no ``model.safetensors``; of several files the preferred one comes."""

    def answer(request, timeout):
        if not request.full_url.endswith((f"/{there}", "/open_clip_pytorch_model.bin")):
            raise urllib.error.HTTPError(request.full_url, 404, "Not Found", Message(), None)
        return nullcontext()

    monkeypatch.setattr("urllib.request.urlopen", answer)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda repository, name: f"/{repository}/{name}")
    assert timm_weights(TINY, None, setting="s") == Path(f"/timm/{TINY}/{there}")


@pytest.mark.parametrize("code", [401, 404, 503])
def test_what_the_server_answers_is_said(offline, monkeypatch, code):
    """Only a file that is not there makes it ask for the next one."""
    asked = []

    def refuse(request, timeout):
        asked.append(request.full_url)
        raise urllib.error.HTTPError(request.full_url, code, "refused", Message(), None)

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(GigatokError, match=f"HTTP Error {code}: refused.*set s to a local file"):
        timm_weights(TINY, None, setting="s")
    assert len(asked) == (len(TIMM_FILES) if code == 404 else 1)


def test_a_cached_file_is_found_under_any_of_its_names(offline, monkeypatch):
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache",
        lambda repository, name: f"/{repository}/{name}" if name == "pytorch_model.bin" else None,
    )
    assert timm_weights(TINY, None, setting="s") == Path(f"/timm/{TINY}/pytorch_model.bin")
    assert not offline


def test_networks_without_download_ask_for_a_file(offline):
    with pytest.raises(GigatokError, match="no download for no_such_network: pass a local file"):
        timm_weights("no_such_network", None, setting="s")
    assert not offline


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_weights_load_strictly(tmp_path, change):
    network = build_vit(TINY, 32)
    state = network.state_dict()
    if change == "missing":
        del state["blocks.3.mlp.fc1.bias"]
    elif change == "extra":
        state["blocks.12.mlp.fc1.bias"] = torch.zeros(768)
    else:
        state["cls_token"] = torch.zeros(1, 1, 7)
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(GigatokError, match="do not fit the network") as caught:
        load_vit_weights(network, tmp_path / "x.pth")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (1, 0, 192), (1, 7, 192), (1, 2, 3, 4)])
def test_positions_of_any_shape_are_taken_or_refused_in_one_line(tmp_path, shape):
    network = build_vit(TINY, 32)
    torch.save({**network.state_dict(), "pos_embed": torch.zeros(shape)}, tmp_path / "x.pth")
    with pytest.raises(GigatokError, match="do not fit the network") as caught:
        load_vit_weights(network, tmp_path / "x.pth")
    assert "\n" not in str(caught.value)


def test_a_classifier_is_dropped(tmp_path):
    network = build_vit(TINY, 32)
    state = {**network.state_dict(), "head.weight": torch.zeros(10, 192), "head.bias": torch.zeros(10)}
    torch.save(state, tmp_path / "x.pth")
    fresh = build_vit(TINY, 32)
    assert len(load_vit_weights(fresh, tmp_path / "x.pth")) == 64
    assert torch.equal(fresh.blocks[3].mlp.fc1.weight, network.blocks[3].mlp.fc1.weight)
