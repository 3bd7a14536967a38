"""What a report says of its criteria: since when they stand, and what changed after which runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from gigatok.config import Params
from gigatok.paper.claims.catalogue import Claim, all_claims
from gigatok.paper.claims.criteria import (
    STATEMENTS_KEY,
    TEST_KEY,
    CriteriaRecord,
    criteria_of,
    read_criteria,
)
from gigatok.paper.results.reader import Results

_NAMED = 4
"""Runs that a sentence names, at most."""


def criteria_note(runs_root: Path, params: Params) -> str:
    """One paragraph: since when the criteria stand, and which runs were trained before they did."""
    record = read_criteria(runs_root)
    if record is None:
        return "Criteria: not recorded before these runs ('dvc repro criteria' records them)."
    results, now, last = Results(runs_root, params), criteria_of(params), record.versions[-1].claims
    runs = {claim.key: _runs(claim) for claim in all_claims(params)}
    everything = list(dict.fromkeys(name for names in runs.values() for name in names))
    runs |= {STATEMENTS_KEY: everything, TEST_KEY: everything}
    first, start = record.versions[0].date, record.versions[0].claims
    other = [key for key in now if last.get(key) != now[key]]
    changed = [key for key in now if key not in other and record.since(key) != first]
    unchanged = [key for key in now if key not in other and key not in changed]
    parts = [f"Criteria fixed on {first:%Y-%m-%d}, {_since(unchanged, now)}.", *_late(unchanged, runs, first, results)]
    for since, keys in _by_date(changed, record).items():
        late = _trained_before(_all(keys, runs), since, results)
        after = f", after {_named(late)} had been trained" if late else ", before any of its runs was trained"
        for verb, these in (
            ("changed", [key for key in keys if key in start]),
            ("were first recorded", [key for key in keys if key not in start]),
        ):
            parts += [f"Those of {_keys(these)} {verb} on {since:%Y-%m-%d}{after}."] if these else []
    if other:
        late = _trained_before(_all(other, runs), datetime.max.replace(tzinfo=UTC), results)
        before = f" {_named(late)} had been trained before they stood." if late else ""
        parts.append(
            f"But those of {_keys(other)} are not the recorded ones: run 'dvc repro criteria' to record them.{before}"
        )
    return " ".join(parts)


def _since(unchanged: Sequence[str], now: Mapping[str, str]) -> str:
    if len(unchanged) == len(now):
        return "unchanged since"
    claims = [sum(key not in (STATEMENTS_KEY, TEST_KEY) for key in keys) for keys in (unchanged, now)]
    return f"unchanged since for {claims[0]} of {claims[1]} claims"


def _keys(keys: Sequence[str]) -> str:
    named = {STATEMENTS_KEY: "the statements", TEST_KEY: "the test"}
    return ", ".join(named.get(key, key) for key in keys)


def _by_date(keys: Sequence[str], record: CriteriaRecord) -> dict[datetime, list[str]]:
    found: dict[datetime, list[str]] = {}
    for key in keys:
        found.setdefault(record.since(key), []).append(key)
    return found


def _all(keys: Sequence[str], runs: Mapping[str, Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(name for key in keys for name in runs[key]))


def _late(keys: Sequence[str], runs: Mapping[str, Sequence[str]], since: datetime, results: Results) -> list[str]:
    late = _trained_before(_all(keys, runs), since, results)
    return [f"They were recorded after {_named(late)} had been trained."] if late else []


def _named(runs: Sequence[str]) -> str:
    more = f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else ""
    return ", ".join(runs[:_NAMED]) + more


def _trained_before(names: Sequence[str], since: datetime, results: Results) -> list[str]:
    """Those of the runs whose training had ended before that date."""
    found: dict[str, None] = {}
    for name in names:
        for kind in ("tokenizer", "generator"):
            run = results.run(kind, name)
            trained = [one for each in (run.repeats or (run,)) for one in (each.same_tokens or (each,))]
            ends = [_time(each.provenance.get("finished")) for each in trained if each.sheet]
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
