"""The files of a figure: written at once, or by a process beside this one while the next figure is laid out."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gigatok.artifacts import replacing
from gigatok.config import GigatokError
from gigatok.paper.figures.drawing.fonts import add_fonts, small
from gigatok.runtime.children import START, begin_child, starting

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class _Beside:
    """A process that writes, and what it was asked for."""

    def __init__(self, executor: ProcessPoolExecutor) -> None:
        self.executor = executor
        self.asked: list[Future[None]] = []


_BESIDE: ContextVar[_Beside | None] = ContextVar("beside", default=None)


@contextmanager
def written_beside(when: bool) -> Iterator[None]:
    """Where ``when`` holds, figures of the block are written by a second process; all are there after it.

    Drawing a figure three times takes as long as laying it out. The bytes are those of one process.

    Raises:
        GigatokError: that process was killed. Other errors are those of writing.
    """
    if not when:
        yield
        return
    executor = ProcessPoolExecutor(1, multiprocessing.get_context(START), _begin, (gc.get_threshold(), small()))
    beside = _Beside(executor)
    token = _BESIDE.set(beside)
    try:
        with starting():
            executor.submit(_begun)
        yield
        for future in beside.asked:
            future.result()
    except BrokenProcessPool:
        raise GigatokError("the process that writes figures was killed (out of memory?): run the same again") from None
    finally:
        _BESIDE.reset(token)
        executor.shutdown(cancel_futures=True)


def _begin(collected: tuple[int, int, int], fonts: Path) -> None:
    begin_child(collected, interruptible=False)  # a file is finished; whoever asked for it is interrupted, and waits
    add_fonts(fonts)


def _begun() -> None:
    """Nothing: the first work starts the process."""


def write_formats(drawing: Figure, stem: Path, style: Mapping[str, Any], dpi: int) -> None:
    """Write ``stem`` as PNG, SVG and PDF in matplotlib's settings ``style``, now or until ``written_beside`` ends.

    Equal drawings give equal bytes: no dates, no version, fixed ids.
    """
    beside = _BESIDE.get()
    if beside is None:
        _write(drawing, stem, style, dpi)
    else:
        beside.asked.append(beside.executor.submit(_write, drawing, stem, style, dpi))


def _write(drawing: Figure, stem: Path, style: Mapping[str, Any], dpi: int) -> None:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    drawing.set_dpi(dpi)  # not before: a pickled figure forgets it
    with matplotlib.rc_context(cast(Any, style)):
        # the canvases themselves: savefig draws once more for each, to lay out what is laid out
        with replacing(stem.with_suffix(".png")) as path:
            cast(Any, FigureCanvasAgg(drawing)).print_png(path, metadata={"Software": None})
        with replacing(stem.with_suffix(".svg")) as path:
            cast(Any, FigureCanvasSVG(drawing)).print_svg(path, metadata={"Date": None, "Creator": None})
        with replacing(stem.with_suffix(".pdf")) as path:
            undated = {"CreationDate": None, "Creator": None, "Producer": None}
            cast(Any, FigureCanvasPdf(drawing)).print_pdf(path, metadata=undated)
