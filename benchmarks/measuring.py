"""How every benchmark measures: pairs in turn, ratios with their spread, memory in a process of its own.

A file of benchmarks names its cases and calls ``main``; ``run.py`` gathers them. Ours and the plain implementation
run in turn, so that what else the machine does falls on both. One thread is timed by its own CPU time, which other
processes disturb least; more threads by the wall clock, which wants a quiet machine.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gigatok.runtime.device import M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, keep_freed_memory

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")
GLIBC_LARGEST_THRESHOLD = 32 * 2**20
"""Up to which glibc raises its own threshold as a program frees larger and larger blocks."""


class Case(NamedTuple):
    """One measurement: the same work done by both."""

    ours: Callable[[], Any]
    plain: Callable[[], Any]
    agree: Callable[[Any, Any], bool]
    """Whether the two results are the same, as far as rounding allows."""
    flops: float | None = None
    """Floating-point operations of the work that cannot be avoided; its share of the measured peak is reported."""
    read: float | None = None
    """Bytes that must at least be read from memory."""
    dtype: torch.dtype = torch.float32
    growth: str | None = None
    """What ``size`` counts. Cases with the same word tell how time grows with it."""
    size: float = 1.0


SLOW = 10.0
"""Seconds a pair: what takes longer needs no warm-up, and its first run counts as one of the repeats."""
Cases = Mapping[str, Callable[[], Case]]


def main(title: str, cases: Cases) -> None:
    """Run the cases asked for and print one JSON object."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--cases", nargs="*", default=list(cases), help=f"of {', '.join(cases)}")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--memory", choices=("ours", "plain"), help="peak memory of one run of the first case alone")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.memory:
        print(json.dumps(_peak_memory(cases[options.cases[0]](), options.memory)))
        return
    peaks = machine_peaks(options.threads)
    rows = [_row(name, cases[name](), options, peaks) for name in options.cases]
    print(json.dumps({"title": title, "threads": options.threads, "peaks": peaks, "rows": rows}))


def return_freed_memory() -> None:
    """Have the C library map blocks above 32 MiB afresh and return them when freed, as glibc does by itself in the end.

    Undoes ``keep_freed_memory``, which our stages call and a textbook program does not.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return
    mallopt(M_MMAP_THRESHOLD, GLIBC_LARGEST_THRESHOLD)
    mallopt(M_TRIM_THRESHOLD, 2 * GLIBC_LARGEST_THRESHOLD)


def clock_of(threads: int) -> Callable[[], float]:
    """CPU time for one thread, the wall clock for several."""
    return time.process_time if threads == 1 else time.perf_counter


def machine_peaks(threads: int) -> dict[str, float]:
    """What this machine reaches now: a product of 1,024 x 1,024 matrices (GFLOP/s), a copy (GB/s read and written)."""
    clock = clock_of(threads)
    found = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a = torch.randn(1024, 1024).to(dtype)
        found[name] = 2 * 1024**3 / _fastest(lambda a=a: a @ a, clock, 6) / 1e9
    source, target = torch.zeros(2**26), torch.zeros(2**26)
    found["copy"] = 2 * 4 * 2**26 / _fastest(lambda: target.copy_(source), clock, 4) / 1e9
    return found


def exponent(sizes: list[float], seconds: list[float]) -> float:
    """p of seconds ~ size^p, by least squares on logarithms."""
    x, y = [math.log(size) for size in sizes], [math.log(value) for value in seconds]
    slope, _ = statistics.linear_regression(x, y)
    return slope


def _fastest(work: Callable[[], Any], clock: Callable[[], float], repeats: int) -> float:
    spent = []
    for _ in range(repeats):
        begin = clock()
        work()
        spent.append(clock() - begin)
    return min(spent)


class _Pair(NamedTuple):
    """What both returned, and the time it took them."""

    ours: Any
    plain: Any
    seconds_ours: float
    seconds_plain: float


def _pair(case: Case, clock: Callable[[], float]) -> _Pair:
    keep_freed_memory()  # as every stage does
    begin = clock()
    ours = case.ours()
    between = clock()
    return_freed_memory()
    again = clock()
    plain = case.plain()
    return _Pair(ours, plain, between - begin, clock() - again)


def _row(name: str, case: Case, options: argparse.Namespace, peaks: dict[str, float]) -> dict[str, Any]:
    clock = clock_of(options.threads)
    warm = _pair(case, clock)
    if not case.agree(warm.ours, warm.plain):
        raise SystemExit(f"{name}: the two implementations disagree, so their times mean nothing")
    ours, plain = [], []
    if warm.seconds_ours + warm.seconds_plain > SLOW:
        ours, plain = [warm.seconds_ours], [warm.seconds_plain]
    while len(ours) < options.repeats:
        pair = _pair(case, clock)
        ours.append(pair.seconds_ours)
        plain.append(pair.seconds_plain)
    ratios = [theirs / own for own, theirs in zip(ours, plain, strict=True)]
    best = min(ours)
    kind = "bf16" if case.dtype == torch.bfloat16 else "fp32"
    memory = {which: _memory_of(name, which, options.threads) for which in ("ours", "plain")}
    return {
        "case": name,
        "seconds": {"ours": statistics.median(ours), "plain": statistics.median(plain)},
        "times_faster": {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)},
        "repeats": options.repeats,
        "peak_memory_mb": memory,
        "share_of_peak": {
            "arithmetic": case.flops / best / 1e9 / peaks[kind] if case.flops else None,
            "memory": case.read / best / 1e9 / peaks["copy"] if case.read else None,
        },
        "growth": case.growth,
        "size": case.size,
    }


def _memory_of(name: str, which: str, threads: int) -> float | None:
    command = [sys.executable, sys.argv[0], "--cases", name, "--memory", which, "--threads", str(threads)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def _peak_memory(case: Case, which: str) -> float | None:
    """MB that one run needs on top of its inputs and weights; ``None`` where the system does not tell."""
    work = case.ours if which == "ours" else case.plain
    if not (CLEAR.exists() and STATUS.exists()):
        return None
    gc.collect()
    if which == "ours":
        keep_freed_memory()
    CLEAR.write_text("5")  # the highest value so far starts again from the present one
    before = _status("VmRSS")
    work()
    return (_status("VmHWM") - before) / 1024


def _status(field: str) -> int:
    return next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith(field))
