"""Scores of fake runs that were measured in another way."""

from __future__ import annotations

from pathlib import Path

from gigatok.artifacts import ScoreSheet


def remeasure(folder: Path, metric: str, **protocol: object) -> None:
    """Change the protocol of a run's score."""
    sheet = ScoreSheet.read(folder / "summary.json")
    scores = [
        score.replace(protocol=score.protocol.replace(**protocol)) if score.metric.split("/")[0] == metric else score
        for score in sheet.scores
    ]
    sheet.model_copy(update={"scores": tuple(scores)}).write(folder / "summary.json")
