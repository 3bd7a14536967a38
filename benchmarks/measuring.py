"""How every benchmark measures: pairs in turn, ratios with their spread, peak memory, the machine's peaks beside it.

A file of benchmarks names its cases and calls ``main``; ``run.py`` gathers them. Ours and the plain implementation
run in turn, so that what else the machine does falls on both. One thread is timed by its own CPU time, which other
processes disturb least; more threads by the wall clock, which wants a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import torch
from resident import peak, return_freed_memory, settled
from torch import Tensor

from gigatok.models.products import Product
from gigatok.runtime.device import keep_freed_memory, limit_threads

Clock = Callable[[], float]


class Case(NamedTuple):
    """One measurement: the same work done by both."""

    ours: Callable[[], Any]
    plain: Callable[[], Any]
    agree: Callable[[Any, Any], bool]
    """Whether the two results are the same, as far as rounding allows. Asked once, after the first run of each."""
    flops: float | None = None
    """Floating-point operations of the work that cannot be avoided; its share of the measured peak is reported."""
    read: float | None = None
    """Bytes that must at least be read from memory."""
    dtype: torch.dtype = torch.float32
    growth: Mapping[str, float] = {}
    """Families of cases that tell how time grows with something, and how much of that something this case has."""
    once: Callable[[], Any] | None = None
    """What ours makes ready before its first run and keeps; its time is a figure of its own."""
    keeps: bool = False
    """Whether a run leaves what all later ones need, such as an optimizer's state: peak memory then includes it."""


SLOW = 4.0
"""Seconds a pair: what takes longer needs no warm-up, and the two pairs that tell its memory count as repeats."""
ENOUGH = 3.0
"""Seconds: quick cases are repeated more often than asked for, until their repeats have taken this ..."""
MOST = 100
"""... but no more often than this."""
KINDS = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float64: "fp64"}
SIDE = 1024
COPIED = 2**26
"""Floats of the copy: 256 MB, more than a cache holds."""
Cases = Mapping[str, Callable[[], Case]]


