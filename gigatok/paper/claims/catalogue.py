"""The paper's claims and the comparisons that must all hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from gigatok.config import RUNGS, Params
from gigatok.config.experiments import (
    DURATIONS,
    LAYOUT_SIZES,
    PROBED,
    checkpoints,
    duration_name,
    has_adversary,
    in_2d,
)
from gigatok.evaluation.metrics.names import ENCODER_PROBE, encoder_probe_at
from gigatok.paper.claims.comparisons import Contrast, Correlation, Point
from gigatok.paper.results.metrics import PAPER_GFID
from gigatok.paper.results.statistics import LEVEL, POWER
from gigatok.paper.tables.specs import TABLES


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper and the comparisons that must all hold."""

    key: str
    text: str
    contrasts: tuple[Contrast, ...] = ()
    correlations: tuple[Correlation, ...] = ()
    level: float = LEVEL
    """Two-sided chance of a false alarm among all comparisons."""
    correction: Literal["holm"] = "holm"
    """Level of the p-values, over all comparisons."""
    power: float = POWER
    """At which the smallest detectable difference is stated."""
    caveat: str = ""
    """What else than the claim's cause these runs differ in, or share."""

    @property
    def comparisons(self) -> tuple[Contrast | Correlation, ...]:
        """All of them, in the order shown."""
        return (*self.contrasts, *self.correlations)


_SIZES = ("S-S", "S-L", "B-L")


def _small_and_large(metric: str, label: str, paper: str) -> Correlation:
    pairs = tuple((Point(name, metric), Point(f"{name}-GPT-XL", metric)) for name in _SIZES)
    return Correlation(f"{label} of the small AR model rises with that of the large one", pairs, ">", paper=paper)


CLAIMS = (
    Claim(
        "dilemma",
        "Without semantic regularization a larger tokenizer reconstructs better but generates worse (figure 3).",
        (
            Contrast("rfid", "B-L-no-sem", "<", "S-S-no-sem"),
            Contrast(PAPER_GFID, "B-L-no-sem", ">", "S-S-no-sem"),
            Contrast("ar_val_loss", "B-L-no-sem", ">", "S-S-no-sem"),
        ),
    ),
    Claim(
        "cure",
        "With semantic regularization generation improves with size too, and beats equal sizes without (figure 7).",
        (
            Contrast("rfid", "B-L", "<", "S-S"),
            Contrast(PAPER_GFID, "B-L", "<", "S-S"),
            Contrast(PAPER_GFID, "XL-XXL", "<", "S-S"),
            Contrast("linear_probe_accuracy", "B-L", ">", "S-S"),
            *(Contrast(PAPER_GFID, name, "<", f"{name}-no-sem") for name in _SIZES),
        ),
    ),
    Claim(
        "one-dimensional",
        "1D tokenizers reconstruct better than 2D ones and serve the linear probe better (figure 9).",
        tuple(
            contrast
            for name in ("S-S", "S-B", "B-L")
            for contrast in (
                Contrast("rfid", name, "<", f"{name}-2d"),
                Contrast("linear_probe_accuracy", name, ">", f"{name}-2d"),
            )
        ),
    ),
    Claim(
        "layer-3",
        "Aligning decoder layer 3 balances reconstruction (best rFID) and probing (table 5).",
        (
            Contrast("rfid", "S-S", "<", "S-S-layer2"),
            Contrast("rfid", "S-S", "<", "S-S-layer4"),
            Contrast("linear_probe_accuracy", "S-S", ">", "S-S-layer4"),
        ),
    ),
    Claim(
        "weight-050",
        "Weight 0.5 reconstructs best; a larger one serves the probe better than a smaller one (table 7).",
        (
            *(Contrast("rfid", "S-S", "<", f"S-S-weight{weight}") for weight in ("025", "075", "100")),
            Contrast("linear_probe_accuracy", "S-S-weight100", ">", "S-S-weight025"),
        ),
    ),
    Claim(
        "entropy-loss",
        "Without the entropy loss the largest tokenizer uses fewer codes and reconstructs worse (figure 5).",
        (
            Contrast("codebook_usage", "XL-XXL", ">", "XL-XXL-no-entropy"),
            Contrast("rfid", "XL-XXL", "<", "XL-XXL-no-entropy"),
        ),
    ),
    Claim(
        "longer-training",
        "Longer training keeps improving reconstruction; without regularization tokens become harder to model and "
        "generation degrades in the end (figure 12).",
        (
            Contrast("rfid", "S-S-120pct", "<", "S-S-40pct"),
            Contrast("rfid", "S-S-120pct-no-sem", "<", "S-S-40pct-no-sem"),
            Contrast(PAPER_GFID, "S-S-120pct-no-sem", ">", "S-S-no-sem"),
            Contrast("ar_val_loss", "S-S-120pct-no-sem", ">", "S-S-40pct-no-sem"),
        ),
    ),
    Claim(
        "ar-probing",
        "A small AR model predicts how tokenizers compare under a large one (figure 6).",
        correlations=(
            _small_and_large(PAPER_GFID, "gFID, guided", "R2 0.99"),
            _small_and_large("linear_probe_accuracy", "Linear probe", "R2 0.80"),
        ),
    ),
)
"""Claims whose runs are the same in every profile; ``all_claims`` has the others too."""


