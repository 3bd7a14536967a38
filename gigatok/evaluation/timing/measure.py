"""Table 4, measured: which share of the time to generate an image the tokenizer's decoder takes. Never estimated.

The stage ``timing``: of this package only ``times`` is imported, so that editing a table re-runs no measurement.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from gigatok.artifacts import Workspace, git_state
from gigatok.config import Params
from gigatok.config.sections import GeneratorEntry, TokenizerEntry
from gigatok.evaluation.timing.times import DECODERS, GENERATORS, Timing, TimingTable, scale_name, timing_path
from gigatok.models import ArModel, Tokenizer, build_ar, build_tokenizer
from gigatok.runtime.device import set_up
from gigatok.sampling import generate

CFG_SCALE = 2.0
"""Guidance of the timed sampling: two passes of the AR model for each token."""
BATCH_SIZE = 8
REPEATS = 5
_CLASSES = 9
"""Classes of the timed AR models; a class is one row of a table, so any number costs the same."""


def time_profile(params: Params, workspace: Workspace) -> None:
    """Stage ``timing``: the profile's models with as many threads as every stage has."""
    device = set_up(params.base)
    threads = params.base.threads or torch.get_num_threads()
    table = measure_times(params, batch_size=BATCH_SIZE, repeats=REPEATS, device=device.type, threads=threads)
    table.write(timing_path(workspace.runs))


def measure_times(params: Params | None, *, batch_size: int, repeats: int, device: str, threads: int) -> TimingTable:
    """Times with untrained weights, which cost what trained ones do.

    Args:
        params: shapes of its profile; ``None``: the paper's shapes
    """
    torch.set_num_threads(threads)
    target = torch.device(device)
    # One CPU thread waits for nothing: its own time is not that of the stages beside it.
    clock = time.process_time if target.type == "cpu" and threads == 1 else time.perf_counter
    generator = torch.Generator().manual_seed(0)
    decode, sample = {}, {}
    with torch.inference_mode():
        for row, name in DECODERS.items():
            tokenizer = _tokenizer(params, name).eval().to(target)
            config = tokenizer.config
            indices = torch.randint(config.codebook_size, (batch_size, config.tokens), generator=generator).to(target)
            decode[row] = timed(lambda model=tokenizer, i=indices: model.decode(i), repeats, target, clock)  # type: ignore[misc]
            tokens, codes = config.tokens, config.codebook_size
            del tokenizer
        for column in GENERATORS:
            ar = _ar(params, f"GPT-{column}", tokens, codes).eval().to(target)
            classes = (torch.arange(batch_size) % ar.config.num_classes).to(target)
            sample[column] = timed(
                lambda model=ar, c=classes: generate(model, c, cfg_scale=CFG_SCALE),  # type: ignore[misc]
                repeats,
                target,
                clock,
            )
            del ar
    commit, dirty = git_state(Path.cwd())
    about = {
        "device": torch.cuda.get_device_name(target) if target.type == "cuda" else platform.machine(),
        "threads": threads,
        "torch": torch.__version__,
        "batch_size": batch_size,
        "repeats": repeats,
        "cfg_scale": CFG_SCALE,
        "precision": "fp32",
        "clock": "CPU time of the one thread" if clock is time.process_time else "wall clock, device synchronised",
        "commit": commit,
        "dirty": dirty,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    scale = "paper scale" if params is None else scale_name(params)
    return TimingTable(scale=scale, decode=decode, sample=sample, about=about)


def timed(
    work: Callable[[], object],
    repeats: int,
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> Timing:
    """Time of ``work`` after one run to warm up; a GPU is waited for before every look at the clock."""
    spent = []
    for place in range(repeats + 1):
        _wait(device)
        begin = clock()
        work()
        _wait(device)
        if place:
            spent.append(clock() - begin)
    return Timing(median=statistics.median(spent), fastest=min(spent), slowest=max(spent))


def _tokenizer(params: Params | None, name: str) -> Tokenizer:
    if params is None:
        return build_tokenizer(name)
    encoder, decoder = name.split("-")
    entry = TokenizerEntry(encoder=encoder, decoder=decoder)
    params = params.model_copy(update={"tokenizers": {name: entry}})
    return Tokenizer(params.tokenizer_model(name, alignment_dim=1))


def _ar(params: Params | None, size: str, tokens: int, codes: int) -> ArModel:
    if params is None:
        return build_ar(size)
    params = params.model_copy(update={"generators": {size: GeneratorEntry(tokenizer="any", size=size)}})
    return ArModel(params.generator_model(size, tokens=tokens, codebook_size=codes, classes=_CLASSES))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
