"""The templates of the report's documents."""

from __future__ import annotations

from importlib import resources
from typing import Any

from markupsafe import Markup, escape


def render(name: str, context: dict[str, Any]) -> str:
    """A template with its values; those called ``*.html.j2`` escape what they show, and bring style and script.

    Raises:
        jinja2.UndefinedError: a value that the template names is not in ``context``.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    html = name.endswith(".html.j2")
    environment = Environment(
        loader=PackageLoader("gigatok.paper.report"),
        autoescape=html,
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


def _text(name: str) -> str:
    return resources.files("gigatok.paper.report").joinpath(f"templates/{name}").read_text()
