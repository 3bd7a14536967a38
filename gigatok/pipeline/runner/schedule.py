"""Which stage starts next, and how long everything left will take. Pure functions of names and seconds."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gigatok.pipeline.runner.graph import Graph


def critical_seconds(graph: Graph, seconds: Mapping[str, float]) -> dict[str, float]:
    """For each stage, the seconds from its start to the end of the longest chain that begins with it.

    A stage that is to be ``first`` has more than any other: infinitely many.
    """
    longest: dict[str, float] = {}
    followers: dict[str, list[str]] = {name: [] for name in graph.stages}
    for name, stage in graph.stages.items():
        for need in stage.needs:
            if need in followers:
                followers[need].append(name)
    for name in reversed(graph.order()):
        after = max((longest[follower] for follower in followers[name]), default=0.0)
        longest[name] = float("inf") if graph.stages[name].first else seconds.get(name, 0.0) + after
    return longest


def ready(graph: Graph, waiting: Collection[str], unfinished: Collection[str]) -> list[str]:
    """Stages of ``waiting`` that need none of the ``unfinished`` ones (waiting or running)."""
    blocked = set(unfinished)
    return [name for name in waiting if not blocked.intersection(graph.stages[name].needs)]


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
    left = dict(running)
    queue = set(waiting)
    clock = 0.0
    while left or queue:
        able = by_priority(ready(graph, queue, queue | set(left)), critical)
        for name in able[: max(0, jobs - len(left))]:
            queue.remove(name)
            left[name] = seconds.get(name, 0.0)
        if not left:  # only a stage that needs something outside the graph could get here
            break
        step = min(left.values())
        clock += step
        left = {name: rest - step for name, rest in left.items() if rest - step > 1e-9}
    return clock
