"""Published weights of timm networks: a local file, else timm's download, else a clear error."""

from __future__ import annotations

from pathlib import Path

import timm
from huggingface_hub import hf_hub_download
from timm.models import get_pretrained_cfg
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn

from gigatok.config import GigatokError
from gigatok.teachers.weight_files import file_sha256, read_state_dict

DOWNLOAD_TIMEOUT = 10.0
"""Seconds to wait for the server's first answer."""


def resolve_weights(timm_name: str, weights: Path | None, *, setting: str) -> Path:
    """The local weight file of a timm network: ``weights``, else the download cache, else a download.

    Args:
        setting: the parameter that takes a local path, named in the error.

    Raises:
        GigatokError: ``weights`` does not exist, or nothing was given and the download failed.
    """
    if weights is not None:
        if not weights.is_file():
            raise GigatokError(f"{setting} {str(weights)!r} is not a file: pass the weights of {timm_name}")
        return weights
    config = get_pretrained_cfg(timm_name)
    repository = config.hf_hub_id if config is not None else None
    try:
        if not repository:
            raise GigatokError(f"timm {timm.__version__} publishes no weights for {timm_name}: set {setting}")
        name = config.hf_hub_filename or "model.safetensors"
        return Path(hf_hub_download(repository, name, etag_timeout=DOWNLOAD_TIMEOUT))
    except GigatokError:
        raise
    except (
        Exception
    ) as error:  # any network, proxy, quota or disk failure of the hub client ends the same way
        raise GigatokError(
            f"{setting} is empty and the download of {repository} failed ({type(error).__name__}): "
            f"set {setting} to a local file of {timm_name}, or retry with network access"
        ) from None


def load_vit_weights(network: VisionTransformer, path: Path) -> str:
    """Load ``path`` into a timm vision transformer strictly, after timm's own renaming; returns the file's sha256.

    Takes timm's, the authors' and OpenCLIP's layouts. Positions are resampled to the network's grid (bicubic,
    antialiased, as timm does). A classifier in the file that the network lacks is dropped.

    Raises:
        GigatokError: the file is unreadable, or its tensors do not fit.
    """
    known = network.state_dict()
    try:
        state = checkpoint_filter_fn(read_state_dict(path), network)
        kept = {name: value for name, value in state.items() if name in known or not name.startswith("head.")}
        network.load_state_dict(kept, strict=True)
    except (RuntimeError, KeyError, AssertionError) as error:
        reason = " ".join(str(error).split())[:240]
        architecture = network.pretrained_cfg.get("architecture")
        raise GigatokError(
            f"weights {str(path)!r} do not fit {architecture}: pass its own weight file ({reason})"
        ) from None
    return file_sha256(path)
