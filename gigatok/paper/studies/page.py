"""What a study leaves in ``reports/studies``: a page, its figures and its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gigatok.artifacts import write_json, write_text
from gigatok.paper.text import markdown_table


def write_tokenizer_study(folder: Path, document: Mapping[str, Any]) -> None:
    """``README.md``, ``study.json``, ``pareto`` and ``settings`` in every format."""
    from gigatok.paper.studies.figures import write_pareto, write_settings

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "study.json", document)
    write_pareto(document["trials"], document["front"], folder / "pareto")
    write_settings(document["trials"], folder / "settings")
    head, *body = tokenizer_rows(document)
    done = sum(each["ar_val_loss"] is not None for each in document["trials"])
    text = (
        f"# Study {document['study']}\n\n"
        f"Tokenizer {document['tokenizer']}, {document['steps']} steps a trial, AR model {document['generator_steps']} "
        f"steps. {len(document['trials'])} trials, {done} trained to the end. `*`: no other trial beats it in both "
        "scores. One training each: differences of a trial to its neighbour may be those of a seed.\n\n"
        "![rFID against AR validation loss](pareto.png)\n\n![each setting against both](settings.png)\n\n"
        f"{markdown_table(head, body, left=2)}\n"
    )
    write_text(folder / "README.md", text)


def write_guidance_study(folder: Path, document: Mapping[str, Any]) -> None:
    """``README.md``, ``study.json``, ``guidance`` in every format."""
    from gigatok.paper.studies.figures import write_guidance

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "study.json", document)
    write_guidance(document["trials"], folder / "guidance")
    head = ["scale", "schedule", "start", "samples", "gFID"]
    body = [[f"{each['scale']:g}", each["schedule"], f"{each['start']:g}", str(each["samples"]), f"{each['gfid']:.4g}"]
            for each in document["trials"]]  # fmt: skip
    text = (
        f"# Guidance of {document['generator']}\n\n{len(document['trials'])} settings with all samples, "
        f"{document['given_up']} given up before. The best of many is better than it will be with other samples.\n\n"
        f"![gFID against the scale](guidance.png)\n\n{markdown_table(head, body, left=2)}\n"
    )
    write_text(folder / "README.md", text)


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
