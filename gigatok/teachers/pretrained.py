"""Published weights of vision transformers and VGG16: a local file, else a download, else a clear error."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from gigatok.artifacts.weights import require_sound
from gigatok.config import GigatokError
from gigatok.runtime.hub_files import TIMM_FILES, downloaded
from gigatok.teachers.weight_files import file_sha256, read_state_dict

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

CONNECT_TIMEOUT = 5.0
"""Seconds to wait for a server's first answer."""


def timm_weights(timm_name: str, weights: Path | None, *, setting: str) -> Path:
    """The weight file of a timm network: ``weights``, else the download cache, else timm's download.

    Args:
        setting: the parameter that takes a local path, named in the error.

    Raises:
        GigatokError: ``weights`` does not exist, or nothing was given and the download failed.
    """
    if weights is not None:
        return _given(weights, timm_name, setting)
    from huggingface_hub import hf_hub_download, hf_hub_url  # seconds, for few stages
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(timm_name)
    if config is None or not config.hf_hub_id:
        raise GigatokError(f"{setting} is empty and timm has no download for {timm_name}: pass a local file")
    repository = config.hf_hub_id
    names = (config.hf_hub_filename,) if config.hf_hub_filename else TIMM_FILES
    cached = downloaded(repository, names)
    if cached is not None:
        return cached

    def fetch() -> Path:
        name = _first(names, lambda name: _ask(hf_hub_url(repository, name)))
        return Path(hf_hub_download(repository, name))

    return _downloaded(fetch, timm_name, repository, setting)


def torch_hub_weights(url: str, weights: Path | None, *, network: str, setting: str) -> Path:
    """The weight file at ``url``: ``weights``, else torch's download cache, else a download.

    The file's name must end in ``-<first digits of its sha256>.pth``, as torchvision's do; they are checked.

    Raises:
        GigatokError: ``weights`` does not exist, or nothing was given and the download failed.
    """
    if weights is not None:
        return _given(weights, network, setting)
    cached = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if cached.is_file():
        return cached

    def fetch() -> Path:
        _ask(url)
        cached.parent.mkdir(parents=True, exist_ok=True)
        prefix = cached.stem.rsplit("-", 1)[-1]
        torch.hub.download_url_to_file(url, str(cached), hash_prefix=prefix, progress=False)
        return cached

    return _downloaded(fetch, network, url, setting)


def load_vit_weights(network: VisionTransformer, path: Path) -> str:
    """Load a file into a timm vision transformer, strictly, after timm's own renaming; returns its sha256.

    Takes timm's, the authors' and OpenCLIP's layouts. Positions are resampled to the network's grid (bicubic,
    antialiased, as timm does). A classifier in the file that the network lacks is dropped.

    Raises:
        GigatokError: the file is unreadable, or its tensors do not fit.
    """
    from timm.models.vision_transformer import checkpoint_filter_fn

    known = network.state_dict()
    state = read_state_dict(path)
    try:
        converted = checkpoint_filter_fn(state, network)
        kept = {k: value for k, value in converted.items() if k in known or not k.startswith("head.")}
        require_sound(kept, f"weights {str(path)!r}", like=known)
        network.load_state_dict(kept, strict=True)
    except GigatokError:
        raise
    except Exception as error:  # timm's renaming takes tensors of any shape apart
        reason = " ".join(str(error).split())[:200]
        raise GigatokError(
            f"weights {str(path)!r} do not fit the network ({reason}): pass the network's own weight file"
        ) from None
    return file_sha256(path)


def _given(weights: Path, network: str, setting: str) -> Path:
    if not weights.is_file():
        raise GigatokError(f"{setting} {str(weights)!r} is not a file: pass the weights of {network}")
    return weights


def _ask(url: str) -> None:
    """Fail within seconds where there is no network: download clients retry for half a minute, or wait."""
    with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=CONNECT_TIMEOUT):
        pass


def _first(names: tuple[str, ...], ask: Callable[[str], None]) -> str:
    """The first name that the server has; what it says of the last one if it has none."""
    for name in names[:-1]:
        try:
            ask(name)
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise
        else:
            return name
    ask(names[-1])
    return names[-1]


def _downloaded(fetch: Callable[[], Path], network: str, source: str, setting: str) -> Path:
    try:
        return fetch()
    except Exception as error:  # network, proxy, access, quota, full disk: the user has the same two ways out
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise GigatokError(
            f"{setting} is empty and the download of {source} failed ({reason}): "
            f"set {setting} to a local file with the weights of {network}, or retry with network access"
        ) from None
