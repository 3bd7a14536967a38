"""Loading the newest readable state into as many processes as there are now."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch.distributed.checkpoint import filesystem, metadata
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.state_dict_loader import load

from gigatok.artifacts.states.damage import DamagedStateError
from gigatok.artifacts.states.folder import is_doubtful, read_manifest, require_sound, states_in
from gigatok.artifacts.states.objects import Restored, Sharded, require_names, require_tree, unpack
from gigatok.artifacts.states.peers import ALONE, Peers
from gigatok.artifacts.states.single_file import read_content
from gigatok.artifacts.states.tree import REST, joined, missing, read_rest
from gigatok.config import GigatokError

_CLASSES = {
    **{(metadata.__name__, name): getattr(metadata, name) for name in (
        "Metadata", "TensorStorageMetadata", "TensorProperties", "ChunkStorageMetadata", "MetadataIndex",
        "StorageMeta", "_MEM_FORMAT_ENCODING")},
    (filesystem.__name__, "_StorageInfo"): filesystem._StorageInfo,
    ("torch", "Size"): torch.Size,
    ("torch.serialization", "_get_layout"): torch.serialization._get_layout,
}  # fmt: skip
"""All that DCP's index of a state of tensors names; numbers' types come on top."""


def load_state(
    folder: Path, objects: Mapping[str, Any], peers: Peers = ALONE, *, doubtful: bool = True
) -> Restored | None:
    """Restore ``objects`` in place from the newest readable state; ``None`` if there is none.

    All processes call it and take the same state, whatever number of processes saved it. What an object holds as
    shards (``Sharded``) is read as shards. A state runs no code. Each process compares a share of the files with their
    checksums; one that is damaged is passed over with a warning.

    Args:
        doubtful: whether a state that is said to be doubtful (``folder.DOUBTFUL``) will do.

    Raises:
        GigatokError: the state holds other objects than asked for, or shapes differ.
    """
    for path in peers.from_main([each for each in reversed(states_in(folder)) if doubtful or not is_doubtful(each)]):
        problem, content, meta = "", dict[str, Any](), dict[str, Any]()
        try:
            content, meta = _read_file(path) if path.suffix == ".pt" else _read_folder(path, objects, peers)
        except (GigatokError, MemoryError):
            raise
        except (Exception, CheckpointException) as error:  # pickles and DCP raise nearly every kind there is
            problem = _reason(error)
        if not peers.any(bool(problem)):
            return Restored(meta, unpack(path, content, objects))
        if problem or peers.rank == 0:
            reason = problem or "another process could not read it"
            warnings.warn(f"{path} cannot be read ({reason}): going back to the state before it", stacklevel=2)
    return None


def _reason(error: BaseException) -> str:
    if isinstance(error, CheckpointException):  # DCP's way to say that it failed here
        error = next(iter(error.failures.values()))[0]
    return " ".join(str(error).split()) or type(error).__name__


def _read_file(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    content = read_content(path)
    require_tree(content)
    return content, dict(json.loads(content["meta"]))


def _read_folder(path: Path, objects: Mapping[str, Any], peers: Peers) -> tuple[dict[str, Any], dict[str, Any]]:
    manifest = read_manifest(path)
    require_sound(path, manifest.files, sorted(manifest.files)[peers.rank :: peers.world])
    warnings.filterwarnings("ignore", "torch.distributed is disabled, unavailable or uninit")
    reader = _Reader(path)
    (size,) = reader.read_metadata().state_dict_metadata[REST].size  # type: ignore[union-attr]
    rest = {REST: torch.empty(size, dtype=torch.uint8)}
    _load(rest, reader)
    content = read_rest(rest[REST])
    require_tree(content)
    require_names(path, content["objects"], objects)
    for name, value in objects.items():
        item = content["objects"][name]
        if isinstance(value, Sharded):
            item["state"] = value.empty_state(item["state"])
    tensors = missing(content)
    _load(tensors, reader)
    return joined(content, tensors), manifest.meta


def _load(tensors: dict[str, torch.Tensor], reader: _Reader) -> None:
    planner = _TensorsAlone(flatten_state_dict=False, flatten_sharded_tensors=False)
    load(tensors, storage_reader=reader, planner=planner, no_dist=True)


class _TensorsAlone(DefaultLoadPlanner):
    """Reads no objects, which DCP would unpickle."""

    def load_bytes(self, read_item: Any, value: Any) -> NoReturn:
        raise DamagedStateError(f"{read_item.dest_index.fqn} is no tensor")


class _Reader(filesystem.FileSystemReader):
    """DCP's reader, which runs no code."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> metadata.Metadata:
        with (Path(self.path) / ".metadata").open("rb") as file:
            try:
                found: metadata.Metadata = _Unpickler(file).load()
            except MemoryError:  # the index is small: a length in it is damaged
                raise DamagedStateError(f"{file.name} asks for more memory than there is") from None
        found.storage_meta = metadata.StorageMeta(load_id=self.load_id)
        return found


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _CLASSES:
            return _CLASSES[module, name]
        found = getattr(torch, name, None) if module == "torch" else None
        if isinstance(found, torch.dtype):
            return found
        raise pickle.UnpicklingError(f"it names code: {module}.{name}")