FIGURE_6_R = 0.80**0.5
"""Correlation with which a small AR model's probe predicts the large one's in the paper."""


def all_claims(params: Params) -> tuple[Claim, ...]:
    """Every claim that runs of the suite can speak about."""
    caveats = {
        "cure": largest_caveat(params),
        "one-dimensional": _stem_caveat(params),
        "longer-training": _adversary_caveat(params),
        "entropy-loss": _restart_caveat(params),
    }
    found = (*CLAIMS[:2], decoder_claim(params), *CLAIMS[2:], encoder_probe_claim(params))
    return tuple(replace(claim, caveat=caveats.get(claim.key, claim.caveat)) for claim in found)


def largest_caveat(params: Params) -> str:
    """The largest size has a loss that the smallest has not: their difference is of both."""
    smallest, *_, largest = RUNGS.values()
    weights = [
        params.tokenizer_training(name).loss.entropy_weight if name in params.tokenizers else None
        for name in (smallest, largest)
    ]
    if None in weights or weights[0] == weights[1]:
        return ""
    return f"of these sizes {largest} alone has the entropy loss, as in the paper: it differs from {smallest} in both"


def _stem_caveat(params: Params) -> str:
    """The 2D tokenizers' CNN may go to fewer positions, so that they have no more tokens."""
    pairs = [(name, in_2d(name)) for name in LAYOUT_SIZES]
    known = [pair for pair in pairs if all(name in params.tokenizers for name in pair)]
    grids = {tuple(params.tokenizer_model(name, alignment_dim=1).grid for name in pair) for pair in known}
    return "; ".join(
        f"the CNN of the 2D tokenizers ends at {flat} x {flat} positions, one a token, that of the 1D ones at "
        f"{line} x {line}"
        for line, flat in sorted(grids)
        if line != flat
    )


def _adversary_caveat(params: Params) -> str:
    """Durations that end before the adversary starts are another recipe, not only a shorter one."""
    names = [duration_name(percent, semantic) for percent in DURATIONS for semantic in (True, False)]
    known = [params.tokenizer_training(name) for name in names if name in params.tokenizers]
    steps = {each.steps for each in known}
    without = sorted({each.steps for each in known if not has_adversary(each)})
    if not without or set(without) == steps:
        return ""
    start = params.train_tokenizer.loss.discriminator.start_step
    listed = ", ".join(f"{each:,}" for each in without)
    return f"runs of {listed} steps end before the adversary starts (step {start:,}), the longer ones do not"


def _restart_caveat(params: Params) -> str:
    until = params.train_tokenizer.codebook_restart.until_step
    if not until:
        return ""
    return f"until step {until:,} dead codes are restarted in both runs, which the paper does not do"


def decoder_claim(params: Params) -> Claim:
    """Table 2's, over the runs of its own rows: at paper scale its S-B is trained as long as its B-S."""
    table = next(spec for spec in TABLES if spec.number == 2)
    (decoder, _), (encoder, _) = (
        line.runs(params) for label in ("S-B", "B-S") for line in table.lines if line.label == label
    )
    contrasts = tuple(Contrast(metric, decoder, "<", encoder) for metric in ("rfid", PAPER_GFID))
    return Claim(
        "decoder-over-encoder", "Scaling the decoder helps more than scaling the encoder (table 2).", contrasts
    )


def encoder_probe_claim(params: Params) -> Claim:
    """Figure 13's, over the checkpoints of each tokenizer.

    "Does not predict" needs a measure of prediction: what the small AR model's probe reaches in figure 6.
    """
    correlations = []
    for name in (each for each in PROBED if each in params.tokenizers):
        pairs = [
            (Point(name, encoder_probe_at(step)), Point(f"{name}-step{step}", "linear_probe_accuracy"))
            for step in checkpoints(params, name)
        ]
        pairs.append((Point(name, ENCODER_PROBE), Point(name, "linear_probe_accuracy")))
        text = f"the encoder's probe predicts the AR model's over checkpoints of {name} worse than R2 0.80"
        correlations.append(Correlation(text, tuple(pairs), "<", bound=FIGURE_6_R, one_run=True))
    return Claim(
        "encoder-probe",
        "A linear probe of the tokenizer's own encoder does not predict the AR model on its tokens (figure 13).",
        correlations=tuple(correlations),
    )
