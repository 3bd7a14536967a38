"""All benchmarks, one after another, into reports/benchmarks.json and .md: python benchmarks/run.py, or make bench.

Files named on the command line run alone; the other results stay as they were, each with its own date and machine.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from measuring import exponent

FOLDER = Path(__file__).parent
FILES = ("sampling", "quantizer", "coding", "training_step", "frechet", "loader")
DEFAULT = {
    "sampling": ["tokens-32-batch-1-fp32", "tokens-32-batch-8-fp32", "tokens-32-batch-32-fp32",
                 "tokens-32-batch-1-bf16", "tokens-32-batch-8-bf16", "tokens-256-batch-1-fp32"],
    "quantizer": ["1024-vectors-16384-codes", "4096-vectors-16384-codes", "1024-vectors-1024-codes",
                  "1024-vectors-64-codes"],
    "coding": ["encode-64px-fp32", "encode-256px-fp32", "encode-256px-bf16", "decode-64px-fp32", "decode-256px-fp32",
               "decode-256px-bf16"],
    "training_step": ["64px-fp32", "256px-fp32", "256px-bf16"],
}  # fmt: skip
"""Cases of files whose whole would take ``make bench`` past ten minutes; the others run all of theirs."""
LIBRARIES = ("torch", "numpy", "scipy")
HEADER = (
    "| case | times faster (least to most) | than plain in fp32 | ours, s | plain, s | peak memory ours / plain, MB "
    "| share of peak |\n|---|---|---|---|---|---|---|"
)


HEAD = """# Benchmarks

Ours against the same work written the textbook way (`benchmarks/plain/`), in turn in one process; the ratio of each
pair, its median and range. Of a case in bf16 the second ratio is to the textbook's program in fp32, for those who come
from that. Ours keeps freed memory, as every stage does, plain leaves that to the system. Memory: what
one run in a fresh process needs on top of inputs and weights. Share of peak: arithmetic against the product of two
1,024 x 1,024 matrices, or reading of weights against a copy, both measured in the same process. One thread is timed by
its CPU time, more by the wall clock. Made by `make bench`; what the figures mean: `docs/performance.md`.
"""


def main() -> None:
    """Run, merge, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", default=FILES)
    parser.add_argument("--cases", nargs="*", help="of the one file named")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--note", default="", help="what else the machine was doing")
    parser.add_argument("--output", type=Path, default=FOLDER.parent / "reports" / "benchmarks.json")
    options = parser.parse_args()
    stored: dict[str, Any] = json.loads(options.output.read_text()) if options.output.exists() else {}
    for name in options.files:
        command = [sys.executable, str(FOLDER / f"{name}.py")]
        command += ["--repeats", str(options.repeats), "--threads", str(options.threads)]
        chosen = options.cases or DEFAULT.get(name)
        command += ["--cases", *chosen] if chosen else []
        result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        _merge(stored.setdefault(name, {"title": result["title"], "rows": []}), result, options.note)
        options.output.write_text(json.dumps(stored, indent=1) + "\n")
        options.output.with_suffix(".md").write_text(markdown(stored))


def _merge(group: dict[str, Any], result: dict[str, Any], note: str) -> None:
    """New rows in the place of old ones of the same case."""
    about = {"threads": result["threads"], "peaks": result["peaks"], "machine": _machine(), "note": note}
    fresh = {row["case"]: {**row, **about} for row in result["rows"]}
    group["rows"] = [fresh.pop(row["case"], row) for row in group["rows"]] + list(fresh.values())


def _machine() -> dict[str, Any]:
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def markdown(stored: dict[str, Any]) -> str:
    """The report's table of each file, and what was measured where."""
    parts = [HEAD]
    for group in stored.values():
        parts.append(f"## {group['title']}\n\n{HEADER}")
        in_fp32 = {row["case"]: row["seconds"]["plain"] for row in group["rows"]}
        lines = [_line(row, in_fp32.get(row["case"].replace("bf16", "fp32"))) for row in group["rows"]]
        parts.append("\n".join(lines) + "\n")
        parts += [f"Time grows with {what} as size^{power:.2f}.\n" for what, power in _growth(group["rows"])]
        parts.append(
            "\n".join(f"- {about}: {', '.join(cases)}" for about, cases in _abouts(group["rows"]).items()) + "\n"
        )
    return "\n".join(parts)


def _line(row: dict[str, Any], plain_in_fp32: float | None) -> str:
    """A row; ``plain_in_fp32``: seconds of the textbook's program in full precision, where the case has that."""
    ratio, seconds, memory = row["times_faster"], row["seconds"], row["peak_memory_mb"]
    spread = f"{ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['most']:.2f})"
    megabytes = " / ".join(
        "not told" if memory[which] is None else f"{memory[which]:.0f}" for which in ("ours", "plain")
    )
    shares = [f"{kind} {share:.0%}" for kind, share in row["share_of_peak"].items() if share is not None]
    gained = f"{plain_in_fp32 / seconds['ours']:.2f}" if plain_in_fp32 and "bf16" in row["case"] else ""
    return (
        f"| {row['case']} | {spread} | {gained} | {seconds['ours']:.3g} | {seconds['plain']:.3g} "
        f"| {megabytes} | {', '.join(shares) or 'not counted'} |"
    )


def _growth(rows: list[dict[str, Any]]) -> list[tuple[str, float]]:
    families: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["growth"]:
            families[row["growth"]].append(row)
    return [
        (what, exponent([row["size"] for row in family], [row["seconds"]["ours"] for row in family]))
        for what, family in families.items()
        if len({row["size"] for row in family}) > 1
    ]


def _abouts(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        machine, peaks = row["machine"], row["peaks"]
        libraries = ", ".join(f"{name} {machine[name]}" for name in LIBRARIES)
        about = (
            f"{machine['processor']}, {row['threads']} of {machine['cores']} cores, {libraries}, {machine['date']}; "
            f"fp32 {peaks['fp32']:.0f} GFLOP/s, bf16 {peaks['bf16']:.0f}, copy {peaks['copy']:.0f} GB/s"
        )
        found[f"{about}; {row['note']}" if row["note"] else about].append(row["case"])
    return found


if __name__ == "__main__":
    main()
