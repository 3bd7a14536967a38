"""A finished run as an RO-Crate 1.2: what a repository needs to keep it, and a stranger to repeat it."""

from __future__ import annotations

import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from gigatok import __version__
from gigatok.artifacts import replacing, write_bytes
from gigatok.artifacts.outputs.own_files import own_file
from gigatok.artifacts.source import git_state
from gigatok.config import GigatokError, Params
from gigatok.config.base import without_login
from gigatok.paper.report.manifest import NAME as MANIFEST
from gigatok.paper.report.manifest import changed_files

_SETTINGS = ("params.yaml", "dvc.yaml", "dvc.lock", "constraints.txt", "pyproject.toml", "LICENSE", "CITATION.cff")
_SCORES = ("summary.json", "curves.json", "config.json", "provenance.json")
_WEIGHTS = ("weights.safetensors",)
_PAPER = "https://arxiv.org/abs/2504.08736"
_LICENCE = "https://spdx.org/licenses/Apache-2.0"


def archived_files(root: Path, *, weights: bool = False) -> list[Path]:
    """Files of a project that an archive holds, relative to ``root``, sorted: no link out of the project."""
    names = (*_SCORES, *_WEIGHTS) if weights else _SCORES
    found = [root / name for name in _SETTINGS if (root / name).is_file()]
    found += [path for path in (root / "reports").rglob("*") if path.is_file()]
    for kind in ("data", "reference", "tokenizers", "generators"):
        found += [path for path in (root / "runs" / kind).rglob("*.json") if path.name in names]
        found += [path for path in (root / "runs" / kind).rglob("*.safetensors") if path.name in names]
    return sorted({path.relative_to(root) for path in found if own_file(path, root) is not None})


def write_archive(root: Path, params: Params, output: Path, *, weights: bool = False) -> int:
    """Write the crate as a zip file, whole or not at all; returns how many files of the project are in it.

    Args:
        root: the project.
        params: what was run; its profile and suite name the crate.
        weights: whether trained weights are put in.

    Raises:
        GigatokError: nothing was scored yet, the report is not the one of its manifest, or the file cannot be
            written.
    """
    from rocrate.rocrate import ROCrate

    files = archived_files(root, weights=weights)
    if not any(path.name == "summary.json" and path.parts[1] in ("tokenizers", "generators") for path in files):
        raise GigatokError(f"{root / 'runs'} holds no scored model: 'gigatok-bench repro' runs the pipeline first")
    for folder in sorted({path.parent for path in files if path.name == MANIFEST and path.parts[0] == "reports"}):
        changed = changed_files(root / folder)
        if changed:
            raise GigatokError(
                f"{root / folder / changed[0]} is not the file that {MANIFEST} names: write the report again with "
                "'dvc repro -f report', or restore it"
            )
    crate = ROCrate()
    crate.name = f"GigaTok Bench: profile {params.profile}, suite {params.suite}"
    crate.description = (
        "Settings, pipeline, score sheets, curves and report of one run of the experiments of GigaTok (arXiv "
        "2504.08736). 'dvc repro' with these settings repeats it."
    )
    crate.license = _LICENCE
    commit = git_state(root).commit
    program = {
        "@type": "SoftwareApplication",
        "name": "GigaTok Bench",
        "softwareVersion": __version__ if commit is None else f"{__version__} ({commit})",
    }
    crate.add_jsonld({"@id": "#gigatok-bench", **program})
    crate.root_dataset["isBasedOn"] = crate.add_jsonld(
        {
            "@id": _PAPER,
            "@type": "ScholarlyArticle",
            "name": "GigaTok: Scaling Visual Tokenizers to 3 Billion Parameters",
        }
    )
    with replacing(output) as temporary, TemporaryDirectory(prefix="gigatok-archive-") as masked:
        for number, path in enumerate(files):
            crate.add_file(_without_login(root / path, Path(masked) / f"{number}"), dest_path=path.as_posix())
        # the library appends '.zip' to what it is given
        written = Path(crate.write_zip(f"{temporary}.zip"))
        try:
            with zipfile.ZipFile(written) as archive:
                damaged = archive.testzip()
            if damaged:
                raise GigatokError(f"{output}: {damaged} was damaged while it was packed: run the command again")
            temporary.write_bytes(written.read_bytes())
        finally:
            written.unlink(missing_ok=True)
    return len(files)


def _without_login(path: Path, copy: Path) -> Path:
    """A file of settings or data as it may be given away: ``prepare.path`` may hold a password, and a copy does not."""
    if path.suffix not in (".yaml", ".lock", ".json"):
        return path
    text = path.read_text(errors="surrogateescape")
    if without_login(text) == text:
        return path
    write_bytes(copy, without_login(text).encode(errors="surrogateescape"))
    return copy
