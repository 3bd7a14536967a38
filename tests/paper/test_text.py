"""Markdown shows foreign text as text: no name of a class, folder or report becomes HTML."""

from pathlib import Path

import pytest
from fake_runs import fake_params

from gigatok.paper.report.templating import render
from gigatok.paper.results.groups import GroupScore
from gigatok.paper.tables.by_group import write_group_table
from gigatok.paper.text import markdown_table, markdown_text

IMAGE = "<img src=x onerror=alert(1)>"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (IMAGE, "&lt;img src=x onerror=alert(1)>"),
        ("</td><!-- <?x <A", "&lt;/td>&lt;!-- &lt;?x &lt;A"),
        ("&lt;script&gt; &#60; AT&T; &amp", "&amp;lt;script&amp;gt; &amp;#60; AT&amp;T; &amp"),
        ("<<b", "<&lt;b"),
    ],
)
def test_what_would_begin_html_is_escaped(text: str, shown: str) -> None:
    assert markdown_text(text) == shown
    assert markdown_table(["a"], [[text]]).splitlines()[2] == f"| {shown} |"


@pytest.mark.parametrize("text", ["rFID of S-B < B-S: -3 <4", "Food & Drink", "a > b", "**x** [a](b.md) `a && b`", "†"])
def test_all_else_stays_as_it_was(text: str) -> None:
    assert markdown_text(text) == text


def test_a_cell_stays_a_cell() -> None:
    assert markdown_table(["a"], [["x|y\n\n# z"]]).splitlines()[2:] == ["| x\\|y  # z |"]


def test_a_class_folder_does_not_reach_the_table_as_html(tmp_path: Path) -> None:
    score = GroupScore(kind="class", group=IMAGE, run="S-S", metric="psnr", value=20.0, interval=None, images=3)
    write_group_table([score], "class", fake_params(), tmp_path)
    text = (tmp_path / "by-class.md").read_text()
    assert "| &lt;img src=x" in text
    assert "<img" not in text


def test_markdown_templates_escape_values_once_and_macros_not_again(monkeypatch: pytest.MonkeyPatch) -> None:
    import jinja2

    template = (
        "{% macro shown(x) %}{{ x }}!{% endmacro -%}<a id='ours'></a>{{ title }} {{ shown(title) }} {{ quote }}\n"
    )
    monkeypatch.setattr(jinja2, "PackageLoader", lambda package: jinja2.DictLoader({"x.md.j2": template}))
    text = render("x.md.j2", {"title": "<b>", "quote": "\"a\" < 'b' & c"})
    assert text == "<a id='ours'></a>&lt;b> &lt;b>! \"a\" < 'b' & c\n"
