"""``gigatok-bench time``: table 4, decoding against sampling."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from gigatok.cli.options import BatchOption


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("time", short_help="Decoding time against sampling time.", epilog="Example: gigatok-bench time")(
        time_models
    )


def time_models(
    paper_scale: Annotated[
        bool, typer.Option("--paper-scale", help="The paper's models (24 GB of memory) in the place of the profile's.")
    ] = False,
    batch_size: BatchOption = 8,
    repeats: Annotated[int, typer.Option(min=1, max=10_000, help="Timed runs after one to warm up.")] = 5,
    threads: Annotated[int, typer.Option(min=1, max=4096, help="CPU threads.")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else, on stdout.")] = False,
) -> None:
    """Measure table 4: the share of the time to make an image that the tokenizer's decoder takes.

    Here and now, on this machine, into reports/timing/. The report's own table 4 is measured by the stage 'timing'.
    """
    from gigatok.cli.files.project import project_root
    from gigatok.cli.options import check_device, choose_device, shown
    from gigatok.cli.tables import table, terminal_width, wrapped
    from gigatok.config import load_params

    root = project_root()
    check_device(device, ("cpu", "cuda"))
    from gigatok.evaluation.timing.measure import measure_times
    from gigatok.evaluation.timing.times import GENERATORS
    from gigatok.paper.tables.timing import (
        SECONDS_HEAD,
        TITLE,
        measured_on,
        seconds_cells,
        timing_cells,
        write_timing,
    )

    choose_device(device, ("cpu", "cuda"))
    params = None if paper_scale else load_params(root / "params.yaml")
    times = measure_times(params, batch_size=batch_size, repeats=repeats, device=device, threads=threads)
    path = write_timing(times, root / "reports" / "timing")
    times.write(path.with_suffix(".json"))
    if as_json:
        print(json.dumps({**asdict(times), "report": shown(path.parent)}, indent=2))
        return
    width = terminal_width()
    head = ["Decoder", *(text for name in GENERATORS for text in ("paper", f"GPT-{name}"))]
    print("\n".join(wrapped(f"Table 4. {TITLE}, the paper's beside ours:", width)))
    print(f"\n{table(head, timing_cells(times), width)}\n")
    print(f"Seconds a batch:\n\n{table(SECONDS_HEAD, seconds_cells(times), width)}\n")
    print("\n".join(wrapped(measured_on(times), width)))
    print(f"written: {shown(path.parent)}", file=sys.stderr)
