"""A project whose DVC cache holds what stages have left, and damage to files."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from gigatok.artifacts.outputs.digests import Outputs, digests_of


def fill_cache(root: Path, folder: Path, names: Iterable[str]) -> list[Path]:
    """What ``dvc repro`` does when a stage ends: the files' copies in the cache of the project at ``root``."""
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    (root / ".dvc").mkdir(exist_ok=True)
    (root / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    found = []
    for name, digests in digests_of(folder, names).items():
        path = root / ".dvc" / "cache" / "files" / "md5" / digests.md5[:2] / digests.md5[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((folder / name).read_bytes())
        found.append(path)
    return found


def cached(root: Path, path: Path) -> Outputs:
    """Put one file into the cache; returns its hashes as its stage notes them."""
    fill_cache(root, path.parent, [path.name])
    return digests_of(path.parent, [path.name])


def flip_byte(path: Path) -> bytes:
    """Damage a file in its middle; returns its sound content."""
    sound = path.read_bytes()
    content = bytearray(sound)
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return sound
