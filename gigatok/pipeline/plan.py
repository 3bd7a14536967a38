"""What a command would run, for ``--dry-run``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gigatok.config import Params


def planned_stages(root: Path, params: Params, targets: Iterable[str]) -> list[str]:
    """Stages of ``targets`` (none: all) that would run once ``params.yaml`` said ``params``.

    Where only the suite differs, runs whose entries stay as they are would be reused.
    """
    from gigatok.config import ConfigError, load_params
    from gigatok.pipeline.runner import read_graph
    from gigatok.planning.hours import expected_seconds

    targets = tuple(targets)
    path = root / "params.yaml"
    before = load_params(path) if path.exists() else None
    graph = read_graph(root) if before else None
    expected = list(expected_seconds(params))
    wanted = {name for name in expected if not targets or {name, name.partition("@")[0]} & set(targets)}
    unknown = [
        target for target in targets if target not in {*expected, *(name.partition("@")[0] for name in expected)}
    ]
    if unknown:
        raise ConfigError(f"stage {unknown[0]!r} is not in the pipeline: 'dvc stage list' shows those that are")
    if graph and before == params:
        graph = graph.upstream(wanted & set(graph.stages)) if targets else graph
        outdated = graph.outdated()
        return [name for name in graph.order() if name in outdated]
    kept: set[str] = set()
    if graph and before and before.model_copy(update=_entries(params)) == params:
        kept = {name for name in set(graph.stages) - graph.outdated() if _unchanged(name, before, params)}
    known = graph.upstream(wanted & set(graph.stages)).order() if graph and targets else expected
    return [name for name in known if name not in kept]


def _entries(params: Params) -> dict[str, object]:
    return {"suite": params.suite, "tokenizers": params.tokenizers, "generators": params.generators}


def _unchanged(stage: str, before: Params, after: Params) -> bool:
    """Whether the stage, up to date now, stays so: the report never does."""
    work, _, name = stage.partition("@")
    if not name:
        return work != "report"
    tokenizer = name if work.endswith("tokenizer") else None
    if tokenizer is None:
        if before.generators.get(name) != after.generators.get(name):
            return False
        tokenizer = after.generators[name].tokenizer
    return before.tokenizers.get(tokenizer) == after.tokenizers.get(tokenizer)
