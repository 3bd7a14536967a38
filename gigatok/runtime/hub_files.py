"""Weight files of timm's networks on Hugging Face: their names there, and where a downloaded one lies."""

from __future__ import annotations

from pathlib import Path

TIMM_FILES = ("model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin", "open_clip_pytorch_model.bin")
"""Names under which a repository keeps a network's weights, the preferred one first. Not every repository has each:
those of CLIP have no ``model.safetensors``."""


def downloaded(repository: str, names: tuple[str, ...] = TIMM_FILES) -> Path | None:
    """The first of the files that Hugging Face's cache holds on this machine; ``None``: none of them."""
    from huggingface_hub import try_to_load_from_cache  # seconds, for few stages

    for name in names:
        cached = try_to_load_from_cache(repository, name)
        if isinstance(cached, str):
            return Path(cached)
    return None