def main(title: str, cases: Cases) -> None:
    """Run the cases asked for and print one JSON object."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--cases", nargs="*", default=list(cases), help=f"of {', '.join(cases)}")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    for name in options.cases:
        if name not in cases:
            parser.error(f"case {name!r} is unknown: choose among {', '.join(cases)}")
    limit_threads(options.threads)
    clock = clock_of(options.threads)
    rows = [{"case": name, **measured(name, cases[name], clock, options.repeats)} for name in options.cases]
    print(json.dumps({"title": title, "threads": options.threads, "rows": rows}))


def clock_of(threads: int) -> Clock:
    """CPU time for one thread, the wall clock for several."""
    return time.process_time if threads == 1 else time.perf_counter


def measured(name: str, make: Callable[[], Case], clock: Clock, repeats: int) -> dict[str, Any]:
    """What the report says of one case.

    Raises:
        SystemExit: the two implementations disagree.
    """
    case = make()
    earlier = machine_peaks(clock)
    before = settled()
    once = None if case.once is None else _run(case.once, True, clock, False).seconds
    pairs, memory = _pairs(name, case, clock, repeats, before)
    later = machine_peaks(clock)
    peaks = {kind: max(earlier[kind], later[kind]) for kind in earlier}  # the machine's speed drifts
    ratios = [pair.plain.seconds / pair.ours.seconds for pair in pairs]
    # what else a machine does only adds time, so the fastest runs tell most of the programs and least of it
    best, plain = (min(run.seconds for run in runs) for runs in zip(*pairs, strict=True))
    return {
        "seconds": {"ours": best, "plain": plain},
        "times_faster": {"fastest": plain / best, "least": min(ratios), "most": max(ratios)},
        "repeats": len(pairs),
        "once_seconds": once,
        "peak_memory_mb": memory,
        "share_of_peak": {
            "arithmetic": case.flops / best / 1e9 / peaks[KINDS[case.dtype]] if case.flops else None,
            "memory": case.read / best / 1e9 / peaks["copy"] if case.read else None,
        },
        "peaks": peaks,
        "growth": dict(case.growth),
    }


def machine_peaks(clock: Clock) -> dict[str, float]:
    """What this machine reaches now: a product of two matrices (GFLOP/s), a copy (GB/s read and written).

    The product by torch's usual library, or by oneDNN, as convolutions are: some processors are twice as fast with it.
    """
    found = {}
    for dtype, kind in KINDS.items():
        a = torch.ones(SIDE, SIDE, dtype=dtype)
        rearranged = Product(a, SIDE)
        seconds = min(_fastest(lambda a=a: a @ a, clock, 6), _fastest(lambda a=a, by=rearranged: by(a), clock, 6))
        found[kind] = 2 * SIDE**3 / seconds / 1e9
    source, target = _copied()
    found["copy"] = 2 * 4 * COPIED / _fastest(lambda: target.copy_(source), clock, 4) / 1e9
    return found


@cache
def _copied() -> tuple[Tensor, Tensor]:
    """Both written: pages never written are all one page of zeros, which is read from the cache."""
    return torch.ones(COPIED), torch.ones(COPIED)


def exponent(sizes: list[float], seconds: list[float]) -> float:
    """p of seconds ~ size^p, by least squares on logarithms."""
    x, y = [math.log(size) for size in sizes], [math.log(value) for value in seconds]
    slope, _ = statistics.linear_regression(x, y)
    return slope


def _fastest(work: Callable[[], Any], clock: Clock, repeats: int) -> float:
    spent = []
    for _ in range(repeats):
        begin = clock()
        work()
        spent.append(clock() - begin)
    return min(spent)


class _Run(NamedTuple):
    """What one run returned, its time, and MB resident right before and at most; ``None`` where not asked for."""

    result: Any
    seconds: float
    before: float | None
    most: float | None


class _Pair(NamedTuple):
    ours: _Run
    plain: _Run


def _pairs(
    name: str, case: Case, clock: Clock, repeats: int, before: float | None
) -> tuple[list[_Pair], dict[str, float | None]]:
    """The pairs that are timed, and peak memory; ``before``: MB resident before anything ran or was made ready."""
    first = _pair(case, clock, metered=True)
    if not case.agree(first.ours.result, first.plain.result):
        raise SystemExit(f"{name}: the two implementations disagree, so their times mean nothing")
    first = _Pair(*(run._replace(result=None) for run in first))
    second = _pair(case, clock, metered=True)
    kept = {"ours": _above(first.plain.before, before), "plain": _above(second.ours.before, first.plain.before)}
    memory = {}
    for which, run in second._asdict().items():
        needed = _above(run.most, run.before)
        memory[which] = needed if needed is None else needed + (kept[which] or 0.0) * case.keeps
    pairs = [first, second] if first.ours.seconds + first.plain.seconds > SLOW else []
    while len(pairs) < repeats or (_spent(pairs) < ENOUGH and len(pairs) < MOST):
        pairs.append(_pair(case, clock, metered=False))
    return pairs, memory


def _spent(pairs: list[_Pair]) -> float:
    return sum(pair.ours.seconds + pair.plain.seconds for pair in pairs)


def _above(more: float | None, less: float | None) -> float | None:
    return None if more is None or less is None else max(0.0, more - less)


def _pair(case: Case, clock: Clock, metered: bool) -> _Pair:
    return _Pair(_run(case.ours, True, clock, metered), _run(case.plain, False, clock, metered))


def _run(work: Callable[[], Any], ours: bool, clock: Clock, metered: bool) -> _Run:
    """Ours keeps freed memory, as every stage does."""
    if ours:
        keep_freed_memory()
    else:
        return_freed_memory()
    before = settled() if metered else None
    begin = clock()
    result = work()
    seconds = clock() - begin
    return _Run(result, seconds, before, peak() if metered else None)
