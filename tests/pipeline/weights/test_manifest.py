"""The manifest of weight files agrees with what the code loads; files are found, checked and fetched."""

import hashlib
from pathlib import Path

import pytest
import yaml

from gigatok.config import ConfigError, GigatokError, Params, parse_params
from gigatok.config.profiles import render
from gigatok.pipeline.weights import fetch as fetch_module
from gigatok.pipeline.weights import manifest as manifest_module
from gigatok.pipeline.weights.fetch import fetch
from gigatok.pipeline.weights.manifest import entry, find_weights, manifest, needed_by, place, problem_of
from gigatok.runtime.hub_files import TIMM_FILES


def params(profile: str, **changes: object) -> Params:
    values = yaml.safe_load(render(profile))
    for path, value in changes.items():
        section, _, key = path.partition("__")
        values[section][key] = value
    return parse_params(values)


def test_every_network_that_a_setting_can_name_is_in_the_manifest() -> None:
    from timm.models import get_pretrained_cfg

    from gigatok.evaluation.extractors.registry import LOADERS
    from gigatok.evaluation.extractors.vit import VIT_EXTRACTORS
    from gigatok.models.discriminator_dino import BACKBONE
    from gigatok.teachers.lpips import VGG16_URL
    from gigatok.teachers.registry import PERCEPTUAL_NETWORKS, TEACHERS
    from gigatok.teachers.vit import VIT_TEACHERS

    files = {file.name: file for file in manifest()}
    assert {*LOADERS, *TEACHERS, *PERCEPTUAL_NETWORKS, "dino", "lpips-heads"} == set(files)
    names = {name: source.timm_name for name, source in {**VIT_EXTRACTORS, **VIT_TEACHERS}.items()}
    for name, timm_name in {**names, "dino": BACKBONE}.items():
        config = get_pretrained_cfg(timm_name)
        assert config is not None
        assert (files[name].origin.timm, files[name].origin.repository) == (timm_name, config.hf_hub_id)
        assert files[name].licence.lower() == config.license
    assert files["vgg16"].origin.url == VGG16_URL


def test_what_the_packages_bring_is_what_the_manifest_says() -> None:
    for file in manifest():
        if file.origin.kind == "package":
            path = place(file)
            assert path is not None
            assert problem_of(file, path) == ""


def test_needs_follow_the_settings() -> None:
    assert set(needed_by(params("nano"))) == {"efficientnet-lite0", "efficientnet-lite2"}
    judged = needed_by(params("nano", train_tokenizer__loss={"perceptual_weight": 0.0}))  # every score sheet has it
    assert {"vgg16", "lpips-heads"} <= set(judged)
    paper = needed_by(params("paper"))
    assert {"dinov2-b", "vgg16", "lpips-heads", "inception-2015", "dino", "clip-dfn-l", "siglip-so400m"} <= set(paper)
    own = needed_by(params("paper", teacher__weights="mine.safetensors"))
    assert own["dinov2-b"]["teacher.name"] == "mine.safetensors"


def test_a_file_of_ones_own_counts_as_here(tmp_path: Path) -> None:
    settings = params("paper", teacher__weights="mine.safetensors")
    found = {each.file.name: each for each in find_weights(settings, tmp_path)}["dinov2-b"]
    assert (found.path, found.given) == (None, True)
    (tmp_path / "mine.safetensors").write_bytes(b"x")
    found = {each.file.name: each for each in find_weights(settings, tmp_path)}["dinov2-b"]
    assert (found.path, found.problem) == (tmp_path / "mine.safetensors", "")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch's download cache, empty; downloads fail at once."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_a_download_that_fails_says_what_helps(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gigatok.teachers import pretrained

    def unreachable(url: str) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(pretrained, "_ask", unreachable)
    with pytest.raises(
        GigatokError, match=r"download\.pytorch\.org.*Network is unreachable.*perceptual_weights to a local"
    ):
        fetch(entry("vgg16"))


def test_a_damaged_download_is_named_and_replaced(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"weights"
    file = entry("vgg16").replace(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    path = hub / "vgg16-397923af.pth"
    path.write_bytes(b"damaged")
    assert problem_of(file, path).startswith("its SHA-256 does not begin with")

    def download(_: object) -> Path:
        path.write_bytes(content)
        return path

    monkeypatch.setattr(fetch_module, "_download", download)
    assert fetch(file) == (path, True)
    assert fetch(file) == (path, False)  # once; then offline
    assert manifest_module.hub_folder() == hub


@pytest.mark.parametrize("shared", [False, True])
def test_a_damaged_file_of_hugging_faces_cache_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    """A download links the file again that the cache holds, however damaged; that one may be a link, too."""
    content = b"weights"
    known = entry("clip-b32")
    file = known.replace(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    model = tmp_path / "hub" / "models--x--y"
    blob, path = model / "blobs" / "1f", model / "snapshots" / "2e" / str(file.origin.file)
    kept = tmp_path / "hub" / "shared" / "3d"
    for each in (blob, path, kept):
        each.parent.mkdir(parents=True)
    (kept if shared else blob).write_bytes(b"Weights")
    if shared:
        blob.symlink_to("../../shared/3d")
    path.symlink_to(f"../../blobs/{blob.name}")

    def download(_: object) -> Path:
        if shared and not kept.exists():
            kept.write_bytes(content)
        if not blob.exists():
            blob.unlink(missing_ok=True)
            blob.write_bytes(content)
        path.symlink_to(f"../../blobs/{blob.name}")
        return path

    monkeypatch.setattr(fetch_module, "place", lambda _: path)
    monkeypatch.setattr(fetch_module, "_download", download)
    assert fetch(file) == (path, True)
    assert path.read_bytes() == content


def test_a_damaged_file_elsewhere_stays_where_a_link_leads_to_it(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, path = hub.parent / "mine.pth", hub / "vgg16-397923af.pth"
    own.write_bytes(b"mine")
    path.symlink_to(own)
    content = b"weights"
    file = entry("vgg16").replace(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())

    def download(_: object) -> Path:
        path.write_bytes(content)
        return path

    monkeypatch.setattr(fetch_module, "_download", download)
    assert fetch(file) == (path, True)
    assert own.read_bytes() == b"mine"


def test_another_form_of_the_same_weights_is_taken_unchecked(tmp_path: Path) -> None:
    file = entry("clip-b32")
    for name, said in ((str(file.origin.file), "has 1 bytes, not 605,143,284"), ("pytorch_model.bin", "")):
        (tmp_path / name).write_bytes(b"x")
        assert problem_of(file, tmp_path / name) == said


def test_whole_hashes_agree_with_those_in_the_names_of_files() -> None:
    """torch's addresses carry the first eight digits; of Hugging Face's networks the file is named that is meant."""
    for file in manifest():
        assert file.sha256 is None or len(file.sha256) == 64
        assert (file.sha256 is None) == (file.bytes is None)
        if file.origin.kind == "hub":
            assert Path(str(file.origin.url)).stem.rsplit("-", 1)[-1] == str(file.sha256)[:8]
        elif file.origin.kind == "timm":
            assert file.origin.file in ((None,) if file.sha256 is None else TIMM_FILES)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="'vgg19' are unknown: known are efficientnet-lite0"):
        entry("vgg19")
