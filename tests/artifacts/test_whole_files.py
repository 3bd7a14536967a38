"""Every file that is written at one go is written through ``replacing`` or ``whole_file``: whole or not at all."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import gigatok

PACKAGE = Path(gigatok.__file__).parent
WRITERS = {
    "write_text",
    "write_bytes",
    "savefig",
    "to_csv",
    "savez",
    "savez_compressed",
    "copyfile",
    "copy2",
    "save",
    "open_memmap",
}
"""Methods, and functions called with their module's name."""
FUNCTIONS = {"write_table", "save_file", "copyfile", "copy2", "savez", "savez_compressed", "open_memmap"}
"""Functions, however they are called."""
OURS = {"style.save"}
"""What writes through ``replacing`` itself."""
OTHERWISE = {
    "artifacts/journal.py": "appends lines; a torn last one is cut off",
    "artifacts/outputs/indices.py": "members of an archive, which is then moved to its place whole",
    "cli/files/tokens.py": "an archive in memory, which is then written whole",
    "data/packing.py": "an array as large as the data, under a summary that is written last",
    "data/shards/cache.py": "a lock; and copies that are moved to their place, whose size is reserved first",
    "config/writing.py": "the other way to write whole files, for floors that do not know artifacts",
    "data/shards/write.py": "a lock",
    "evaluation/decode.py": "an array in a temporary folder, whose room is reserved first",
    "paper/figures/drawing/sheet.py": "a picture in memory, which is then written whole",
    "artifacts/states/tree.py": "small tensors in memory, which become one of a state's tensors",
    "tracking/mlflow/models.py": "copies in a temporary folder, which MLflow takes over",
    "pipeline/runner/process.py": "a log that a stage writes while it runs",
    "tracking/destination.py": "a lock",
    "tracking/feeder.py": "a log",
    "tracking/progress_line.py": "appends lines for the display",
    "tracking/tracker.py": "appends lines",
}
"""Files of the package that write otherwise, and why."""


def writes(path: Path) -> Iterator[int]:
    """Lines that write a file outside ``with replacing(...)``."""

    def visit(node: ast.AST, inside: bool) -> Iterator[int]:
        if isinstance(node, ast.With):
            names = {ast.unparse(item.context_expr).partition("(")[0] for item in node.items}
            inside = inside or bool(names & {"replacing", "files.replacing", "whole_file"})
        if isinstance(node, ast.Call) and not inside and is_write(node):
            yield node.lineno
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    yield from visit(ast.parse(path.read_text()), False)


def is_write(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in FUNCTIONS or ast.unparse(call.func) in OURS:
        return name in FUNCTIONS
    if name in WRITERS:
        return isinstance(call.func, ast.Attribute)  # write_bytes(path, ...) without an object is ours
    modes = [word.value for word in call.args[:2] if isinstance(word, ast.Constant) and isinstance(word.value, str)]
    return name in ("open", "fdopen") and any(set(mode) & set("wax") and len(mode) <= 3 for mode in modes)


def test_writes_are_found(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text(
        "path.write_text(x)\nopen(path, 'w')\npath.open('ab')\npath.open('rb')\nwrite_text(path, x)\n"
        "with replacing(path) as part:\n    part.write_text(x)\n    figure.savefig(part)\nfigure.savefig(path)\n"
        "np.save(path, x)\npq.write_table(x, path)\nsave_file(x, path)\nstyle.save(x, path)\n"
        "with writing(path), whole_file(path) as part:\n    pq.write_table(x, part)\ncontent = save(x)\n"
    )
    assert sorted(writes(file)) == [1, 2, 3, 9, 10, 11, 12]


def test_every_other_write_has_its_reason() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix(): lines
        for path in sorted(PACKAGE.rglob("*.py"))
        if (lines := sorted(writes(path)))
    }
    assert {name: lines for name, lines in found.items() if name not in OTHERWISE} == {}
    assert set(OTHERWISE) - set(found) == set(), "it writes nothing any more"
