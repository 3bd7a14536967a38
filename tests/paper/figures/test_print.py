"""Every figure of a report as a printer gets it: nothing overprints, no letter is missing, nothing is too small.

The projects are simulated, ugly ones among them: a single run, names as long as users give them, ten tokenizers of
one's own, absent metrics, several trainings.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_runs import CLASSES, fake_params, full_params
from matplotlib.figure import Figure
from printed_page import Looked, look_at, overprinted
from simulated import simulate

from gigatok.config import Params
from gigatok.config.repeats import repeated
from gigatok.config.suites import CORE_TOKENIZERS, default_generators
from gigatok.paper.claims.catalogue import all_claims
from gigatok.paper.figures import scaling, style
from gigatok.paper.figures.by_group import write_groups
from gigatok.paper.figures.codebook_curves import write_codebook_curves
from gigatok.paper.figures.drawing.labels import LineEnd, label_ends, obstacles, spread
from gigatok.paper.figures.drawing.palette import Palette
from gigatok.paper.figures.drawing.text import printable
from gigatok.paper.figures.guidance import write_guidance
from gigatok.paper.figures.paper_figures import write_paper_figures
from gigatok.paper.figures.power_laws import write_scaling_laws
from gigatok.paper.figures.predictors import write_predictors
from gigatok.paper.figures.scaling import write_scaling_plots
from gigatok.paper.report.build import report_files
from gigatok.paper.report.claims.figures import figure_stem, has_own_figure, write_dots
from gigatok.paper.report.summary.headline import write_headline
from gigatok.paper.results.predictors import predictions
from gigatok.paper.results.reader import Results
from gigatok.paper.tables.scaling_rows import own_rows, series_rows

pytestmark = pytest.mark.long(35)


Drawn = dict[str, Looked]


def own_params() -> Params:
    """Core, three recipes trained three times, and ten tokenizers of one's own with names as users give them."""
    only = ["S-S", "B-L", "S-L-no-sem"]
    tokenizers, generators = repeated(CORE_TOKENIZERS, default_generators(CORE_TOKENIZERS), [0, 1, 2], only)
    own = [f"my-tokenizer-with-a-long-name-{place}" for place in range(8)] + ["x", "S-S-but-better"]
    mine = {name: {"encoder": "S", "decoder": "B" if place % 2 else "L"} for place, name in enumerate(own)}
    return fake_params(tokenizers={**tokenizers, **mine}, generators={**generators, **default_generators(mine)})


UGLY = ["旗", "Ähnliches", "a class with a name that goes on and on and on", *CLASSES[3:]]
FEW = ("rfid", "gfid", "psnr")
"""Metrics that get a plot each, where all would only take time."""
PROJECTS: dict[str, tuple[Callable[[], Params], dict[str, list[str]]]] = {
    "full": (full_params, {}),
    "own": (own_params, {"classes": UGLY}),
    "single": (fake_params, {"left_out": [name for name in CORE_TOKENIZERS if name != "S-S"]}),
    "gaps": (fake_params, {"left_out": ["S-B", "B-L-no-sem"], "without": ["rfid", "gfid", "kid"]}),
    "nothing": (fake_params, {"left_out": list(CORE_TOKENIZERS)}),
}


@pytest.fixture(scope="module", params=list(PROJECTS))
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Drawn, set[str]]:
    """All plots of a project by name, laid out as they are saved, and the names of those that a report has."""
    make, changes = PROJECTS[request.param]
    runs, out, params = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("out"), make()
    simulate(runs, params, **changes)
    figures: Drawn = {}

    def keep(drawing: Figure, stem: Path) -> None:
        style.lay_out(drawing)
        figures[stem.name] = look_at(drawing)

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setattr(style, "save", keep)
        if request.param != "full":
            patch.setattr(scaling, "PLOTTED", FEW)
        warnings.simplefilter("error")  # a letter that the font lacks is a warning
        draw_all(Results(runs, params), out)
        wanted = {Path(name).stem for name in report_files(params) if name.endswith(".pdf")}
    return figures, wanted


@pytest.fixture
def drawn(project: tuple[Drawn, set[str]]) -> Drawn:
    """The plots."""
    return project[0]


def draw_all(results: Results, out: Path) -> None:
    rows, own = series_rows(results), own_rows(results)
    write_scaling_plots(rows, out, own=own)
    write_codebook_curves(rows, results.params, out)
    write_guidance([*rows, *own], results.params, out)
    write_groups(results, list(dict.fromkeys(row.tokenizer for row in (*rows, *own))), out)
    write_paper_figures(results, out)
    write_scaling_laws(results, out)
    write_predictors(predictions(results), results.params, out)
    write_headline(rows, results.params, out)
    for claim in all_claims(results.params):
        if has_own_figure(claim):
            write_dots(claim, results, out / figure_stem(claim))


