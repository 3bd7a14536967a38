"""All benchmarks, one after another, into reports/benchmarks.json and .md: python benchmarks/run.py, or make bench.

A whole run takes the place of all earlier rows. Files or cases named on the command line run alone; the other rows
stay as they were, each with the run, the commit and the machine that it comes from.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measuring import exponent

FOLDER = Path(__file__).parent
FILES = ("sampling", "quantizer", "coding", "training_step", "frechet", "loader")
DEFAULT = {
    "coding": ["encode-64px-fp32", "encode-128px-fp32", "encode-256px-fp32", "encode-256px-bf16", "decode-64px-fp32",
               "decode-128px-fp32", "decode-256px-fp32", "decode-256px-bf16"],
    "training_step": ["64px-fp32", "256px-fp32", "256px-bf16"],
}  # fmt: skip
"""Cases of files whose whole would take ``make bench`` past ten minutes; the others run all of theirs."""
LIBRARIES = ("torch", "numpy", "scipy")
HEADER = (
    "| case | times faster (least to most) | than plain in fp32 | ours, s | plain, s | made ready once, s "
    "| peak memory ours / plain, MB | share of peak |\n|---|---|---|---|---|---|---|---|"
)


HEAD = """# Benchmarks

Ours against the same work written the textbook way (`benchmarks/plain/`), in turn in one process; seconds are those
of the fastest run of each, the ratio is theirs, and the range that of all pairs. Of a case in bf16 the second ratio
is to the textbook's program in fp32, for those who come from that. Ours keeps freed memory, as every stage does,
plain leaves that to the system. What ours makes ready once for all its runs (a sampler's weights, rearranged) is in
no ratio: its seconds have a column. Memory: resident at most while a second run takes its course, on top of inputs
and weights; it includes what a run leaves to later ones, an optimizer's state and weights made ready. Share of peak:
arithmetic against the product of two 1,024 x 1,024 matrices of the same type, by torch's usual library or by oneDNN,
or reading of weights against a copy of 256 MB. Both peaks are measured right before and right after each case, and
the larger counts. Operations counted are products and convolutions; of the Fréchet distance those of LAPACK's
algorithms. One thread is timed by its CPU time, more by the wall clock. Time grows as a power of the size, by the
rows of one run alone. Made by `make bench`; what the figures mean: `docs/performance.md`.
"""


def main() -> None:
    """Run, merge, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", help=f"of {', '.join(FILES)}; all without one")
    parser.add_argument("--cases", nargs="*", help="only these, in whichever file has them")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--note", default="", help="what else the machine was doing")
    parser.add_argument("--output", type=Path, default=FOLDER.parent / "reports" / "benchmarks.json")
    options = parser.parse_args()
    try:
        chosen = choose(options.files, options.cases)
    except ValueError as error:
        parser.error(str(error))
    about = {"run": _run(), "machine": _machine(), "note": options.note}
    whole = not options.files and options.cases is None
    stored = _stored(options.output)
    for name, cases in chosen.items():
        command = [sys.executable, str(FOLDER / f"{name}.py")]
        command += ["--repeats", str(options.repeats), "--threads", str(options.threads)]
        command += ["--cases", *cases] if cases else []
        result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        merge(stored, name, result, about, whole)
        options.output.write_text(json.dumps(stored, indent=1) + "\n")
        options.output.with_suffix(".md").write_text(markdown(stored))


def choose(files: Sequence[str], cases: Sequence[str] | None) -> dict[str, list[str] | None]:
    """Files to run, and which of their cases; ``None``: all.

    Raises:
        ValueError: there is no such file, or none of the files has such a case.
    """
    for name in files:
        if name not in FILES:
            raise ValueError(f"file {name!r} is unknown: choose among {', '.join(FILES)}")
    names = list(files) or list(FILES)
    if cases is None:
        return {name: DEFAULT.get(name) for name in names}
    known = {name: list(importlib.import_module(name).CASES) for name in names}
    for case in cases:
        if not any(case in of_file for of_file in known.values()):
            listed = "; ".join(f"{name}: {', '.join(of_file)}" for name, of_file in known.items())
            raise ValueError(f"case {case!r} is unknown: choose among {listed}")
    found = {name: [case for case in cases if case in of_file] for name, of_file in known.items()}
    return {name: chosen for name, chosen in found.items() if chosen}


def _stored(output: Path) -> dict[str, Any]:
    """Rows of earlier runs that say which run that was, and which are told as today's are."""
    stored: dict[str, Any] = json.loads(output.read_text()) if output.exists() else {}
    for group in stored.values():
        group["rows"] = [row for row in group["rows"] if "run" in row and "fastest" in row["times_faster"]]
    return {name: group for name, group in stored.items() if group["rows"]}


def merge(stored: dict[str, Any], name: str, result: dict[str, Any], about: dict[str, Any], whole: bool) -> None:
    """New rows take the place of old ones of the same case; in a ``whole`` run, of all that other runs left."""
    fresh = {row["case"]: {**row, "threads": result["threads"], **about} for row in result["rows"]}
    if whole:
        for other in list(stored):
            stored[other]["rows"] = [row for row in stored[other]["rows"] if row["run"] == about["run"]]
            if not stored[other]["rows"]:
                del stored[other]
    group = stored.setdefault(name, {"title": result["title"], "rows": []})
    group["rows"] = [fresh.pop(row["case"], row) for row in group["rows"]] + list(fresh.values())


def _run() -> dict[str, Any]:
    """What tells rows of this run from those of others: when it began, and the code that it measures."""
    return {
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commit(),
        "dirty": bool(_git("status", "--porcelain", "--", ".", ":(exclude)reports")),
    }


def commit() -> str | None:
    """Of the code that is measured; ``None`` outside a checkout."""
    return _git("rev-parse", "HEAD")


def _git(*arguments: str) -> str | None:
    """What git prints; ``None`` outside a checkout."""
    command = ["git", "-C", str(FOLDER.parent), *arguments]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _machine() -> dict[str, Any]:
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
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
        lines = [_line(row, _plain_in_fp32(row, group["rows"])) for row in group["rows"]]
        parts.append("\n".join(lines) + "\n")
        parts += [f"Time grows with {what} as size^{power:.2f}.\n" for what, power in _growth(group["rows"]).items()]
        parts.append("\n".join(_abouts(group["rows"])) + "\n")
    return "\n".join(parts)


def _plain_in_fp32(row: dict[str, Any], rows: list[dict[str, Any]]) -> float | None:
    """Seconds of the textbook's program in full precision, where the same run has that."""
    twin = row["case"].replace("bf16", "fp32")
    found = [other for other in rows if other["case"] == twin != row["case"] and other["run"] == row["run"]]
    return found[0]["seconds"]["plain"] if found else None


def _line(row: dict[str, Any], plain_in_fp32: float | None) -> str:
    ratio, seconds, memory = row["times_faster"], row["seconds"], row["peak_memory_mb"]
    spread = f"{ratio['fastest']:.2f} ({ratio['least']:.2f} to {ratio['most']:.2f})"
    megabytes = " / ".join(
        "not told" if memory[which] is None else f"{memory[which]:.0f}" for which in ("ours", "plain")
    )
    shares = [f"{kind} {share:.0%}" for kind, share in row["share_of_peak"].items() if share is not None]
    gained = f"{plain_in_fp32 / seconds['ours']:.2f}" if plain_in_fp32 else ""
    once = "" if row["once_seconds"] is None else f"{row['once_seconds']:.2g}"
    return (
        f"| {row['case']} | {spread} | {gained} | {seconds['ours']:.3g} | {seconds['plain']:.3g} | {once} "
        f"| {megabytes} | {', '.join(shares) or 'not counted'} |"
    )


def _growth(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Exponents, each from the rows of one run, the last: between runs the machine and the code may differ."""
    families: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["run"]["began"]):
        for what, size in row["growth"].items():
            families[what, json.dumps([row["run"], row["threads"]])].append((size, row["seconds"]["ours"]))
    return {
        what: exponent([size for size, _ in family], [seconds for _, seconds in family])
        for (what, _), family in families.items()
        if len({size for size, _ in family}) > 1
    }


def _abouts(rows: list[dict[str, Any]]) -> list[str]:
    """A line for each run: when, which code, where, the peaks beside its rows, and its cases if there are several."""
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        runs[json.dumps([row["run"], row["machine"], row["threads"], row["note"]])].append(row)
    return [
        _about(own) + (f": {', '.join(row['case'] for row in own)}" if len(runs) > 1 else "") for own in runs.values()
    ]


def _about(rows: list[dict[str, Any]]) -> str:
    run, machine, note = rows[0]["run"], rows[0]["machine"], rows[0]["note"]
    commit = "no commit known" if run["commit"] is None else f"commit {run['commit'][:12]}"
    peaks = ", ".join(
        f"{kind} {_range(rows, kind)} {'GB/s' if kind == 'copy' else 'GFLOP/s'}" for kind in rows[0]["peaks"]
    )
    return (
        f"- {run['began']}, {commit}{' with changes' if run['dirty'] else ''}; {machine['processor']}, "
        f"{rows[0]['threads']} of {machine['cores']} cores, "
        f"{', '.join(f'{name} {machine[name]}' for name in LIBRARIES)}; {peaks}{f'; {note}' if note else ''}"
    )


def _range(rows: list[dict[str, Any]], kind: str) -> str:
    values = [row["peaks"][kind] for row in rows]
    least, most = f"{min(values):.0f}", f"{max(values):.0f}"
    return least if least == most else f"{least} to {most}"


if __name__ == "__main__":
    main()
