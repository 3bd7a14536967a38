"""The page of a study: the front first, figures beside it, nothing invented for trials that were given up."""

from pathlib import Path
from typing import Any

from gigatok.paper.studies.page import tokenizer_rows, write_guidance_study, write_tokenizer_study


def trial(number: int, rfid: float | None, loss: float | None, **more: Any) -> dict[str, Any]:
    settings = {"semantic_weight": 0.25 * number, "entropy_weight": 0.0, "learning_rate": 1e-3, "alignment_layer": 1}
    made = {"seconds": 90.0, "commit": "0123456789abcdef", "dirty": True}
    return {"trial": number, "state": "complete", **settings, "rfid": rfid, "ar_val_loss": loss, **made, **more}


TRIALS = [trial(0, 9.0, 3.0), trial(1, 8.0, 3.5), trial(2, 9.5, 3.6), trial(3, None, None, state="pruned")]
ABOUT = {
    "study": "s", "tokenizer": "S-S", "profile": "nano", "steps": 12, "generator_steps": 8, "machine": "x86_64 Linux",
    "space": {"semantic_weights": [0.0, 0.25], "alignment_layers": [1, 2]},
}  # fmt: skip
DOCUMENT = {**ABOUT, "front": [0, 1], "trials": TRIALS}


def test_the_front_comes_first_and_gaps_stay_gaps(tmp_path: Path) -> None:
    write_tokenizer_study(tmp_path, DOCUMENT)
    rows = tokenizer_rows(DOCUMENT)
    assert [row[:4] for row in rows[1:]] == [
        ["*", "1", "8", "3.5000"],
        ["*", "0", "9", "3.0000"],
        ["", "2", "9.5", "3.6000"],
        ["", "3", "", ""],
    ]
    assert rows[-1][-1] == "given up"
    text = (tmp_path / "README.md").read_text()
    assert "4 trials, 3 trained to the end, 1 given up, in 6.0 minutes on x86_64 Linux, " in text
    assert "from commit 0123456789ab+. " in text
    assert "- semantic weights: 0, 0.25\n- alignment layers: 1, 2\n" in text
    assert "tune tokenizer S-S --trials 4 --steps 12 --generator-steps 8 --study s\n" in text
    for name in ("pareto.png", "settings.png", "study.json"):
        assert (tmp_path / name).stat().st_size > 300


def test_a_study_without_a_finished_trial_has_a_page_too(tmp_path: Path) -> None:
    write_tokenizer_study(tmp_path, {**DOCUMENT, "front": [], "trials": TRIALS[3:]})
    assert "1 trials, 0 trained to the end" in (tmp_path / "README.md").read_text()


def test_guidance_is_drawn_by_schedule(tmp_path: Path) -> None:
    trials = [
        {"scale": scale, "schedule": schedule, "start": 0.0, "samples": 36, "gfid": 10 - scale}
        for schedule in ("constant", "linear")
        for scale in (1.5, 2.0)
    ]
    write_guidance_study(tmp_path, {
        "generator": "S-S", "profile": "nano", "commit": None, "dirty": None, "best": trials[-1], "given_up": 2,
        "trials": trials,
    })  # fmt: skip
    text = (tmp_path / "README.md").read_text()
    assert "Profile nano, outside Git. 4 settings with all samples, 2 given up before" in text
    assert (tmp_path / "guidance.png").stat().st_size > 300
