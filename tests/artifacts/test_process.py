"""Which process owns a file, told from its name."""

from __future__ import annotations

import socket

import pytest

from gigatok.artifacts.process import owner_is_dead, this_process


def test_nodes_whose_names_begin_alike_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another node's boot differs: taken for this one, its living process would be held for dead, its files removed."""
    nodes = [f"queue1-dy-p4d24xlarge-{number}" for number in (1, 2)]
    tokens = []
    for node in nodes:
        monkeypatch.setattr(socket, "gethostname", lambda node=node: node)
        tokens.append(this_process().replace(boot=f"boot of {node[::-1]}").token)
    first, second = (token.split("~")[0] for token in tokens)
    assert first != second
    assert max(len(first), len(second)) <= 20
    assert not owner_is_dead(tokens[0])  # on the second node
    monkeypatch.setattr(socket, "gethostname", lambda: nodes[0])
    assert owner_is_dead(tokens[0])  # of another boot of this one


def test_a_process_that_ended_is_dead_and_this_one_is_not() -> None:
    assert not owner_is_dead(this_process().token)
    assert owner_is_dead(this_process().replace(started=0.5).token)
