"""Files of figures, written in this process and by one beside it."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest
from matplotlib.axes import Axes

from gigatok.config import GigatokError
from gigatok.paper.figures import style
from gigatok.paper.figures.drawing import files
from gigatok.paper.figures.drawing.files import written_beside
from gigatok.paper.figures.drawing.panels import Panel, write_panels


def draw(axes: Axes, count: int) -> None:
    """Everything of our own that a figure may hold: names that are moved, a logarithmic axis, marks, words."""
    sizes = [10.0**power for power in range(4, 4 + count)]
    axes.plot(sizes, range(count), **style.WITH)
    style.label_points(axes, [(size, place, f"T{place}") for place, size in enumerate(sizes)], "#444444")
    style.parameter_axis(axes, sizes)
    style.say_mixed(axes)


def write_two(folder: Path) -> dict[str, bytes]:
    for count in (2, 3):
        panels = [Panel(f"{count} points", partial(draw, count=count))] * count
        write_panels(folder / f"of-{count}", panels, notes=["Proxy scale."], nothing="")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_process_beside_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("here", "beside"):
        (tmp_path / name).mkdir()
    here = write_two(tmp_path / "here")
    with written_beside(True):
        write_two(tmp_path / "beside")
    beside = {path.name: path.read_bytes() for path in (tmp_path / "beside").iterdir()}
    assert sorted(here) == [f"of-{count}.{kind}" for count in (2, 3) for kind in sorted(style.FORMATS)]
    assert [name for name in here if here[name] != beside.get(name)] == []


def test_what_cannot_be_written_beside_is_said_here(tmp_path: Path) -> None:
    (tmp_path / "of-2.svg").mkdir()  # in the way
    with pytest.raises(OSError, match=r"of-2\.svg"), written_beside(True):
        write_two(tmp_path)


def writer() -> int:
    """The process that writes."""
    beside = files._BESIDE.get()
    assert beside is not None
    return beside.executor.submit(os.getpid).result()


def test_a_process_that_is_killed_is_one_line(tmp_path: Path) -> None:
    def killed() -> None:
        with written_beside(True):
            os.kill(writer(), signal.SIGKILL)
            write_two(tmp_path)

    with pytest.raises(GigatokError, match="writes figures was killed"):
        killed()


def test_an_error_between_figures_leaves_no_process() -> None:
    processes = []

    def failing() -> None:
        with written_beside(True):
            processes.append(writer())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    with pytest.raises(ProcessLookupError):
        os.kill(processes[0], 0)
    assert files._BESIDE.get() is None
