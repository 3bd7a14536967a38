"""Saving a state: copied to host memory at once, written while training goes on, whole or not at all."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, cast

from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
from torch.distributed.checkpoint.filesystem import FileSystemWriter
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions
from torch.distributed.checkpoint.state_dict_saver import async_save
from torch.distributed.checkpoint.storage import WriteResult
from torch.distributed.tensor import DTensor

from gigatok.artifacts.files import write_json
from gigatok.artifacts.states import folder as states
from gigatok.artifacts.states.objects import pack
from gigatok.artifacts.states.peers import ALONE, Peers
from gigatok.artifacts.states.tree import split
from gigatok.config import GigatokError
from gigatok.config.writing import explain

_DATA = ".distcp"
_SUMS = ".sums"


def save_state(folder: Path, objects: Mapping[str, Any], meta: Mapping[str, Any]) -> Path:
    """Write a state of one process and wait until it is there; see ``StateSaver``."""
    saver = StateSaver(folder)
    saver.start(objects, meta)
    saver.wait()
    return states.states_in(folder)[-1]


class StateSaver:
    """Saves the states of one run.

    Args:
        folder: of all states of the run; all processes see the same one.
        peers: the processes that train together.
    """

    def __init__(self, folder: Path, peers: Peers = ALONE) -> None:
        self.folder = Path(folder)
        self.peers = peers
        # keeps its host memory from state to state
        self._stager = DefaultStager(StagingOptions(False, False, False, False))
        self._pending: Future[Any] | None = None

    def start(self, objects: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
        """Copy the state to host memory and begin to write it; returns when training may go on.

        What is sharded is written by all processes, each its own shards; the rest by rank 0. All processes call it. At
        the end all but the newest ``KEPT`` states are dropped.

        Args:
            objects: by name: each a ``Stateful``, a ``Restorable``, a ``numpy.random.Generator``, a
                ``torch.Generator``, or a tree (dict, list, tuple) of tensors and plain values. The global random
                generators always go along.
            meta: JSON-able values that say what the state is of.

        Raises:
            GigatokError: the state before could not be written.
        """
        self.wait()
        tensors = split(pack(objects))
        shards = {name: tensor for name, tensor in tensors.items() if isinstance(tensor, DTensor)}
        if self.peers.rank == 0:
            states.drop_torn(self.folder)
        path = states.next_path(self.folder)
        if shards:
            path = self.peers.from_main(path)
        elif self.peers.rank:
            return
        warnings.filterwarnings("ignore", "torch.distributed is disabled, unavailable or uninit")
        self._pending = cast(
            Future[Any],
            async_save(
                tensors if self.peers.rank == 0 else cast(dict[str, Tensor], shards),
                storage_writer=_Writer(path, meta),
                planner=DefaultSavePlanner(flatten_state_dict=False, flatten_sharded_tensors=False),
                process_group=self.peers.saving,
                async_stager=self._stager,
                no_dist=not shards,
            ),
        )

    def wait(self) -> None:
        """Until the state that is being written is on disk.

        Raises:
            GigatokError: the disk is full or not writable, or another process failed; older states are unharmed.
        """
        if self._pending is None:
            return
        try:
            self._pending.result()  # interrupted, it is still there to wait for
        except (CheckpointException, RuntimeError, OSError) as error:
            self._pending = None
            if self.peers.rank == 0:
                states.drop_torn(self.folder)
            raise self._explained(error) from error
        self._pending = None

    def _explained(self, error: BaseException) -> GigatokError:
        causes = [cause for cause, _ in error.failures.values()] if isinstance(error, CheckpointException) else [error]
        known = next((cause for cause in causes if isinstance(cause, GigatokError)), None)
        if known is not None:
            return known
        system = next((cause for cause in causes if isinstance(cause, OSError)), None)
        # torch's own writer reports a full disk by a RuntimeError
        return GigatokError(explain(self.folder, system or OSError(" ".join(str(causes[0]).split()))))


class _Writer(FileSystemWriter):
    """DCP's writer, into a folder that takes its name when all files are there with their checksums."""

    def __init__(self, path: Path, meta: Mapping[str, Any]) -> None:
        super().__init__(states.part_path(path), sync_files=True)
        self._place = path
        self._meta = dict(meta)
        self._coordinator = True

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        self._coordinator = is_coordinator
        super().set_up_storage_writer(is_coordinator, *args, **kwargs)

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Any:
        """Write this process's tensors and, beside them, the checksums that rank 0 puts together."""
        written = super().write_data(plan, planner)
        if not self._coordinator:
            for file in Path(self.path).glob(f"{plan.storage_data.prefix}*{_DATA}"):
                write_json(file.with_suffix(_SUMS), states.sum_of(file).model_dump(mode="json"))
        return written

    def storage_meta(self) -> StorageMeta:
        """Nothing: a path of this machine says nothing about the state."""
        return StorageMeta()

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Make a whole state of the files of all processes; on rank 0, when all are written."""
        super().finish(metadata, results)
        folder = Path(self.path)
        named = {each.storage_data.relative_path for written in results for each in written}
        if lacking := sorted(name for name in named if not (folder / name).is_file()):
            raise GigatokError(
                f"{folder} lacks {lacking[0]}, which another process wrote: all nodes need the same runs/, on a file "
                "system that they share; older states are unharmed"
            )
        sums = {}
        for file in sorted(path for path in folder.iterdir() if path.suffix != _SUMS):
            known = file.with_suffix(_SUMS)
            if known.exists():
                sums[file.name] = states.FileSum.model_validate_json(known.read_bytes())
                known.unlink()
            else:
                sums[file.name] = states.sum_of(file)
        states.write_manifest(folder, self._meta, sums)
        folder.rename(self._place)
        states.drop_old(self._place.parent)
