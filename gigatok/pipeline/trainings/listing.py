"""Every training of a project: under its name, set aside in ``runs/.old``, or known by its provenance alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from gigatok.artifacts import Digests, RunFolder, RunIdentity, ScoreSheet, Workspace, read_journal
from gigatok.artifacts.outputs.digests import outputs_in
from gigatok.config import ConfigError, GigatokError
from gigatok.config.reading import json_object_or_none
from gigatok.pipeline.naming import suggestions

KINDS = ("tokenizers", "generators")
MAIN_SCORES = {"tokenizers": ("rfid", "psnr"), "generators": ("gfid", "ar_val_loss")}
"""Which scores a line shows."""
_FEWEST_DIGITS = 4
State = Literal["finished", "unfinished", "set aside", "in cache"]


class Training:
    """One training. Its folder may be gone: ``runs/.finished`` remembers what it was, DVC's cache its files."""

    def __init__(self, place: str, kind: str, name: str, folder: Path | None, known: Mapping[str, Any]) -> None:
        """Describe one.

        Args:
            place: how to name it: its path below ``runs``.
            kind: ``tokenizers`` or ``generators``.
            name: of the model.
            folder: where its files are; ``None``: in DVC's cache.
            known: content of its ``provenance.json``.
        """
        self.place, self.kind, self.name, self.folder, self.known = place, kind, name, folder, known

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of settings, inputs and code; empty where nothing says."""
        return str(self.known.get("fingerprint", ""))

    @property
    def identity(self) -> RunIdentity | None:
        """Settings, inputs and code; ``None`` for runs of versions that did not record them."""
        return RunIdentity.read(self.known.get("identity"))

    @property
    def finished(self) -> bool:
        """Whether all its steps were made and its files written."""
        return self.known.get("complete") is True

    @property
    def state(self) -> State:
        """Where it stands."""
        if self.folder is None:
            return "in cache"
        if self.folder.parent.name == ".old":
            return "set aside"
        return "finished" if self.finished else "unfinished"

    @property
    def number(self) -> int:
        """Which of its name's set-aside runs it is, the last one has the highest; 0: it is none."""
        return int(self.place.rpartition("-")[2]) if self.state == "set aside" else 0

    @property
    def when(self) -> str:
        """Its end or, unfinished, its beginning: ISO 8601, UTC; empty where nothing says."""
        return str(self.known.get("finished") or self.known.get("started") or "")

    @property
    def seconds(self) -> float | None:
        """Training time, all sessions together; ``None`` before the end."""
        value = self.known.get("seconds")
        return float(value) if isinstance(value, int | float) else None

    @cached_property
    def steps(self) -> int:
        """Updates made: the setting of a finished run, else the journal's last step."""
        total = self.total_steps
        if self.finished and total:
            return total
        if self.folder is None:
            return 0
        return max((point.step for point in read_journal(RunFolder(self.folder).journal_path)), default=0)

    @property
    def total_steps(self) -> int | None:
        """Updates that were asked for."""
        settings = self.identity.settings if self.identity else {}
        found = settings.get(f"train_{self.kind.removesuffix('s')}.steps")
        return found if isinstance(found, int) else None

    @cached_property
    def sheet(self) -> ScoreSheet | None:
        """Its scores; ``None``: not scored, or the sheet cannot be read."""
        if self.folder is None:
            return None
        try:
            return ScoreSheet.read(RunFolder(self.folder).summary_path)
        except GigatokError:
            return None

    @cached_property
    def curves(self) -> dict[str, list[tuple[int, float]]]:
        """Logged values by name, from ``curves.json`` or, unfinished, the journal."""
        if self.folder is None:
            return {}
        run = RunFolder(self.folder)
        stored = _json(run.curves_path)
        if stored or (self.finished and run.curves_path.is_file()):  # empty: they are lost, and the journal not theirs
            return {name: [(int(x), float(y)) for x, y in points] for name, points in stored.items()}
        found: dict[str, dict[int, float]] = {}
        for point in read_journal(run.journal_path):
            found.setdefault(point.name, {})[point.step] = point.value
        return {name: sorted(points.items()) for name, points in found.items()}

    @property
    def outputs(self) -> dict[str, Digests]:
        """Hashes of its files, by path inside its folder."""
        return outputs_in(self.known)

    def main_scores(self) -> dict[str, float]:
        """The scores of a line: metric (without its extractor) to value."""
        sheet = self.sheet
        if sheet is None:
            return {}
        found = ((key, value) for metric, value in sheet.values().items() for key in MAIN_SCORES[self.kind]
                 if metric.partition("/")[0] == key)  # fmt: skip
        return dict(found)

    def as_json(self) -> dict[str, Any]:
        """What ``runs --json`` prints of it."""
        return {
            "run": self.place,
            "kind": self.kind.removesuffix("s"),
            "name": self.name,
            "state": self.state,
            "when": self.when or None,
            "steps": self.steps,
            "total_steps": self.total_steps,
            "seconds": self.seconds,
            "commit": self.known.get("commit"),
            "dirty": self.known.get("dirty"),
            "fingerprint": self.fingerprint or None,
            "scores": self.sheet.values() if self.sheet else {},
        }


