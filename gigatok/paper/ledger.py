"""The paper's claims as checked statements over our numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from gigatok.artifacts import Score, write_bytes
from gigatok.config import Params
from gigatok.evaluation.metrics.names import ENCODER_PROBE, encoder_probe_at
from gigatok.paper.columns import PAPER_GFID, find
from gigatok.paper.departures import has_adversary
from gigatok.paper.findings import Contrast, Correlation, Finding, Point, Reader, Verdict, compare, correlate
from gigatok.paper.matrix import DURATIONS, PROBED, TABLES, checkpoints, duration_name
from gigatok.paper.measured import scale
from gigatok.paper.scaling_table import markdown_table
from gigatok.paper.seeds import read_repeated


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper and the comparisons that must all hold."""

    key: str
    text: str
    contrasts: tuple[Contrast, ...] = ()
    correlations: tuple[Correlation, ...] = ()
    caveat: str = ""
    """What else than the claim's cause these runs differ in, or share."""


@dataclass(frozen=True)
class Entry:
    """A claim as found."""

    claim: Claim
    verdict: Verdict
    findings: tuple[Finding, ...]


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
        "A small AR model foretells how tokenizers compare under a large one (figure 6).",
        correlations=(
            _small_and_large(PAPER_GFID, "gFID, guided", "R2 0.99"),
            _small_and_large("linear_probe_accuracy", "Linear probe", "R2 0.80"),
        ),
    ),
)
"""Claims whose runs are the same in every profile; ``all_claims`` has the others too."""

TEST = (
    "two scores differ when their 95% intervals do not overlap. A correlation counts when its scores' intervals leave "
    "it on one side of the bound and a one-sided test at 5% does, too: so few pairs are seldom that far out by chance. "
    "A claim is confirmed when all its comparisons are, contradicted when one is. Without intervals a comparison is "
    "inconclusive, whatever its sign. At proxy scale a verdict is about the proxy alone, not about the paper."
)
"""How claims are judged, in words."""

FIGURE_6_R = 0.80**0.5
"""Correlation with which a small AR model's probe foretells the large one's in the paper."""


def all_claims(params: Params) -> tuple[Claim, ...]:
    """Every claim that runs of the suite can speak about."""
    caveats = {"longer-training": _adversary_caveat(params), "entropy-loss": _restart_caveat(params)}
    found = (*CLAIMS[:2], decoder_claim(params), *CLAIMS[2:], encoder_probe_claim(params))
    return tuple(replace(claim, caveat=caveats.get(claim.key, claim.caveat)) for claim in found)


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

    "Does not foretell" needs a measure of foretelling: what the small AR model's probe reaches in figure 6.
    """
    correlations = []
    for name in (each for each in PROBED if each in params.tokenizers):
        pairs = [
            (Point(name, encoder_probe_at(step)), Point(f"{name}-step{step}", "linear_probe_accuracy"))
            for step in checkpoints(params, name)
        ]
        pairs.append((Point(name, ENCODER_PROBE), Point(name, "linear_probe_accuracy")))
        text = f"the encoder's probe foretells the AR model's over checkpoints of {name} worse than R2 0.80"
        correlations.append(Correlation(text, tuple(pairs), "<", bound=FIGURE_6_R))
    return Claim(
        "encoder-probe",
        "A linear probe of the tokenizer's own encoder does not foretell the AR model on its tokens (figure 13).",
        correlations=tuple(correlations),
    )


def check_claims(runs_root: Path, params: Params) -> list[Entry]:
    """Every claim against the runs that are there."""

    def score(name: str, metric: str) -> Score | None:
        for kind in ("tokenizer", "generator"):
            run = read_repeated(runs_root, "tokenizer" if kind == "tokenizer" else "generator", name, params)
            named = {each.metric: each for each in run.scores}
            if metric in (PAPER_GFID, "ar_val_loss", "linear_probe_accuracy") and kind == "tokenizer":
                continue
            found = find(named, metric)
            if found:
                return named[found]
        return None

    return [_entry(claim, score) for claim in all_claims(params)]


def contradictions(entries: list[Entry]) -> list[Entry]:
    """What ``verify --strict`` fails on: a claim contradicted beyond its intervals."""
    return [entry for entry in entries if entry.verdict == "contradicted"]


def ledger_markdown(entries: list[Entry], params: Params) -> str:
    """``claims.md``: one row a claim, then every comparison with its numbers."""
    rows = [[entry.claim.key, entry.claim.text, entry.verdict, _tally(entry), scale(params)] for entry in entries]
    parts = [
        "# Claims of the paper, checked over our numbers\n",
        f"Test: {TEST}\n",
        f"Seeds: {seeds_note(params)}\n",
        markdown_table(["Claim", "What the paper says", "Verdict", "Comparisons", "Scale"], rows, left=5),
    ]
    for entry in entries:
        parts.append(f"## {entry.claim.key}\n")
        parts += [f"Mind that {entry.claim.caveat}.\n"] if entry.claim.caveat else []
        parts += [f"- {finding.verdict}: {finding.text}" for finding in entry.findings]
        parts.append("")
    return "\n".join(parts)


def seeds_note(params: Params) -> str:
    """Over what the intervals are."""
    several = [name for name, entry in params.tokenizers.items() if len(entry.seeds) > 1]
    one = (
        "every run was trained with one seed. Its intervals hold which images were scored, not what another training "
        f"would give; for that: `gigatok-bench profile {params.profile} --suite {params.suite} --seeds 0,1,2`."
    )
    if not several:
        return one[0].upper() + one[1:]
    return f"{', '.join(several)} have means over several trainings, with Student's t intervals; of the others {one}"


def write_ledger(runs_root: Path, params: Params, path: Path) -> list[Entry]:
    """Check all claims and write ``claims.md``."""
    entries = check_claims(runs_root, params)
    write_bytes(path, ledger_markdown(entries, params).encode())
    return entries


def _entry(claim: Claim, score: Reader) -> Entry:
    findings = tuple(compare(contrast, score) for contrast in claim.contrasts)
    findings += tuple(correlate(each, score) for each in claim.correlations)
    verdicts = {finding.verdict for finding in findings}
    if "contradicted" in verdicts:
        return Entry(claim, "contradicted", findings)
    if "not run" in verdicts:
        return Entry(claim, "not run", findings)
    return Entry(claim, "inconclusive" if "inconclusive" in verdicts else "confirmed", findings)


def _tally(entry: Entry) -> str:
    run = [finding for finding in entry.findings if finding.effect is not None]
    agree = sum(_on_the_papers_side(finding) for finding in run)
    return f"{agree} of {len(entry.findings)} on the paper's side" if run else "none run"


def _on_the_papers_side(finding: Finding) -> bool:
    """Whether the effect, whatever its interval, lies where the paper says."""
    bound = finding.contrast.bound if isinstance(finding.contrast, Correlation) else 0.0
    effect = finding.effect or 0.0
    return effect < bound if finding.contrast.direction == "<" else effect > bound
