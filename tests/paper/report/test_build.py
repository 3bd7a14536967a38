"""The whole report, from runs that are there and from runs that are not."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from fake_runs import fake_params, write_core, write_reference, write_timings, write_tokenizer

from gigatok.paper.report import page_figures
from gigatok.paper.report.build import build_report, report_files, timed_files
from gigatok.training.code_usage import WINDOW

pytestmark = pytest.mark.long(60)


@pytest.fixture(scope="module")
def report(core_report):
    return core_report


class References(HTMLParser):
    """Everything a page loads or links to, its element ids and its popover targets."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        self.loaded += [known["src"]] if "src" in known else []
        self.loaded += [known["href"]] if tag == "link" else []
        self.links += [known["href"]] if tag == "a" else []
        self.ids += [known["id"]] if "id" in known else []
        self.targets += [known["popovertarget"]] if "popovertarget" in known else []
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def different_files(one, two):
    return [name for name in report_files(fake_params()) if (one / name).read_bytes() != (two / name).read_bytes()]


PAGES = ["index.html", "claims/dilemma.html", "claims/layer-3.html", "claims/ar-probing.html"]


def read(page):
    parser = References()
    parser.feed(page.read_text())
    return parser


def test_every_promised_file_and_no_other(report):
    written = sorted(str(path.relative_to(report)) for path in report.rglob("*") if path.is_file())
    assert written == sorted(report_files(fake_params()))


def test_page_needs_nothing_outside_itself(report):
    page = read(report / "index.html")
    assert len(page.loaded) > 15
    assert all(each.startswith("data:") for each in page.loaded)
    text = re.sub(r"data:[^\"]*", "", (report / "index.html").read_text())
    assert "@import" not in text
    assert "url(" not in text
    beside = ("#", "tables/", "figures/", "claims/", "claims.md", "statements.md", "runs.json", "manifest.json")
    assert all(each.startswith(beside) for each in page.links)


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_well_formed_and_their_targets_exist(report, name):
    page = read(report / name)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert len(page.targets) > 100 or name != "index.html"
    assert set(page.targets) <= set(page.ids)
    assert {each[1:] for each in page.links if each.startswith("#")} <= set(page.ids)
    files = [each.partition("#")[0] for each in page.links if not each.startswith("#")]
    assert [each for each in files if not (report / name).parent.joinpath(each).exists()] == []


def test_readme_links_exist(report):
    text = (report / "README.md").read_text()
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 8
    local = [link for link in links if not link.startswith("#")]
    assert [link for link in local if not (report / link.partition("#")[0]).exists()] == []
    anchors = {each.lower() for each in re.findall(r"^#+ (.*)$", text, re.M)} | set(re.findall(r'<a id="(.*?)">', text))
    wanted = {link[1:] for link in links if link.startswith("#")}
    assert wanted <= {re.sub(r"[^a-z0-9 -]", "", each).replace(" ", "-") for each in anchors}


@pytest.mark.parametrize("name", ["README.md", "index.html"])
def test_both_say_scale_floors_protocol_help_and_licences(report, name):
    text = (report / name).read_text()
    for part in (
        "Profile nano, suite core",
        "None of these numbers is the paper",
        "k-means still wins",
        "sha256 a1b2c3d4a1b2",
        "567 images",
        "train_tokenizer.codebook_restart",
        "Apache-2.0",
        "CC-BY 4.0",
        "MIT",
    ):
        assert part in text


def test_a_report_of_single_trainings_says_first_that_it_decides_nothing(report):
    lines = (report / "README.md").read_text().splitlines()
    assert lines[2].startswith("**This report decides nothing: each recipe was trained once")
    assert "This report decides nothing" in (report / "index.html").read_text()


def test_commands_of_a_claims_runs_stand_on_its_page_alone(report):
    assert "gigatok-bench repro evaluate_" not in (report / "README.md").read_text()
    assert "gigatok-bench repro evaluate_tokenizer@B-L-no-sem" in (report / "claims" / "dilemma.html").read_text()


