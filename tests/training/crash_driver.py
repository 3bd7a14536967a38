"""Trains in child processes that die before a chosen operation on files, and again to the end: see test_crash_points.

``python crash_driver.py PROJECT PARAMS POINTS`` prints one JSON object. A program of its own, so that torch is loaded
once and every child is forked from a process that has computed nothing yet.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from gigatok.artifacts import Workspace, module_meanings, read_journal
from gigatok.config import load_params
from gigatok.training.resume.curves import OF_THE_MACHINE
from gigatok.training.train_generator import train_generator
from gigatok.training.train_tokenizer import train_tokenizer

KILLED = 137
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "os.utime", "os.link"}
BY_TIME = ("provenance.json", "metrics.jsonl", ".finished")
"""What holds times: compared by content that does not."""


def main(project: Path, params_file: Path, points: str) -> None:
    """Count the operations, then die before each of them (or before ``points`` of them) in turn."""
    params = load_params(params_file)
    module_meanings([train_tokenizer.__module__, train_generator.__module__])  # read and parsed once for all children

    def train(root: Path) -> None:
        train_tokenizer("T", params, Workspace(root))
        train_generator("G", params, Workspace(root))

    whole = project.with_name("whole")
    shutil.copytree(project, whole)
    counter = whole.with_name("count")
    assert in_child(lambda: counted(lambda: train(whole), whole, None, counter)) == 0
    total = int(counter.read_text())
    expected, problems = content(whole), {}
    chosen = list(chosen_points(points, total))
    for point in chosen:
        root = project.with_name(f"killed-{point}")
        shutil.copytree(project, root)
        status = in_child(lambda root=root, point=point: counted(lambda: train(root), root, point, None))  # type: ignore[misc]
        assert status == KILLED, (point, status)
        if in_child(lambda root=root: train(root)) != 0:  # type: ignore[misc]
            problems[point] = "the second training failed"
        elif found := different(expected, content(root)):
            problems[point] = found
        shutil.rmtree(root)
    print(json.dumps({"operations": total, "killed": len(chosen), "problems": problems}))


def chosen_points(points: str, total: int) -> Iterable[int]:
    """``all``; ``101-200``, which are those there are of them; or so many, spread from the first to the last."""
    if "-" in points:
        first, last = map(int, points.split("-"))
        return range(first, min(last, total) + 1)
    return range(1, total + 1) if points == "all" else spread(total, int(points))


def spread(total: int, count: int) -> list[int]:
    """``count`` points from the first operation to the last."""
    return sorted({1 + round(at * (total - 1) / (count - 1)) for at in range(count)})


def in_child(work: Callable[[], None]) -> int:
    """Exit status of a forked process that does ``work``."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def counted(work: Callable[[], None], root: Path, point: int | None, counter: Path | None) -> None:
    """Do ``work``; die before operation ``point`` below ``root``, or write how many there were."""
    done = 0
    one_at_a_time = threading.Lock()  # states are written by a thread beside the training

    def happened(path: object) -> None:
        nonlocal done
        if str(path).startswith(str(root)):
            with one_at_a_time:
                done += 1
                if done == point:
                    os._exit(KILLED)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in CHANGES:
            happened(arguments[0])

    flush = os.fsync

    def fsync(file: int) -> None:
        happened(os.readlink(f"/proc/self/fd/{file}"))
        flush(file)

    os.fsync = fsync
    sys.addaudithook(hook)
    work()
    if counter is not None:
        total = done
        counter.write_text(str(total))


def content(root: Path) -> dict[str, object]:
    """Every file below ``runs`` by its path: its bytes or, where those hold times, what they say besides."""
    found: dict[str, object] = {}
    for path in sorted(root.glob("runs/**/*")):
        name = path.relative_to(root).as_posix()
        if path.is_dir():
            found[name] = "folder"
        elif path.name == "metrics.jsonl":
            points = read_journal(path)
            found[name] = [[p.step, p.name, p.value] for p in points if p.name not in OF_THE_MACHINE]
        elif path.name == "provenance.json" or path.parent.name == ".finished":
            values = json.loads(path.read_text())
            found[name] = {key: values.get(key) for key in ("complete", "fingerprint", "identity", "outputs")}
        else:
            found[name] = path.read_bytes()
    return found


def different(expected: dict[str, object], found: dict[str, object]) -> list[str]:
    """Paths that are in one only, or not equal."""
    return [name for name in sorted({*expected, *found}) if expected.get(name) != found.get(name)]


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]), sys.argv[3])
