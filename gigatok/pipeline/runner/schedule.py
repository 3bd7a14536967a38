"""Which stage starts next, and how long everything left will take. Pure functions of names and seconds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from gigatok.pipeline.runner.graph import Graph


def critical_seconds(graph: Graph, seconds: Mapping[str, float]) -> dict[str, float]:
    """For each stage, the seconds from its start to the end of the longest chain that begins with it.

    A stage that is to be ``first`` has more than any other: infinitely many.
    """
    longest: dict[str, float] = {}
    after: defaultdict[str, float] = defaultdict(float)
    for name in reversed(graph.order()):
        stage = graph.stages[name]
        longest[name] = float("inf") if stage.first else seconds.get(name, 0.0) + after[name]
        for need in stage.needs:
            after[need] = max(after[need], longest[name])
    return longest


def by_priority(names: Collection[str], critical: Mapping[str, float]) -> list[str]:
    """``names``, the one with the longest chain behind it first; equal chains in order of name."""
    return sorted(names, key=lambda name: (-critical[name], name))


def time_left(
    graph: Graph,
    waiting: Collection[str],
    running: Mapping[str, float],
    seconds: Mapping[str, float],
    jobs: int,
) -> float:
    """Seconds until all is done, by playing the schedule through.

    Args:
        waiting: stages not started.
        running: seconds left of each running stage.
        seconds: estimated duration of each waiting stage.
        jobs: stages that run at one time.
    """
    critical = critical_seconds(graph, seconds)
    sorter = graph.sorter([*waiting, *running])
    sorter.prepare()
    left, able, clock = dict(running), set[str](), 0.0
    while sorter.is_active():
        able |= set(sorter.get_ready()) - left.keys()
        for name in by_priority(able, critical)[: max(0, jobs - len(left))]:
            able.remove(name)
            left[name] = seconds.get(name, 0.0)
        step = min(left.values())
        clock += step
        left = {name: rest - step for name, rest in left.items()}
        for name in [name for name, rest in left.items() if rest <= 1e-9]:
            del left[name]
            sorter.done(name)
    return clock
