"""The tables of ``reports/gpu.md``."""

from __future__ import annotations

from typing import Any


def markdown(found: dict[str, Any], repeats: int) -> str:
    """The tables of ``gpu.md``."""
    machine = found["about"]
    lines = [
        "# On a GPU",
        "",
        f"{machine['gpu']} with {machine['memory_gib']} GiB, torch {machine['torch']}, CUDA {machine['cuda']}, "
        f"{machine['date']}{_code(machine)}; the median of {repeats}. Made by `python benchmarks/gpu.py`; what the "
        "figures mean: `docs/cluster.md`.",
    ]
    if machine.get("note"):
        lines += ["", machine["note"]]
    for name, title in (("steps", "Training steps"), ("coding", "Coding with S-S, 256 px"), ("sampling", "Sampling")):
        rows = found.get(name)
        if not rows:
            continue
        columns = list(dict.fromkeys(key for row in rows for key in row))
        lines += ["", f"## {title}", "", f"| {' | '.join(each.replace('_', ' ') for each in columns)} |"]
        lines.append(f"|{'---|' * len(columns)}")
        lines += [f"| {' | '.join(_cell(row.get(each, '')) for each in columns)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _code(machine: dict[str, Any]) -> str:
    return f", commit {machine['commit'][:12]}" if machine.get("commit") else ""


def _cell(value: object) -> str:
    shown = ("yes" if value else "") if isinstance(value, bool) else value
    return f"{shown:.3g}" if isinstance(shown, float) else str(shown)
