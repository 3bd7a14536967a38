"""Processor, memory, disk, network and GPU use, sampled with MLflow's monitors into a journal of the run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

from gigatok.artifacts import Journal, RunFolder, read_journal
from gigatok.config import GigatokError
from gigatok.tracking.mlflow.deadline import seconds_of
from gigatok.tracking.record import read_record

FILE = "system.jsonl"
_ALWAYS: tuple[Any, ...] = (CPUMonitor, DiskMonitor, NetworkMonitor)
SECONDS = 10.0
"""Between samples; ``MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL`` overrides it."""


class SystemSampler(threading.Thread):
    """Samples for the runs that train now, in a thread of its own: a server that hangs leaves no gap.

    Args:
        active: gives the runs that train now.
    """

    def __init__(self, active: Callable[[], list[RunFolder]]) -> None:
        super().__init__(daemon=True, name="system-metrics")
        self._active = active
        self._monitors = [*(kind() for kind in _ALWAYS), *_gpu()]
        self._steps: dict[Path, int] = {}
        self._stopped = threading.Event()
        self._interval = max(seconds_of("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", SECONDS), 0.1)

    def run(self) -> None:
        """Sample until stopped; at once when a run begins, so that the shortest has a sample."""
        psutil.cpu_percent()  # a thread's first call starts its measurement and returns 0
        due = 0.0
        while not self._stopped.wait(min(self._interval, 1.0)):
            runs = self._active()
            begun = any(run.path / FILE not in self._steps for run in runs)
            if runs and (begun or time.monotonic() >= due):
                due = time.monotonic() + self._interval
                self._sample(runs)

    def stop(self) -> None:
        """No further samples."""
        self._stopped.set()

    def _sample(self, runs: list[RunFolder]) -> None:
        values: dict[str, float] = {}
        for monitor in self._monitors:
            monitor.collect_metrics()
            values |= {f"system/{name}": float(value) for name, value in monitor.aggregate_metrics().items()}
            monitor.clear_metrics()
        for run in runs:
            path = run.path / FILE
            try:
                if path not in self._steps:
                    self._steps[path] = max((point.step for point in read_journal(path)), default=-1)
                self._steps[path] += 1
                Journal(path).log(self._steps[path], {**values, **_process(run)})
            except (GigatokError, OSError):
                continue  # the folder was moved away, or the disk is full: training will say so


def _process(run: RunFolder) -> dict[str, float]:
    """Memory of the training process itself."""
    record = read_record(run)
    try:
        memory = psutil.Process(record.process.pid).memory_info().rss / 1e6 if record and record.process else None
    except psutil.Error:
        memory = None
    return {} if memory is None else {"system/process_memory_megabytes": round(memory, 1)}


def _gpu() -> list[Any]:
    try:
        kind: Any = GPUMonitor
        return [kind()]
    except Exception:  # no driver, no library: MLflow and pynvml raise different kinds
        return []
