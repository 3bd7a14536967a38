"""Table 4: which share of the time to generate an image the tokenizer's decoder takes. Measured, never estimated."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gigatok.artifacts import git_state, write_bytes, write_json
from gigatok.config import Params
from gigatok.models import ArModel, Tokenizer, build_ar, build_tokenizer
from gigatok.paper.claims import load_claims
from gigatok.paper.scaling_table import markdown_table
from gigatok.sampling import generate

DECODERS = {"B": "S-B", "L": "B-L", "XXL": "XL-XXL"}
"""Rows of the paper's table, and a tokenizer with that decoder."""
GENERATORS = ("B", "L", "XXL")
CFG_SCALE = 2.0
"""As images are sampled: two passes of the AR model a token."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds a batch, the median of several, and the fastest and slowest."""

    median: float
    fastest: float
    slowest: float


@dataclass(frozen=True, kw_only=True)
class TimingTable:
    """Decoding and sampling times, and what they were measured on."""

    scale: str
    decode: dict[str, Timing]
    sample: dict[str, Timing]
    about: dict[str, Any]

    def share(self, decoder: str, generator: str) -> float:
        """Percent of the time of both that decoding takes."""
        decode = self.decode[decoder].median
        return 100 * decode / (decode + self.sample[generator].median)


def measure_times(params: Params | None, *, batch_size: int, repeats: int, device: str, threads: int) -> TimingTable:
    """Times with untrained weights, which cost what trained ones do.

    Args:
        params: shapes of its profile; ``None``: the paper's shapes
    """
    torch.set_num_threads(threads)
    target = torch.device(device)
    generator = torch.Generator().manual_seed(0)
    decode, sample = {}, {}
    with torch.inference_mode():
        for row, name in DECODERS.items():
            tokenizer = _tokenizer(params, name).eval().to(target)
            config = tokenizer.config
            indices = torch.randint(config.codebook_size, (batch_size, config.tokens), generator=generator).to(target)
            decode[row] = timed(lambda model=tokenizer, i=indices: model.decode(i), repeats, target)  # type: ignore[misc]
            tokens, codes = config.tokens, config.codebook_size
            del tokenizer
        for column in GENERATORS:
            ar = _ar(params, f"GPT-{column}", tokens, codes).eval().to(target)
            classes = (torch.arange(batch_size) % ar.config.num_classes).to(target)
            sample[column] = timed(
                lambda model=ar, c=classes: generate(model, c, cfg_scale=CFG_SCALE),  # type: ignore[misc]
                repeats,
                target,
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
        "commit": commit,
        "dirty": dirty,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    scale = "paper scale" if params is None else f"profile {params.profile}"
    return TimingTable(scale=scale, decode=decode, sample=sample, about=about)


def timed(work: Callable[[], object], repeats: int, device: torch.device) -> Timing:
    """Wall time of ``work`` after one run to warm up; a GPU is waited for before every look at the clock."""
    spent = []
    for place in range(repeats + 1):
        _wait(device)
        begin = time.perf_counter()
        work()
        _wait(device)
        if place:
            spent.append(time.perf_counter() - begin)
    return Timing(median=statistics.median(spent), fastest=min(spent), slowest=max(spent))


def write_timing(table: TimingTable, folder: Path) -> Path:
    """``table04.md``, ``.csv``, ``.tex`` and ``.json``; returns the Markdown file."""
    claims = load_claims()["table4"]
    paper = {(row, column): claims["rows"][row][place] for row in DECODERS for place, column in enumerate(GENERATORS)}
    head = ["Decoder", *(f"GPT-{column} {who}" for column in GENERATORS for who in ("paper", "ours"))]
    rows = [
        [
            row,
            *(text for column in GENERATORS for text in (f"{paper[row, column]:g}", f"{table.share(row, column):.1f}")),
        ]
        for row in DECODERS
    ]
    times = [[f"decode {row}", *_times(each)] for row, each in table.decode.items()]
    times += [[f"sample GPT-{column}", *_times(each)] for column, each in table.sample.items()]
    text = "\n".join(
        [
            "# Table 4: share of generation time spent in tokenizer decoding, percent\n",
            f"Ours: {table.scale}, measured. {', '.join(f'{key} {value}' for key, value in table.about.items())}.\n",
            markdown_table(head, rows),
            "\nSeconds a batch: median, fastest, slowest.\n",
            markdown_table(["Part", "Median", "Fastest", "Slowest"], times),
            "",
        ]
    )
    write_bytes(folder / "table04.md", text.encode())
    lines = ["decoder,generator,paper,ours"]
    lines += [f"{row},{column},{paper[row, column]},{table.share(row, column)}" for row, column in paper]
    write_bytes(folder / "table04.csv", ("\n".join(lines) + "\n").encode())
    body = [" & ".join(line) + r" \\" for line in rows]
    latex = [
        r"\begin{tabular}{l" + "rr" * len(GENERATORS) + "}",
        " & ".join(head) + r" \\",
        *body,
        r"\end{tabular}",
        "",
    ]
    write_bytes(folder / "table04.tex", "\n".join(latex).encode())
    seconds = {
        name: vars(each) for name, each in {**_named("decode", table.decode), **_named("sample", table.sample)}.items()
    }
    write_json(folder / "table04.json", {"scale": table.scale, "about": table.about, "seconds": seconds})
    return folder / "table04.md"


def _named(what: str, times: dict[str, Timing]) -> dict[str, Timing]:
    return {f"{what} {name}": each for name, each in times.items()}


def _times(each: Timing) -> list[str]:
    return [f"{value:.4g}" for value in (each.median, each.fastest, each.slowest)]


def _tokenizer(params: Params | None, name: str) -> Tokenizer:
    if params is None:
        return build_tokenizer(name)
    return Tokenizer(params.tokenizer_model(name, alignment_dim=1))


def _ar(params: Params | None, size: str, tokens: int, codes: int) -> ArModel:
    if params is None:
        return build_ar(size)
    name = next(iter(params.generators))
    entry = params.generators[name].replace(size=size)
    sized = params.model_copy(update={"generators": {**params.generators, name: entry}})
    return ArModel(sized.generator_model(name, tokens=tokens, codebook_size=codes, classes=9))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