def list_trainings(root: Path) -> list[Training]:
    """All trainings of the project, the newest first within each name."""
    runs = Workspace(root).runs
    found = [*_present(runs), *_set_aside(runs)]
    here = {each.fingerprint for each in found if each.finished}
    found += [each for each in _remembered(runs) if each.fingerprint not in here]
    order = sorted(found, key=lambda each: each.when, reverse=True)
    return sorted(order, key=lambda each: (KINDS.index(each.kind), each.name))


def find_training(root: Path, given: str) -> Training:
    """The training that ``given`` names: a place (``tokenizers/S-S``), a tokenizer's or generator's name, or the first
    digits of a fingerprint. A name that both have is the tokenizer's.

    Raises:
        ConfigError: none, or several.
    """
    return trainings_that_fit(list_trainings(root), given)[0]


def find_pair(root: Path, left: str, right: str) -> tuple[Training, Training]:
    """Two trainings as ``find_training`` finds them, of one kind where the names allow it.

    A name that a tokenizer and a generator have is of the kind of the other training.

    Raises:
        ConfigError: one of them fits none, or several.
    """
    every = list_trainings(root)
    lefts, rights = trainings_that_fit(every, left), trainings_that_fit(every, right)
    pairs = [(one, two) for one in lefts for two in rights]
    return next((pair for pair in pairs if pair[0].kind == pair[1].kind), pairs[0])


def trainings_that_fit(every: Sequence[Training], given: str) -> list[Training]:
    """What ``given`` names: one training or, by a name that both have, a tokenizer and a generator in this order.

    Raises:
        ConfigError: it fits nothing, or several fingerprints.
    """
    exact = [each for each in every if each.place == given]
    plain = [each for each in every if each.name == given and each.state in ("finished", "unfinished")]
    digits = [each for each in every if len(given) >= _FEWEST_DIGITS and each.fingerprint.startswith(given)]
    found = exact or plain or digits
    if not found:
        near = suggestions(given, (each.place for each in every), "'gigatok-bench runs'")
        raise ConfigError(f"run {given!r} is unknown: {near}")
    if found is digits and len({each.place for each in found}) > 1:
        near = suggestions(given, (each.place for each in found), "'gigatok-bench runs'")
        raise ConfigError(f"run {given!r} fits several, name one: {near}")
    return found


def _present(runs: Path) -> Iterator[Training]:
    for kind in KINDS:
        for folder in sorted((runs / kind).glob("*/")):
            known = _json(folder / "provenance.json")
            if known or (folder / "config.json").exists() or (folder / "metrics.jsonl").exists():
                yield Training(f"{kind}/{folder.name}", kind, folder.name, folder, known)


def _set_aside(runs: Path) -> Iterator[Training]:
    for folder in sorted((runs / ".old").glob("*-*/")):
        kind, _, rest = folder.name.partition("-")
        name, _, number = rest.rpartition("-")
        if kind in KINDS and name and number.isdecimal():
            yield Training(f".old/{folder.name}", kind, name, folder, _json(folder / "provenance.json"))


def _remembered(runs: Path) -> Iterator[Training]:
    """Finished trainings by their provenance alone; it does not say the name, its weights' shape says the kind."""
    for path in sorted((runs / ".finished").glob("*.json")):
        known = _json(path)
        identity = RunIdentity.read(known.get("identity"))
        if identity is None:
            continue
        kind = "generators" if any(name.startswith("train_generator.") for name in identity.settings) else "tokenizers"
        yield Training(f".finished/{path.stem}", kind, "?", None, known)


def _json(path: Path) -> dict[str, Any]:
    return json_object_or_none(path) or {}
