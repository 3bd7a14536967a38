"""What a study leaves in ``reports/studies``: a page, its figures and its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gigatok.artifacts import write_json, write_text
from gigatok.paper.results.pedigree import short
from gigatok.paper.text import markdown_table, markdown_text

PAGE, DOCUMENT = "README.md", "study.json"


def title_of(document: Mapping[str, Any]) -> str:
    """What a study is called: that of a tokenizer by its name, that of guidance by its generator."""
    return f"Study {document['study']}" if "tokenizer" in document else f"Guidance of {document['generator']}"


def write_tokenizer_study(folder: Path, document: Mapping[str, Any]) -> None:
    """``README.md``, ``study.json``, ``pareto`` and ``settings`` in every format.

    Args:
        document: what the study is (``StudyPlan.about``), ``front`` (numbers of trials), ``trials``.
    """
    from gigatok.paper.studies.figures import write_pareto, write_settings

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / DOCUMENT, document)
    write_pareto(document["trials"], document["front"], folder / "pareto")
    write_settings(document["trials"], folder / "settings")
    head, *body = tokenizer_rows(document)
    text = (
        f"# {markdown_text(title_of(document))}\n\n{markdown_text(_what_ran(document))} `*`: no other trial beats "
        "it in both scores. One training each: differences of a trial to its neighbour may be those of a seed.\n\n"
        "![rFID against AR validation loss](pareto.png)\n\n![each setting against both](settings.png)\n\n"
        f"{markdown_table(head, body, left=2)}\n{_how_to_repeat(document)}"
    )
    write_text(folder / PAGE, text)


def write_guidance_study(folder: Path, document: Mapping[str, Any]) -> None:
    """``README.md``, ``study.json``, ``guidance`` in every format."""
    from gigatok.paper.studies.figures import write_guidance

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / DOCUMENT, document)
    write_guidance(document["trials"], folder / "guidance")
    head = ["scale", "schedule", "start", "samples", "gFID"]
    body = [[f"{each['scale']:g}", each["schedule"], f"{each['start']:g}", str(each["samples"]), f"{each['gfid']:.4g}"]
            for each in document["trials"]]  # fmt: skip
    made = f"commit {_commit(document)}" if document["commit"] else "outside Git"
    text = (
        f"# {title_of(document)}\n\nProfile {document['profile']}, {made}. "
        f"{len(document['trials'])} settings with all samples, {document['given_up']} given up before. "
        "The best of many is better than it will be with other samples.\n\n"
        f"![gFID against the scale](guidance.png)\n\n{markdown_table(head, body, left=2)}\n"
    )
    write_text(folder / PAGE, text)


def _what_ran(document: Mapping[str, Any]) -> str:
    """Sentences: what was trained, how far, for how long, where and from which commit."""
    trials: list[Mapping[str, Any]] = document["trials"]
    done = sum(each["ar_val_loss"] is not None for each in trials)
    given_up = sum(each["state"] == "pruned" for each in trials)
    minutes = sum(each["seconds"] or 0.0 for each in trials) / 60
    commits = dict.fromkeys(_commit(each) for each in trials if each["commit"])
    made = f"from commit {', '.join(commits)}" if commits else "outside Git"
    return (
        f"Profile {document['profile']}, tokenizer {document['tokenizer']}, {document['steps']} steps a trial, AR "
        f"model {document['generator_steps']} steps. {len(trials)} trials, {done} trained to the end, {given_up} "
        f"given up, in {minutes:.1f} minutes on {document['machine']}, {made}."
    )


def _how_to_repeat(document: Mapping[str, Any]) -> str:
    """What was tried, and the command."""
    named = "" if document["study"] == f"tokenizer-{document['tokenizer']}" else f" --study {document['study']}"
    tried = [f"- {name.replace('_', ' ')}: {', '.join(f'{value:g}' for value in values)}"
             for name, values in document["space"].items()]  # fmt: skip
    command = (
        f"gigatok-bench tune tokenizer {document['tokenizer']} --trials {len(document['trials'])} "
        f"--steps {document['steps']} --generator-steps {document['generator_steps']}{named}"
    )
    grids = "\n".join(tried)
    return f"Tried:\n\n{grids}\n\nAll else, and why trials were given up: `study.json`.\n\n```\n{command}\n```\n"


def _commit(made: Mapping[str, Any]) -> str:
    """The first digits of a commit, and ``+`` where there were uncommitted changes."""
    return short(made["commit"]) + ("+" if made["dirty"] else "")


def tokenizer_rows(document: Mapping[str, Any]) -> list[list[str]]:
    """Header and a row a trial, the front first, then by rFID."""
    head = ["", "trial", "rFID", "AR loss", "semantic", "entropy", "rate", "layer", "state"]

    def order(trial: Mapping[str, Any]) -> tuple[bool, bool, float]:
        rfid = trial["rfid"]
        return trial["trial"] not in document["front"], rfid is None, float(rfid or 0)

    body = [
        [
            "*" if each["trial"] in document["front"] else "",
            str(each["trial"]),
            "" if each["rfid"] is None else f"{each['rfid']:.4g}",
            "" if each["ar_val_loss"] is None else f"{each['ar_val_loss']:.4f}",
            f"{each['semantic_weight']:g}",
            f"{each['entropy_weight']:g}",
            f"{each['learning_rate']:g}",
            str(each["alignment_layer"]),
            {"complete": "done", "pruned": "given up"}.get(each["state"], each["state"]),
        ]
        for each in sorted(document["trials"], key=order)
    ]
    return [head, *body]