def test_no_text_overprints_another(drawn: Drawn) -> None:
    assert {name: found for name, figure in drawn.items() if (found := overprinted(figure))} == {}


def test_no_text_covers_marks_or_bars(drawn: Drawn) -> None:
    assert {name: figure.covered for name, figure in drawn.items() if figure.covered} == {}


def test_every_point_keeps_its_name(drawn: Drawn) -> None:
    assert {name: figure.hidden for name, figure in drawn.items() if figure.hidden} == {}


def test_all_text_is_large_enough_at_print_width_and_inside(drawn: Drawn) -> None:
    for name, figure in drawn.items():
        assert figure.inches <= style.WIDTH, name
        assert min(figure.sizes) >= style.SMALLEST, name
        assert (figure.boxes[:, :2] > -1).all(), name
        assert (figure.boxes[:, 2:] < figure.size + 1).all(), name


def test_at_most_two_panels_stand_in_a_row(drawn: Drawn) -> None:
    assert max(figure.in_a_row for figure in drawn.values()) <= 2


def test_every_plot_of_a_report_is_looked_at(project: tuple[Drawn, set[str]]) -> None:
    drawn, wanted = project
    assert set(drawn) == wanted


def test_labels_that_are_not_moved_would_overprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above see what they are for."""
    params = fake_params()
    simulate(tmp_path, params)
    kept: Drawn = {}

    def keep(drawing: Figure, stem: Path) -> None:
        drawing.draw_without_rendering()
        kept[stem.name] = look_at(drawing)

    monkeypatch.setattr(style, "save", keep)
    monkeypatch.setattr(scaling, "PLOTTED", ("psnr",))
    write_scaling_plots(series_rows(Results(tmp_path, params)), tmp_path)
    assert overprinted(kept["scaling"])
    assert kept["scaling"].covered


def test_a_column_of_names_leaves_the_axis_of_the_lines_as_it_was() -> None:
    with style.figure(3, 3) as drawing:
        axes = drawing.add_subplot()
        axes.plot([60, 2300], [1, 2])
        before = axes.get_xlim()[0]
        label_ends(axes, [LineEnd(2300, 2, "S-S", "black")])
        assert axes.get_xlim()[0] == before
        assert min(axes.get_xticks()) >= 0
        assert max(axes.get_xticks()) <= 2300


def test_points_of_a_scatter_plot_are_in_the_way_of_names() -> None:
    with style.figure(3, 3) as drawing:
        axes = drawing.add_subplot()
        axes.scatter([1.0, 2.0], [1.0, 2.0], s=25)
        style.lay_out(drawing)
        boxes = obstacles(axes).boxes
    assert boxes.shape == (2, 4)
    assert (boxes[:, 2] - boxes[:, 0]).tolist() == pytest.approx([5 * drawing.dpi / 72] * 2)


def test_letters_that_the_font_lacks_are_written_as_codes() -> None:
    assert printable("S-S ü ∞ R²") == "S-S ü ∞ R²"
    assert printable("模-x") == "\\u6a21-x"


@pytest.mark.parametrize("places", [[], [0.5], [0.5] * 4, [0.1, 0.12, 0.9], [0.0, 0.0, 1.0, 1.0], [0.5] * 30])
def test_names_at_the_ends_of_lines_keep_their_distance_and_order(places: list[float]) -> None:
    moved = spread(places, 0.1)
    step = min(0.1, 0.94 / max(1, len(places) - 1))
    assert all(b - a > step - 1e-9 for a, b in itertools.pairwise(moved))
    assert all(0.03 - 1e-9 <= place <= 0.97 + 1e-9 for place in moved)
    if places == [0.5]:
        assert moved == [0.5]


def test_tokenizers_look_the_same_everywhere() -> None:
    looks = Palette(full_params())
    assert looks.ordered(["S-S-no-sem", "B-S", "XL-XXL", "S-S", "S-S-40pct"]) == [
        "S-S",
        "XL-XXL",
        "B-S",
        "S-S-no-sem",
        "S-S-40pct",
    ]
    assert looks.tokenizer("S-S")["color"] != looks.tokenizer("B-L")["color"]
    assert looks.recipe("S-S-40pct-no-sem") == "without semantic regularization"
    assert Palette(own_params()).recipe("x") == "your own"
