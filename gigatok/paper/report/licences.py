"""Whose pictures a report shows, and under which licence."""

from __future__ import annotations

from gigatok.config import Params

CODE_LICENCE = "GigaTok Bench is licensed under Apache-2.0 (file LICENSE in the project's root)."

EMOJI_LICENCES = (
    ("Noto Emoji", "Google, Apache-2.0", ", https://github.com/googlefonts/noto-emoji"),
    ("Twemoji", "Twitter and contributors, CC-BY 4.0", ", https://github.com/twitter/twemoji"),
    ("Fluent Emoji", "Microsoft, MIT", ", https://github.com/microsoft/fluentui-emoji"),
)
"""Designers of the embedded data set; ``data/emoji/LICENSES.md`` has the texts."""


def data_licences(params: Params) -> list[tuple[str, str, str]]:
    """Name, licence and a note for every source of the images shown."""
    if params.prepare.source != "emoji":
        return [(f"Images of {params.prepare.shown_path}", "yours to check", "; the report shows some of them")]
    changes = f"; scaled to {params.prepare.image_size} px on white; reconstructions and samples are derived"
    return [(name, licence, note + changes) for name, licence, note in EMOJI_LICENCES]
