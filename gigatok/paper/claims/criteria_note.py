"""What a report says of its criteria: since when they stand, and what changed after which runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from gigatok.config import Params
from gigatok.paper.claims.catalogue import Claim, all_claims
from gigatok.paper.claims.criteria import criteria_sha256, read_criteria
from gigatok.paper.results.reader import Results

_NAMED = 4
"""Runs that a sentence names, at most."""


def criteria_note(runs_root: Path, params: Params) -> str:
    """One paragraph: since when the criteria stand, and which runs were trained before they did."""
    record = read_criteria(runs_root)
    if record is None:
        return "Criteria: not recorded before these runs ('dvc repro criteria' records them)."
    claims, last = all_claims(params), record.versions[-1].claims
    other = [claim.key for claim in claims if last.get(claim.key) != criteria_sha256(claim)]
    if other:
        return f"Criteria: those of {', '.join(other)} are not the recorded ones: run 'dvc repro criteria'."
    results, first = Results(runs_root, params), record.versions[0].date
    changed = [claim for claim in claims if record.since(claim.key) != first]
    unchanged = [claim for claim in claims if claim not in changed]
    whole = "unchanged since" if not changed else f"unchanged since for {len(unchanged)} of {len(claims)} claims"
    parts = [f"Criteria fixed on {first:%Y-%m-%d}, {whole}.", *_late(unchanged, first, results)]
    for claim in changed:
        since = record.since(claim.key)
        late = _trained_before([claim], since, results)
        after = f", after {_named(late)} had been trained" if late else ", before any of its runs was trained"
        parts.append(f"Those of {claim.key} changed on {since:%Y-%m-%d}{after}.")
    return " ".join(parts)


def _late(claims: Sequence[Claim], since: datetime, results: Results) -> list[str]:
    late = _trained_before(claims, since, results)
    return [f"They were recorded after {_named(late)} had been trained."] if late else []


def _named(runs: Sequence[str]) -> str:
    more = f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else ""
    return ", ".join(runs[:_NAMED]) + more


def _trained_before(claims: Sequence[Claim], since: datetime, results: Results) -> list[str]:
    """Runs of the claims whose training had ended before that date."""
    found: dict[str, None] = {}
    for name in (name for claim in claims for name in _runs(claim)):
        for kind in ("tokenizer", "generator"):
            run = results.run(kind, name)
            ends = [_time(each.provenance.get("finished")) for each in (run.repeats or (run,)) if each.sheet]
            if any(end is not None and end < since for end in ends):
                found[name] = None
    return list(found)


def _runs(claim: Claim) -> list[str]:
    """Names of the runs that a claim rests on."""
    names = [name for each in claim.contrasts for name in (each.left, each.right)]
    names += [point.run for each in claim.correlations for pair in each.pairs for point in pair]
    return list(dict.fromkeys(names))


def _time(value: object) -> datetime | None:
    """A provenance time (unix seconds or ISO text); ``None``: not recorded."""
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
