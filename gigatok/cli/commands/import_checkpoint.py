"""``gigatok-bench import-checkpoint``: a released checkpoint as a folder of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

_LISTING = "'gigatok-bench models'"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "import-checkpoint",
        short_help="Convert a released checkpoint.",
        epilog="Example: gigatok-bench import-checkpoint VQ_BL256_e200.pt --name B-L",
    )(import_checkpoint)


def import_checkpoint(
    file: Annotated[Path, typer.Argument(help="A released .pt file of a tokenizer or an AR model.")],
    name: Annotated[str, typer.Option(help="Its size, e.g. B-L, S-B-2d or GPT-XL.")],
    output: Annotated[Path | None, typer.Option(help="Folder to write; none: imported/NAME.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Convert a released checkpoint, name by name, to safetensors and config.json; nothing in it is executed."""
    from gigatok.cli.options import check_folder, check_input

    kind = _kind_of(name)
    check_input(file, "pass the path of a downloaded checkpoint")
    folder = output or Path("imported") / name
    check_folder(folder, "--output")
    from gigatok.artifacts import file_sha256
    from gigatok.interop import load_ar, load_tokenizer, save_model
    from gigatok.interop.files import read_checkpoint, state_in
    from gigatok.interop.official import UNUSED

    preferred = ("ema", "model") if kind == "tokenizer" else ("model", "ema")
    state, found_at, removed = state_in(read_checkpoint(file), preferred)
    source_sha256 = file_sha256(file)
    model = load_tokenizer(state, name) if kind == "tokenizer" else load_ar(state, name)
    unused = {key: UNUSED[key] for key in state if key in UNUSED}
    source = {
        "file": file.name,
        "sha256": source_sha256,
        "state": found_at,
        "removed_from_names": list(removed),
        "unused": unused,
    }
    weights_sha256 = save_model(folder, model, model.config, {"imported": name, "source": source})
    report = {
        "name": name,
        "kind": kind,
        "folder": str(folder),
        "tensors": len(model.state_dict()),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "weights_sha256": weights_sha256,
        "source": source,
    }
    print(json.dumps(report, indent=2) if as_json else _report(report))


def _kind_of(name: str) -> str:
    from gigatok.cli.files.released import RELEASED_GENERATORS, RELEASED_TOKENIZERS
    from gigatok.config import ConfigError
    from gigatok.pipeline.naming import suggestions

    if name in RELEASED_TOKENIZERS:
        return "tokenizer"
    if name in RELEASED_GENERATORS:
        return "generator"
    known = (*RELEASED_TOKENIZERS, *RELEASED_GENERATORS)
    raise ConfigError(f"--name {name!r} is no size: {suggestions(name, known, _LISTING)}")


def _report(report: dict[str, Any]) -> str:
    source = report["source"]
    unused = "; ".join(f"{key} ({why})" for key, why in source["unused"].items()) or "none"
    removed = source["removed_from_names"]
    return "\n".join(
        (
            f"{report['kind']} {report['name']}: {report['parameters']:,} parameters",
            f"read from   {source['file']}, state dict {source['state']!r}, sha256 {source['sha256']}",
            f"tensors     {report['tensors']} converted, none missing; unused: {unused}",
            *([f"names       without {', '.join(removed)}, which wrappers had added"] if removed else []),
            f"written to  {report['folder']}, weights sha256 {report['weights_sha256']}",
        )
    )
