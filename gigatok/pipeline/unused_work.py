"""Studies and stored samples that no entry of ``params.yaml`` uses: when in doubt, it is used."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from gigatok.artifacts import RunFolder, Workspace, file_sha256
from gigatok.artifacts.lock import living_owner
from gigatok.artifacts.outputs.digests import noted_outputs
from gigatok.config import GigatokError, Params
from gigatok.config.reading import json_object_or_none, read_yaml
from gigatok.pipeline.trainings.listing import list_trainings

_WEIGHTS = RunFolder("").weights_path.name
_FEATURES = re.compile(r"features-[0-9a-f]{12}")
_OF_GENERATOR = re.compile(r"(?P<name>.+?)(\.log|-[0-9a-f]{16}(\.json)?)")


def unused_studies(workspace: Workspace, params: Params) -> Iterator[tuple[Path, str]]:
    """Studies of tokenizers and generators that ``params.yaml`` does not have, and why each can go.

    A tokenizer's study is known by the settings of its trials: without any, or with one that cannot be read, it stays.
    """
    folder = workspace.runs / "studies"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        found = _OF_GENERATOR.fullmatch(path.name)
        if path.is_dir() and not (path / "runs").is_dir():
            studied = _studied(path)
            if studied and studied.isdisjoint(params.tokenizers) and not path.is_symlink():
                yield path, f"a study of {', '.join(sorted(studied))}, which params.yaml does not have"
        elif found and found["name"] not in params.generators:
            yield path, f"guidance of {found['name']}, which params.yaml does not have"


def unused_cache(workspace: Workspace, params: Params, gone: Collection[Path]) -> Iterator[tuple[Path, str]]:
    """What nothing reads in ``runs/cache``, and why: of other code, or samples of weights that are not there.

    Features of this code stay: what images they are of is not known. A folder that is a link stays whole: another
    project may use it.

    Args:
        gone: folders below ``runs`` that can go too, so that they use nothing.
    """
    cache = workspace.runs / "cache"
    if not cache.is_dir() or cache.is_symlink():
        return
    from gigatok.evaluation.store.features import feature_cache
    from gigatok.evaluation.store.samples import sample_cache, sampling_code

    now, code = feature_cache(workspace).name, sampling_code()
    for path in sorted(cache.glob("features-*/")):
        if _FEATURES.fullmatch(path.name) and path.name != now and not path.is_symlink():
            yield path, "features that another version of the code computed"
    store = sample_cache(workspace)
    entries = [] if store.is_symlink() else sorted(store.glob("*/*/key.json"))
    used = _used_weights(workspace, params, gone) if entries else set()
    for entry in entries:
        key = (json_object_or_none(entry) or {}).get("key")
        if not isinstance(key, dict) or key.get("kind") != "samples":
            continue
        if key.get("code") != code:
            yield entry.parent, "samples that another version of the code drew"
        elif key.get("weights") not in used:
            yield entry.parent, "samples of a generator whose weights are not there"


def study_worker(path: Path) -> str:
    """Who works on a study, as far as this machine can tell; empty: nobody."""
    journal = path / "journal.log" if path.is_dir() else path
    for lock in path.glob("trial-*/runs/.locks/*.lock"):
        owner = living_owner(lock)
        if owner is not None:
            return owner.describe()
    if journal.suffix != ".log" or not journal.is_file():
        return ""
    from gigatok.evaluation.guidance.shared_study import living_workers

    return next((f"process {worker.pid} on {worker.host}" for worker in living_workers(journal)), "")


def _studied(folder: Path) -> set[str]:
    """Tokenizers of a study's trials; empty where that cannot be told for certain."""
    found: set[str] = set()
    for path in folder.glob("trial-*/params.yaml"):
        try:
            values = read_yaml(path, fix="")
        except GigatokError:
            return set()
        tokenizers = values.get("tokenizers") if isinstance(values, dict) else None
        if not isinstance(tokenizers, dict) or not tokenizers:
            return set()
        found |= {str(name) for name in tokenizers}
    return found


def _used_weights(workspace: Workspace, params: Params, gone: Collection[Path]) -> set[str]:
    """SHA-256 of the weights of every generator that stays; where an entry has none, also of all that may come back."""
    folders = [*workspace.runs.glob("generators/*/"), *workspace.runs.glob("studies/*/trial-*/runs/generators/*/")]
    staying = [RunFolder(each) for each in folders if not {each, *each.parents} & set(gone)]
    used = {file_sha256(run.weights_path) for run in staying if run.weights_path.is_file()}
    noted = [noted_outputs(run) for run in staying]
    if not all(workspace.generator(name).weights_path.is_file() for name in params.generators):
        noted += [each.outputs for each in list_trainings(workspace.root)]
        set_aside = [RunFolder(each) for each in workspace.runs.glob(".old/generators-*/")]
        used |= {file_sha256(run.weights_path) for run in set_aside if run.weights_path.is_file()}
    return used | {outputs[_WEIGHTS].sha256 for outputs in noted if _WEIGHTS in outputs}
