"""The description that MLflow's pages show of a run: what it is, its recipe, and the command that makes it."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping

from gigatok.tracking.experiments.folder import EXPERIMENT_TAG, STUDY_TAG, TRIAL_TAG
from gigatok.tracking.record import Record

NOTE = "mlflow.note.content"
_OURS = "gigatok.note_sha256"
"""Digest of the description that was written last: whoever has written another one keeps it."""


def run_note(record: Record, name: str) -> str:
    """The description of a tokenizer's or generator's run, in Markdown.

    Args:
        record: what the run reports; what it does not say is left out.
        name: of the model in ``params.yaml``.
    """
    tags = record.tags
    what = "Tokenizer" if record.kind == "tokenizer" else "AR model"
    size = [f"rung {tags['rung']}"] if "rung" in tags else []
    size += [f"size {tags['size']}"] if "size" in tags else []
    size += [f"{record.metrics['parameters']:,.0f} parameters"] if "parameters" in record.metrics else []
    in_brackets = f" ({', '.join(size)})" if size else ""
    lines = [f"**{what} {name}**{in_brackets}{_settings_of(tags)}.", ""]
    if record.kind == "generator" and "tokenizer" in tags:
        lines.append(f"- Trained on the tokens of tokenizer {tags['tokenizer']}.")
    recipe = _recipe(record)
    lines += [f"- Recipe: {', '.join(recipe)}."] if recipe else []
    lines += [f"- Trial {tags[TRIAL_TAG]} of study {tags[STUDY_TAG]}."] if TRIAL_TAG in tags else []
    lines.append(f"- Made by `{_command(record, name)}`.")
    return "\n".join(lines)


def suite_note(record: Record) -> str:
    """The description of the parent run of ``record``'s run: of a suite, a study or an experiment, in Markdown."""
    tags = record.tags
    of_suite = not {"profile", "suite"} <= set(tags) or record.suite_run == f"{tags['profile']}-{tags['suite']}"
    if STUDY_TAG in tags:
        what = f"**Study {tags[STUDY_TAG]}**: trials over settings of tokenizer {tags.get('tokenizer', record.name)}"
    elif EXPERIMENT_TAG in tags and not of_suite:
        what = f"**Experiment {tags[EXPERIMENT_TAG]}** of DVC: its tokenizers and AR models"
    else:
        what = "**All tokenizers and AR models**"
    command = shlex.join(_repro(tags)) if of_suite else _command(record, record.name)
    return "\n".join([
        f"{what}{_settings_of(tags)}, a child run each.",
        "",
        "- Metrics: main scores, as `NAME/METRIC`.",
        f"- Made by `{command}`.",
    ])  # fmt: skip


def note_tags(note: str, tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that describe a run so; none where somebody else has described it.

    Args:
        note: the description.
        tags: those that the run has.
    """
    before = tags.get(NOTE)
    if before is not None and tags.get(_OURS) != _digest(before):
        return {}
    return {NOTE: note, _OURS: _digest(note)}


def _recipe(record: Record) -> list[str]:
    params, tags = record.params, record.tags
    named = {"steps": "{} steps", "batch_size": "batch {}", "optimizer.learning_rate": "learning rate {}",
             "seed": "seed {}", "teacher": "teacher {}"}  # fmt: skip
    weight = params.get("loss.semantic_weight", tags.get("semantic_weight"))
    whose = "" if record.kind == "tokenizer" else " of the tokenizer"
    found = [text.format(params[key]) for key, text in named.items() if key in params]
    return found if weight is None else [*found, f"semantic weight{whose} {weight}"]


def _settings_of(tags: Mapping[str, str]) -> str:
    return f" of profile {tags['profile']}, suite {tags['suite']}" if {"profile", "suite"} <= set(tags) else ""


def _command(record: Record, name: str) -> str:
    tags = record.tags
    if STUDY_TAG in tags:
        return shlex.join(
            ["gigatok-bench", "tune", "tokenizer", tags.get("tokenizer", name), "--study", tags[STUDY_TAG]]
        )
    if EXPERIMENT_TAG in tags:
        return shlex.join(["dvc", "exp", "apply", tags[EXPERIMENT_TAG]])
    return shlex.join([*_repro(tags), f"{tags.get('stage', f'train_{record.kind}')}@{name}"])


def _repro(tags: Mapping[str, str]) -> list[str]:
    given = [word for key in ("profile", "suite") if key in tags for word in (f"--{key}", tags[key])]
    return ["gigatok-bench", "repro", *given]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