def test_nothing_run_gives_commands_and_no_numbers_under_an_escaped_title(tmp_path):
    build_report(tmp_path / "runs", fake_params(report={"title": "<script>alert(1)</script>"}), tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    assert "0 of 9 tokenizers" in text
    assert "| S-S | not run | not run | not run | not run | not run |" in text
    assert "`gigatok-bench scaling --sizes 3b`" in text
    assert "`dvc repro evaluate_tokenizer@S-L evaluate_generator@S-L`" in text
    written = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert written == sorted(report_files(fake_params()))
    assert read(tmp_path / "out" / "index.html").open == []
    page = (tmp_path / "out" / "index.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert text.startswith("# &lt;script>alert(1)&lt;/script>: report\n")
    assert "<script" not in text


def test_other_profiles_are_not_mixed_in(tmp_path):
    write_reference(tmp_path / "runs")
    write_tokenizer(tmp_path / "runs", "S-S", rfid=61.25, psnr=17, profile="smoke")
    build_report(tmp_path / "runs", fake_params(), tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    assert "61.25" not in text
    assert "S-S (its folder holds profile smoke)" in text


def test_captions_name_the_window_of_training():
    assert f"{WINDOW:,}" == page_figures._WINDOW


def test_paper_tables_show_both_numbers_and_what_is_missing(report):
    text = (report / "index.html").read_text()
    assert "Table 2: Scaling encoder or decoder" in text
    cell = re.search(r'popovertarget="table02-3-rfid"[^>]*>58</button>.*?<span class="theirs">paper 0.81<', text)
    assert cell is not None
    absent = re.search(r'<div popover id="table02-0-gfid".*?</div>', text, re.S)
    assert absent is not None
    assert "gigatok-bench profile nano --suite full" in absent[0]


def test_every_claim_is_on_the_page_with_its_verdict_and_its_own_page(report):
    from gigatok.paper.claims.catalogue import all_claims

    page, ledger, readme = ((report / name).read_text() for name in ("index.html", "claims.md", "README.md"))
    claims = all_claims(fake_params())
    for claim in claims:
        assert claim.key in ledger
        assert f'href="claims/{claim.key}.html"' in page
        assert (report / "claims" / f"{claim.key}.html").exists()
        assert f"\n### {claim.key}\n" in readme
        assert f"| [{claim.key}](#{claim.key}) |" in readme
    assert page.count('<li class="card') == len(claims)
    assert "at proxy scale (profile nano)" in page


def test_a_repetition_with_equal_scores_changes_what_runs_took_alone(report, tmp_path):
    """What another commit, another hour and another machine bring stands in ``runs.json`` and in sentences of cost;
    all else is the same byte by byte."""
    runs = tmp_path / "runs"
    write_core(runs)
    write_timings(runs)
    for path in runs.rglob("summary.json"):
        path.write_text(path.read_text().replace("0123456789abcdef", "fedcba9876543210"))
    for path in runs.rglob("provenance.json"):
        changed = {
            "seconds": 1.0,
            "images_per_second": 9.0,
            "commit": "other",
            "started": "2026-01-01",
            "host": "other",
        }
        path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    build_report(runs, fake_params(), tmp_path / "again")
    different = [
        name
        for name in report_files(fake_params())
        if (tmp_path / "again" / name).read_bytes() != (report / name).read_bytes()
    ]
    assert set(different) <= {*timed_files(fake_params()), "manifest.json"}
    assert {"runs.json", "README.md", "index.html", "claims/dilemma.html"} <= set(different)
    took = re.compile(r"(less than a minute|[\d.,]+ (minutes?|hours)) on CPUs")
    for name in set(different) - {"runs.json", "manifest.json"}:
        before, after = ((folder / name).read_text() for folder in (report, tmp_path / "again"))
        assert before != after
        assert took.sub("", before) == took.sub("", after), name


def test_commits_and_times_of_all_runs_are_kept(report):
    runs = json.loads((report / "runs.json").read_text())["runs"]
    assert runs["tokenizers/S-S"]["commit"] == "0123456789abcdef"
    assert runs["tokenizers/S-S"]["images_per_second"] == 150.0
    assert runs["generators/S-S"]["seconds"] == 30.0
