"""The stages of ``dvc.yaml``, what each needs, and which of them are out of date."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import psutil

from gigatok.artifacts.lock import utc
from gigatok.config import GigatokError

_SHOWN = 80
"""Letters of a command line in a message."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage as DVC names it (``train_tokenizer@S-S``)."""

    name: str
    needs: tuple[str, ...] = ()
    """Names of the stages whose outputs it reads."""
    changed: bool = True
    """DVC would run it even if no other stage ran."""
    first: bool = False
    """``meta: {first: true}`` in ``dvc.yaml``: of all stages that can start, it does so before the others."""
    damaged: tuple[str, ...] = ()
    """Outputs that are not what the stage wrote, although nothing that it depends on has changed."""
    settings: tuple[str, ...] = ()
    """Settings of ``params.yaml`` that it reads, by dotted path."""


@dataclass(frozen=True)
class Graph:
    """All stages by name."""

    stages: Mapping[str, Stage]

    def upstream(self, targets: Iterable[str]) -> Graph:
        """The targets and everything they need.

        Args:
            targets: stages, or groups of them (``train_tokenizer``) as DVC takes them too.

        Raises:
            GigatokError: a target is neither.
        """
        kept: dict[str, Stage] = {}
        waiting = [name for target in targets for name in self._named(target)]
        while waiting:
            name = waiting.pop()
            if name not in kept:
                kept[name] = self.stages[name]
                waiting.extend(kept[name].needs)
        return Graph({name: stage for name, stage in self.stages.items() if name in kept})

    def _named(self, target: str) -> list[str]:
        found = [name for name in self.stages if target in (name, name.partition("@")[0])]
        if not found:
            raise GigatokError(f"stage {target!r} is not in dvc.yaml: 'dvc stage list' shows those that are")
        return found

    def outdated(self) -> set[str]:
        """Stages that DVC has to look at: the changed ones and all that follow from them."""
        found: set[str] = set()
        for name in self.order():
            stage = self.stages[name]
            if stage.changed or any(need in found for need in stage.needs):
                found.add(name)
        return found

    def order(self) -> list[str]:
        """Names, each after the stages it needs."""
        return list(self.sorter(self.stages).static_order())

    def sorter(self, names: Iterable[str]) -> TopologicalSorter[str]:
        """Hands out stages of ``names`` as those of them that they need are done."""
        among = set(names)
        return TopologicalSorter({name: among.intersection(self.stages[name].needs) for name in sorted(among)})


def read_graph(root: Path) -> Graph:
    """The graph of the DVC project at ``root``. Takes about as long as ``dvc status``.

    Raises:
        GigatokError: there is no DVC project, its ``dvc.yaml`` is invalid, or another process holds its lock.
    """
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo
    from dvc.scm import SCMError

    logging.getLogger("dvc").setLevel(logging.CRITICAL)  # DVC's progress bars follow its log level
    try:
        with Repo(str(root)) as repo:
            graph: Any = repo.index.graph
            status: dict[str, Any] = repo.status(check_updates=False)
            # addressing (which status uses) is relative to the working directory, names are not
            stages = [
                Stage(
                    name=_name(stage),
                    needs=tuple(sorted(_name(need) for need in graph.successors(stage))),
                    changed=stage.addressing in status,
                    first=bool((stage.meta or {}).get("first")),
                    damaged=_damaged(status.get(stage.addressing, [])),
                    settings=tuple(sorted(name for dep in stage.deps for name in getattr(dep, "params", ()))),
                )
                for stage in graph
            ]
    except LockError:
        raise GigatokError(_held(root)) from None
    except SCMError:
        raise GigatokError(
            f"{root} is no Git repository, which DVC needs: clone the project with 'git clone', run 'git init' in "
            "it, or do without by 'dvc config core.no_scm true'"
        ) from None
    except DvcException as error:
        raise GigatokError(f"DVC cannot read the pipeline in {root}: {' '.join(str(error).split())}") from error
    if not stages:
        raise GigatokError(f"{root / 'dvc.yaml'} has no stages: 'git checkout dvc.yaml' brings them back")
    return Graph({stage.name: stage for stage in sorted(stages, key=lambda stage: stage.name)})


def _damaged(reasons: Sequence[Any]) -> tuple[str, ...]:
    """The changed outputs, where DVC gives no other reason to look at a stage."""
    outputs = [each["changed outs"] for each in reasons if isinstance(each, dict) and "changed outs" in each]
    if len(outputs) < len(reasons):
        return ()
    return tuple(path for each in outputs for path, state in each.items() if state == "modified")


def _held(root: Path) -> str:
    """Who holds DVC's lock: the file has its number."""
    path = root / ".dvc" / "tmp" / "lock"
    try:
        process = psutil.Process(int(path.read_text()))
        who = f"process {process.pid}, since {utc(process.create_time())}, '{' '.join(process.cmdline())[:_SHOWN]}',"
    except (OSError, ValueError, psutil.Error):
        who = "another DVC process"
    return f"{who} works on {root}: run the command again when it has ended (if there is none, delete {path})"


def _name(stage: Any) -> str:
    return str(getattr(stage, "name", stage.addressing))
