"""What lay in a model's place before: the run that was set aside last."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from gigatok.config import ConfigError
from gigatok.pipeline.trainings.comparison import ScorePair, compare_scores
from gigatok.pipeline.trainings.listing import MAIN_SCORES, Training, list_trainings, trainings_that_fit

_FEWEST = 4
"""Digits that name a commit."""
_SHOWN = 4


def find_with_previous(root: Path, given: str) -> tuple[Training, Training]:
    """The training that ``given`` names, and the one that its name had before.

    Of a tokenizer and a generator of that name it is the tokenizer, unless the generator alone has a set-aside run.

    Args:
        root: the project.
        given: see ``find_training``.

    Raises:
        ConfigError: ``given`` fits none or several, or nothing of its name was set aside.
    """
    every = list_trainings(root)
    fitting = trainings_that_fit(every, given)
    for training in fitting:
        before = previous(every, training)
        if before is not None:
            return training, before
    raise ConfigError(f"run {fitting[0].place}: no other run of its name was set aside: name a second one")


def find_with_run_before(root: Path, given: str, moment: str) -> tuple[Training, Training]:
    """The training that ``given`` names, and the one that was current under its name before ``moment``.

    Args:
        root: the project.
        given: see ``find_training``.
        moment: a date or time in ISO 8601, UTC unless it says otherwise, or a commit: its run, or the run that was
            current when it was made.

    Raises:
        ConfigError: ``given`` fits none or several; ``moment`` is neither; or its name has no earlier run.
    """
    every = list_trainings(root)
    training = trainings_that_fit(every, given)[0]
    others = [each for each in every if (each.kind, each.name) == (training.kind, training.name) and each.finished
              and each.place != training.place and _parsed(each.when) is not None]  # fmt: skip
    end = _parsed(moment)
    if end is None:
        made = [each for each in others if len(moment) >= _FEWEST and str(each.known.get("commit")).startswith(moment)]
        if made:
            return training, max(made, key=lambda each: each.when)
        end = _time_of_commit(root, moment)
    if end is None:
        raise ConfigError(f"--before {moment!r} is no date (2026-11-20, 2026-11-20T08:30) and no commit of the project")
    before = [each for each in others if (_parsed(each.when) or end) < end]
    if not before:
        ended = ", ".join(each.when[:16] for each in others[:_SHOWN]) or "no run"
        raise ConfigError(f"run {training.place}: no other run of its name ended before {moment}: there is {ended}")
    return training, max(before, key=lambda each: each.when)


def _parsed(text: str) -> datetime | None:
    """A date or time; without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _time_of_commit(root: Path, name: str) -> datetime | None:
    """When a commit was made; ``None``: there is none of this name."""
    words = ["git", "-C", str(root), "show", "--no-patch", "--format=%cI", "--end-of-options", f"{name}^{{commit}}"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return _parsed(done.stdout.strip())


def all_with_previous(root: Path) -> list[tuple[Training, Training]]:
    """Each model's run and the one that its name had before; models of which none was set aside are left out."""
    every = list_trainings(root)
    present = (each for each in every if each.state in ("finished", "unfinished"))
    return [(each, before) for each in present if (before := previous(every, each)) is not None]


def previous(every: Sequence[Training], training: Training) -> Training | None:
    """The run of its name that was set aside last, a finished one where there is any; ``None``: there is no other."""
    aside = [each for each in every if each.state == "set aside" and each.place != training.place
             and (each.kind, each.name) == (training.kind, training.name)]  # fmt: skip
    return max(aside, key=lambda each: (each.finished, each.number), default=None)


def main_score_pairs(left: Training, right: Training) -> dict[str, ScorePair]:
    """The scores of a line of ``runs`` side by side: metric without its extractor to both scores and the verdict.

    Of several extractors, the last one that both were scored with.
    """
    found = sorted(compare_scores(left, right), key=lambda pair: pair.verdict != "only one")
    return {key: pair for key in MAIN_SCORES[left.kind] for pair in found if pair.metric.partition("/")[0] == key}
