"""The templates of the report's documents."""

from __future__ import annotations

from importlib import resources
from typing import Any

from markupsafe import Markup, escape

from gigatok.paper.text import markdown_text


def render(name: str, context: dict[str, Any]) -> str:
    """A template with its values, of which none is taken for HTML unless it is ``Markup``.

    Those called ``*.html.j2`` escape all that HTML gives a meaning, and bring style and script. The others are
    Markdown, which keeps its own signs: there only what would begin a tag or an entity is escaped.

    Raises:
        jinja2.UndefinedError: a value that the template names is not in ``context``.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    html = name.endswith(".html.j2")
    environment = Environment(
        loader=PackageLoader("gigatok.paper.report"),
        autoescape=True,
        finalize=None if html else _in_markdown,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=html,
        lstrip_blocks=html,
    )
    environment.filters["names"] = names
    more = {"css": Markup(_text("style.css")), "script": Markup(_text("script.js"))} if html else {}
    return str(environment.get_template(name).render({**context, **more}))


def names(text: str) -> Markup:
    """Escaped text in which a line ends at spaces alone, so that ``B-L-no-sem`` stays whole."""
    words = [
        Markup("<span class=name>{}</span>").format(word) if "-" in word else escape(word) for word in text.split()
    ]
    return Markup(" ").join(words)


def _in_markdown(value: object) -> Markup:
    """A value as Markdown shows it; what a macro returns was escaped in it."""
    return value if isinstance(value, Markup) else Markup(markdown_text(str(value)))


def _text(name: str) -> str:
    return resources.files("gigatok.paper.report").joinpath(f"templates/{name}").read_text()
