"""What the README and the docs say: links lead somewhere, commands exist, quoted numbers are the report's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import typer
from scipy import stats

from gigatok.cli.app import app
from gigatok.paper.results.metrics import find_metric, full_name
from gigatok.paper.text import compact

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
QUOTED = {
    "psnr": ".2f", "rfid": ".1f", "reconstruction_kid": ".3f", "gfid": ".1f", "gfid_best_cfg": ".1f",
    "ar_val_loss": ".3f", "linear_probe_accuracy": ".1f",
}  # fmt: skip
"""Metrics of the README's table, in the order of its columns, and the format of their spread."""
TRAININGS = 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)\)", page.read_text())
    local = [link for link in links if not link.startswith(("http", "mailto"))]
    assert [link for link in local if not (page.parent / link).exists()] == []


def commands(page: Path) -> list[list[str]]:
    """Every call of the program that a page shows, as words."""
    text = page.read_text().replace("\\\n", " ")
    found = re.findall(r"gigatok-bench ([a-z][^`\n|]*)", text)
    return [each.split("  ")[0].split(" #")[0].strip(" .,;:'\")").replace("'", "").split() for each in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_their_options_exist(page: Path) -> None:
    known = typer.main.get_command(app)
    unknown = []
    for words in commands(page):
        command = known.commands.get(words[0])  # type: ignore[attr-defined]
        if command is None:
            unknown.append(words)
            continue
        inner = getattr(command, "commands", {})
        command = inner.get(words[1], command) if len(words) > 1 else command
        options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        given = {word.split("=")[0] for word in words if word.startswith("--") and len(word) > 2}
        if not given <= options | {"--help", "--debug"}:
            unknown.append(words)
    assert unknown == []


def test_quoted_numbers_are_the_reports() -> None:
    table = ROOT / "reports" / "mini" / "tables" / "scaling.json"
    rows = {row["tokenizer"]: row for row in json.loads(table.read_text())["rungs"]}
    quoted = re.findall(r"^\| ([SBLX-]+(?:-no-sem)?) \| (.*) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(quoted) == 5
    for name, cells in quoted:
        metrics = rows[name]["metrics"]
        expected = [compact(rows[name]["params"])]
        for key, digits in QUOTED.items():
            metric, whole = find_metric(key), full_name(metrics, key)
            assert metric is not None
            score = rows[name]["scores"][whole]
            assert score["protocol"]["interval_method"] == "Student's t"
            half = (score["interval"][1] - score["interval"][0]) / 2
            spread = half * TRAININGS**0.5 / stats.t.ppf(0.975, TRAININGS - 1)
            percent = 100 if metric.text(0.5).endswith("%") else 1
            expected.append(f"{metric.text(metrics[whole])} ± {spread * percent:{digits}}")
        assert cells.split(" | ") == expected
    (baseline,) = re.findall(
        r"k-means over patches, same rate \| \| (\S+) \| (\S+) \| (\S+) ", (ROOT / "README.md").read_text()
    )
    assert baseline == tuple(_floor(rows["S-S"]["floors"], key) for key in ("psnr", "rfid", "reconstruction_kid"))


def _floor(floors: dict[str, float], key: str) -> str:
    """What k-means has, as readers see it."""
    metric = find_metric(key)
    assert metric is not None
    (value,) = (floors[name] for name in floors if name.split("/")[0].split(" ")[0] == key and "k-means" in name)
    return metric.text(value)
