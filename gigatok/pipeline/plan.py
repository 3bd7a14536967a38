"""What a command would run, for ``--dry-run`` and for what must fit this machine before anything starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gigatok.config import Params
    from gigatok.pipeline.runner import Graph

_NEEDS: Mapping[str, tuple[str, ...]] = {
    "teacher": ("prepare",),
    "reference": ("prepare",),
    "train_tokenizer": ("prepare", "teacher"),
    "evaluate_tokenizer": ("prepare", "reference", "train_tokenizer@{name}"),
    "train_generator": ("prepare", "train_tokenizer@{tokenizer}"),
    "evaluate_generator": ("prepare", "reference", "train_tokenizer@{tokenizer}", "train_generator@{name}"),
}
"""Stages whose outputs a stage reads, as in ``dvc.yaml``; the report reads those of all."""


def asked_stages(params: Params, targets: Iterable[str]) -> list[str]:
    """Stages of ``targets`` (none: all) and those that they need, up to date or not; DVC is not asked.

    Args:
        targets: stages, or groups of them (``train_tokenizer``). One that the pipeline does not have may need any.
    """
    from gigatok.planning.hours import expected_seconds

    known, targets = list(expected_seconds(params)), tuple(targets)
    if not targets or "report" in targets or _strangers(known, targets):
        return known
    found: set[str] = set()
    waiting = [name for name in known if _is_meant(name, targets)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _needs(name, params)
    return [name for name in known if name in found]


def planned_stages(root: Path, params: Params, targets: Iterable[str]) -> list[str]:
    """Stages of ``targets`` (none: all) that would run once ``params.yaml`` said ``params``.

    A stage that is up to date stays so if the settings that it reads, as ``dvc.yaml`` names them, stay as they are.

    Raises:
        ConfigError: a target is no stage.
    """
    from gigatok.config import ConfigError, load_params
    from gigatok.pipeline.runner import read_graph
    from gigatok.planning.hours import expected_seconds

    targets = tuple(targets)
    path = root / "params.yaml"
    before = load_params(path) if path.exists() else None
    graph = read_graph(root) if before else None
    names = [*expected_seconds(params), *(graph.stages if graph else ())]
    if unknown := _strangers(names, targets):
        raise ConfigError(f"stage {unknown[0]!r} is not in the pipeline: 'dvc stage list' shows those that are")
    if graph is None or before is None:
        return asked_stages(params, targets)
    here = graph.upstream(name for name in graph.stages if _is_meant(name, targets)) if targets else graph
    if before == params:
        outdated = here.outdated()
        return [name for name in here.order() if name in outdated]
    kept = _unaffected(graph, before, params)
    asked = asked_stages(params, targets)
    known = list(dict.fromkeys([*here.order(), *_declared(root, asked)])) if targets else asked
    return [name for name in known if name not in kept]


def _is_meant(stage: str, targets: Iterable[str]) -> bool:
    return bool({stage, stage.partition("@")[0]} & set(targets))


def _strangers(names: Iterable[str], targets: Iterable[str]) -> list[str]:
    """Targets that are neither a stage nor a group."""
    known = {part for name in names for part in (name, name.partition("@")[0])}
    return [target for target in targets if target not in known]


def _needs(stage: str, params: Params) -> list[str]:
    kind, _, name = stage.partition("@")
    tokenizer = params.generators[name].tokenizer if kind.endswith("_generator") else name
    return [need.format(name=name, tokenizer=tokenizer) for need in _NEEDS.get(kind, ())]


def _declared(root: Path, stages: Iterable[str]) -> Iterator[str]:
    """Those of ``stages`` whose kind this project's ``dvc.yaml`` has, whatever models it names now."""
    from gigatok.config.reading import read_yaml

    kinds = read_yaml(root / "dvc.yaml", fix="'git checkout dvc.yaml' brings it back").get("stages", {})
    return (name for name in stages if name.partition("@")[0] in kinds)


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
