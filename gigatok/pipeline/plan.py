"""What a command would run, for ``--dry-run``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gigatok.config import Params
    from gigatok.pipeline.runner import Graph


def planned_stages(root: Path, params: Params, targets: Iterable[str]) -> list[str]:
    """Stages of ``targets`` (none: all) that would run once ``params.yaml`` said ``params``.

    A stage that is up to date stays so if the settings that it reads, as ``dvc.yaml`` names them, stay as they are.
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
    kept = _unaffected(graph, before, params) if graph and before else set()
    known = graph.upstream(wanted & set(graph.stages)).order() if graph and targets else expected
    return [name for name in known if name not in kept]


def _unaffected(graph: Graph, before: Params, after: Params) -> set[str]:
    """Stages that are up to date, read no setting that will be another one, and need no stage that will run."""
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    outdated, kept = graph.outdated(), set[str]()
    for name in graph.order():
        stage = graph.stages[name]
        same = all(_at(old, path) == _at(new, path) for path in stage.settings)
        if same and name not in outdated and kept.issuperset(stage.needs):
            kept.add(name)
    return kept


def _at(values: Mapping[str, Any], path: str) -> Any:
    """The setting of a dotted path; ``None`` where there is none."""
    found: Any = values
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
