"""Files of figures, written in this process and by one beside it."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest
from ctrl_c import interrupted
from matplotlib.axes import Axes

from gigatok.config import GigatokError
from gigatok.paper.figures import style
from gigatok.paper.figures.drawing import files
from gigatok.paper.figures.drawing.files import written_beside
from gigatok.paper.figures.drawing.panels import Panel, write_panels

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[3]
PROGRAM = """
import signal, sys
from pathlib import Path
from test_files import write_two, written_beside
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    try:
        with written_beside(True):
            print("open", flush=True)
            while True:
                write_two(Path(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit(130)
"""


def draw(axes: Axes, count: int) -> None:
    """Everything of our own that a figure may hold: names that are moved, a logarithmic axis, marks, words."""
    sizes = [10.0**power for power in range(4, 4 + count)]
    axes.plot(sizes, range(count), **style.WITH)
    style.label_points(axes, [(size, place, f"T{place}") for place, size in enumerate(sizes)], "#444444")
    style.parameter_axis(axes, sizes)
    style.say_mixed(axes)


def write_two(folder: Path) -> None:
    for count in (2, 3):
        panels = [Panel(f"{count} points", partial(draw, count=count))] * count
        write_panels(folder / f"of-{count}", panels, notes=["Proxy scale."], nothing="")


def test_a_process_beside_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("here", "beside"):
        (tmp_path / name).mkdir()
    write_two(tmp_path / "here")
    with written_beside(True):
        write_two(tmp_path / "beside")
    here, beside = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("here", "beside")
    )
    assert sorted(here) == [f"of-{count}.{kind}" for count in (2, 3) for kind in sorted(style.FORMATS)]
    assert [name for name in here if here[name] != beside.get(name)] == []


def test_what_cannot_be_written_beside_is_said_here(tmp_path: Path) -> None:
    (tmp_path / "of-2.svg").mkdir()  # in the way
    with pytest.raises(GigatokError, match=r"of-2\.svg cannot be written"), written_beside(True):
        write_two(tmp_path)


@pytest.mark.parametrize(("seconds", "begun"), [(0.0, False), (0.4, False), (0.0, True)])
def test_ctrl_c_is_heard_by_the_one_who_asks_and_leaves_nothing(tmp_path: Path, seconds: float, begun: bool) -> None:
    """A terminal sends it to the whole group."""
    figures, temporary = tmp_path / "figures", tmp_path / "temporary"
    figures.mkdir()
    temporary.mkdir()
    (tmp_path / "main.py").write_text(PROGRAM)
    groups = []

    def wait(group: int) -> None:
        groups.append(group)
        until = time.monotonic() + 60
        while begun and not list(figures.glob("*.svg")) and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(seconds)  # amid the imports of the second process

    environment = {
        "TMPDIR": str(temporary),
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, HERE, ROOT / "tests" / "artifacts"))),
    }
    assert interrupted(tmp_path / "main.py", figures, environment=environment, wait=wait) == (130, "", "")
    assert list(temporary.iterdir()) == []
    assert [path.name for path in figures.iterdir() if path.suffix not in (".png", ".svg", ".pdf")] == []
    assert not begun or list(figures.iterdir())
    until = time.monotonic() + 20  # multiprocessing's own helper notices a little later
    while time.monotonic() < until and any(map(partial(works_in, groups[0]), psutil.process_iter())):
        time.sleep(0.05)
    assert not any(map(partial(works_in, groups[0]), psutil.process_iter()))


def works_in(group: int, process: psutil.Process) -> bool:
    with suppress(psutil.Error, ProcessLookupError):
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    return False


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
