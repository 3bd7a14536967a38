"""Which runs a claim rests on, and the commands that make just those."""

from __future__ import annotations

from gigatok.config import Params
from gigatok.paper.claims.catalogue import Claim
from gigatok.paper.claims.comparisons import Contrast
from gigatok.paper.report.summary.costs import Needs, with_repeats
from gigatok.paper.results.metrics import owner
from gigatok.paper.results.run import suite_full


def claim_needs(claim: Claim) -> Needs:
    """The runs whose scores a claim compares, in the order of its comparisons."""
    found: Needs = {}
    for each in claim.comparisons:
        if isinstance(each, Contrast):
            spots = [(each.left, each.metric), (each.right, each.metric)]
        else:
            spots = [(point.run, point.metric) for pair in each.pairs for point in pair]
        for name, metric in spots:
            found[owner(metric), name] = None
    return found


def tokenizers_of(claim: Claim, params: Params) -> list[str]:
    """Tokenizers whose scores, or whose generators' scores, a claim compares."""
    names = [
        params.generators[name].tokenizer if kind == "generator" and name in params.generators else name
        for kind, name in claim_needs(claim)
    ]
    return list(dict.fromkeys(names))


def command(claim: Claim, params: Params) -> list[str]:
    """Commands that make the runs of a claim and no others, one a line."""
    needs = with_repeats(claim_needs(claim), params)
    targets = [f"evaluate_{kind}@{name}" for kind, name in needs]
    first = [] if _are_there(needs, params) else [suite_full(params)]
    return [*first, f"gigatok-bench repro {' '.join(targets)}"]


def seeds_command(claim: Claim, params: Params, seeds: str = "0,1,2") -> list[str]:
    """Commands that train the tokenizers of a claim once with each seed."""
    suite = params.suite if _are_there(claim_needs(claim), params) else "full"
    only = ",".join(tokenizers_of(claim, params))
    return [f"gigatok-bench profile {params.profile} --suite {suite} --seeds {seeds} --only {only}", "make repro"]


def _are_there(needs: Needs, params: Params) -> bool:
    return all(name in (params.tokenizers if kind == "tokenizer" else params.generators) for kind, name in needs)
