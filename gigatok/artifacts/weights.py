"""Weights as safetensors: no pickles, whole or absent, equal tensors give equal bytes; others' files read safely."""

from __future__ import annotations

import json
import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from gigatok.artifacts.files import replacing
from gigatok.config import GigatokError
from gigatok.config.reading import reason

_KEY = "gigatok"  # one metadata entry only: safetensors writes several in random order
_SHOWN = 160
_UNPICKLER = re.compile(r"Unpickler error: (.*)")
_ADVICE = re.compile(r"\s(?:Check|Please|In PyTorch|to learn)\b|\(\d\)")
_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_DTYPES = {
    torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.int16: "I16", torch.float16: "F16",
    torch.bfloat16: "BF16", torch.int32: "I32", torch.float32: "F32", torch.float64: "F64", torch.int64: "I64",
}  # fmt: skip
"""Types of weights in the order of the format."""
_COUNTERS = ("num_batches_tracked", "position_ids", "attn_mask")
"""Ends of the names of buffers that hold whole numbers or masks in well-known networks."""


def save_weights(
    path: Path,
    state_dict: Mapping[str, torch.Tensor],
    metadata: Mapping[str, object],
    wholes: Iterable[torch.Tensor] | None = None,
) -> None:
    """Write tensors and JSON-able ``metadata``, one tensor after the other: no second copy of all is made.

    Tensors that share storage are written once for each name. The bytes are those of safetensors' own writer, which
    wants all tensors at once.

    Args:
        wholes: the tensors, ``in_file_order``, where ``state_dict`` holds what is known of them: shards, say.

    Raises:
        GigatokError: the disk is full or not writable; an older file at ``path`` is then unharmed.
    """
    names = in_file_order(state_dict)
    header: dict[str, Any] = {"__metadata__": {_KEY: json.dumps(dict(metadata), sort_keys=True)}}
    offset = 0
    for name in names:
        tensor = state_dict[name]
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with replacing(Path(path)) as temporary, temporary.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in (state_dict[name] for name in names) if wholes is None else wholes:
            file.write(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)


def in_file_order(tensors: Mapping[str, torch.Tensor]) -> list[str]:
    """Names in the order in which tensors lie in a file: by type, then by name."""
    types = list(_DTYPES)
    return sorted(tensors, key=lambda name: (-types.index(tensors[name].dtype), name))


def load_weights(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a safetensors file, on the CPU.

    Raises:
        GigatokError: the file is missing, cut short, or no safetensors file.
    """
    _must_exist(path)
    try:
        return load_file(path)
    except Exception as error:  # a file from anywhere: the library's errors are of many kinds
        raise GigatokError(_damaged(path, error)) from None


def read_tensors(path: Path, allowed: Sequence[type] = ()) -> Any:
    """Content of a file of weights that nobody vouches for: ``.safetensors``, else torch's format; on the CPU.

    Nothing in it is run: of what a pickle can name, torch's own tensor parts and exactly the classes ``allowed`` are
    taken. Tensors of a zip-format file stay mapped to the file until they are used, so that loading needs no second
    copy; keep the file unchanged as long as they live.

    Raises:
        GigatokError: the file is missing, damaged, compressed (torch's writer never compresses, so a small file cannot
            ask for much memory), or names other code.
    """
    _must_exist(path)
    if path.suffix == ".safetensors":
        return load_weights(path)
    zipped = _is_archive(path)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(list(allowed)):
            warnings.simplefilter("ignore")  # torch's, on pickle protocols: the file is read or refused below
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise GigatokError(_refusal(path, error, allowed, zipped)) from None
    except Exception as error:  # a damaged pickle makes torch raise nearly every kind there is
        raise GigatokError(_no_checkpoint(path, reason(error))) from None


def _is_archive(path: Path) -> bool:
    """Whether a file is a sound archive as torch writes them; ``False``: it is of another format."""
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return False
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
            compressed = next((r.filename for r in records if r.compress_type != zipfile.ZIP_STORED), None)
            if compressed is not None:
                raise GigatokError(
                    f"{path} has compressed records ({compressed}), which torch never writes: load it where you "
                    "trust it and save it again as safetensors"
                )
            if sum(record.file_size for record in records) > path.stat().st_size:
                raise GigatokError(_no_checkpoint(path, "its records overlap"))
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise GigatokError(_no_checkpoint(path, reason(error))) from None
    if damaged is not None:
        raise GigatokError(_no_checkpoint(path, f"the checksum of {damaged} does not match"))
    return True


def _refusal(path: Path, error: pickle.UnpicklingError, allowed: Sequence[type], zipped: bool) -> str:
    lines = str(error).splitlines()
    detail = next((line.strip() for line in lines if "GLOBAL" in line), None)
    if detail is None and not zipped and _names_code(path):
        detail = "a pickle of another protocol than torch's"
    if detail is None:
        said = _UNPICKLER.search(" ".join(lines))  # the rest is advice to load it unsafely
        return _no_checkpoint(path, _ADVICE.split(said[1])[0].strip()[:_SHOWN] if said else "its pickle is damaged")
    classes = "".join(f" and {kind.__module__}.{kind.__name__}" for kind in allowed)
    return (
        f"{path} is refused and was not run: it names code beyond plain tensors{classes} ({detail[:_SHOWN]})"
        f"{'' if zipped else ', or is damaged there'}. If you trust its source, load it there, save "
        "torch.save({'model': state_dict}, ...) or safetensors, and pass that"
    )


def _names_code(path: Path) -> bool:
    """Whether a file is a whole pickle that names functions or classes; read, not run."""
    try:
        with path.open("rb") as file:
            return any(op.name in ("GLOBAL", "STACK_GLOBAL", "INST") for op, _, _ in list(pickletools.genops(file)))
    except Exception:  # no pickle
        return False


def _no_checkpoint(path: Path, why: str) -> str:
    return f"{path} is cut short or no torch checkpoint ({why}): download it again"


def require_sound(
    tensors: Mapping[str, torch.Tensor], where: str, like: Mapping[str, torch.Tensor] | None = None
) -> None:
    """Refuse tensors that are no weights of a network, by name.

    Args:
        where: what they are of; starts the error's line.
        like: the network's own state. Where it has floating-point numbers, so must ``tensors``; without it
            everything must, but for the counters that networks keep.

    Raises:
        GigatokError: a tensor is not stored whole (a few stored values that stand for many), is of boolean, whole,
            complex or packed numbers, or has values that are not finite: a diverged model, or a damaged file.
    """
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            raise GigatokError(f"{where}: tensor {name} is not stored as plain numbers: save it as a dense tensor")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise GigatokError(
                f"{where}: tensor {name} {tuple(tensor.shape)} stands for more values than are stored: save its clone"
            )
        floating = like[name].is_floating_point() if like and name in like else not name.endswith(_COUNTERS)
        if floating and tensor.dtype not in _FLOATS:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise GigatokError(f"{where}: tensor {name} is {kind}, no floating-point weights: pass another file")
        if tensor.dtype in _FLOATS and not bool(tensor.isfinite().all()):
            count = int((~tensor.isfinite()).sum())
            raise GigatokError(
                f"{where}: tensor {name} has {count} values that are no finite numbers: the model has diverged or the "
                "file is damaged; use an earlier checkpoint"
            )


def _must_exist(path: Path) -> None:
    if not Path(path).is_file():
        raise GigatokError(f"{path} does not exist: train the model, or pass the path of its weights")


def _damaged(path: Path, error: Exception) -> str:
    return f"{path} is cut short or no safetensors file ({reason(error)}): delete it and run its stage again"
