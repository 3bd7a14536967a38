"""``gigatok-bench evaluate``: scores of any images against any others."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gigatok.cli.options import BatchOption

if TYPE_CHECKING:
    from gigatok.artifacts import Score, ScoreSheet
    from gigatok.evaluation.inputs.evaluation_set import EvaluationSet


_Side = Annotated[int | None, typer.Option(min=1, max=4096, help="Pixels it sees; none: its native size.")]
_Resamples = Annotated[int, typer.Option(min=0, max=10**6, help="Resamples behind intervals; 0: no intervals.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        short_help="Scores of a folder or .npz against another.",
        epilog="Example: gigatok-bench evaluate samples.npz VIRTUAL_imagenet256_labeled.npz "
        "--extractor inception-2015 --protocol adm --output scores.json",
    )(evaluate)


def evaluate(
    samples: Annotated[Path, typer.Argument(help="Folder of images, or .npz with arr_0 (n, H, W, 3) uint8.")],
    reference: Annotated[Path, typer.Argument(help="The same, or .npz with mu and sigma as ADM's evaluator has.")],
    extractor: Annotated[
        str, typer.Option(help="efficientnet-lite2, efficientnet-lite0, inception-2015, dinov2-s|b|l, clip-b32|l14.")
    ] = "efficientnet-lite2",
    protocol: Annotated[str, typer.Option(help="ours, adm, gigatok-release, clean-fid or pytorch-fid.")] = "ours",
    weights: Annotated[Path | None, typer.Option(help="Weight file of extractors that bring none.")] = None,
    extractor_size: _Side = None,
    crop: Annotated[
        int | None, typer.Option(min=1, max=4096, help="ADM centre crop of image files to this side.")
    ] = None,
    reconstructions: Annotated[
        bool, typer.Option("--reconstructions", help="Images reconstruct those of equal name: rFID, PSNR, SSIM, LPIPS.")
    ] = False,
    perceptual: Annotated[
        str, typer.Option(metavar="NAMES", help="Perceptual distances of reconstructions: efficientnet-lite0,vgg16.")
    ] = "efficientnet-lite0",
    perceptual_weights: Annotated[
        Path | None, typer.Option(help="torchvision's VGG16 weights, for LPIPS; none: its cache or a download.")
    ] = None,
    bootstrap: _Resamples = 0,
    infinity: Annotated[bool, typer.Option("--infinity", help="Add FID for infinitely many samples.")] = False,
    count_plot: Annotated[
        Path | None, typer.Option(help="Picture of FID over the number of samples (.png, .svg); adds --infinity.")
    ] = None,
    allow_lossy: Annotated[bool, typer.Option("--allow-lossy", help="Take JPEG and lossy WebP files.")] = False,
    cache: Annotated[Path | None, typer.Option(help="Folder for features; 'explain' reads it.")] = None,
    batch_size: BatchOption = 32,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "cpu",
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the bootstrap and of random subsets.")] = 0,
    output: Annotated[Path | None, typer.Option(help="Write the score sheet (JSON) here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the score sheet.")] = False,
) -> None:
    """Score images and say with every number how it was measured."""
    names = tuple(part.strip() for part in perceptual.split(",") if part.strip())
    problems = _unusable_names(extractor, protocol, names, device) + _unusable_weights(names, perceptual_weights)
    _require_usable(problems + _missing(samples, reference, None if reconstructions else weights))
    found = _open_outputs_and_device(output, count_plot, device)
    first, second = _open_both(samples, reference, protocol, crop, allow_lossy)
    from gigatok.evaluation.scoring.evaluate import evaluate as score
    from gigatok.evaluation.scoring.pair import EvaluateOptions

    options = EvaluateOptions(
        extractor=extractor,
        protocol=protocol,
        weights=weights,
        extractor_size=extractor_size,
        reconstructions=reconstructions,
        perceptual=names,
        perceptual_weights=perceptual_weights,
        resamples=bootstrap,
        infinity=infinity,
        count_plot=count_plot,
        cache=cache,
        batch_size=batch_size,
        device=found,
        seed=seed,
    )
    _print_and_write(score(first, second, options, progress=_show), as_json, output)


def _open_both(
    samples: Path, reference: Path, protocol: str, crop: int | None, allow_lossy: bool
) -> tuple[EvaluationSet, EvaluationSet]:
    """Both sets, pixels read as the protocol's own tool reads them.

    Raises:
        GigatokError: what is wrong with either, or with both.
    """
    from gigatok.config import GigatokError
    from gigatok.evaluation.inputs.files import open_set
    from gigatok.evaluation.protocols import find_protocol

    rule = find_protocol(protocol).transparency
    sets, problems = [], []
    for path in (samples, reference):
        try:
            sets.append(open_set(path, crop=crop, allow_lossy=allow_lossy, transparency=rule))
        except GigatokError as error:
            problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise GigatokError("; and ".join(map(str, problems)))
    return sets[0], sets[1]


def _print_and_write(sheet: ScoreSheet, as_json: bool, output: Path | None) -> None:
    """Print the sheet, and keep it where ``--output`` names a file."""
    if as_json:
        print(sheet.model_dump_json(indent=1, by_alias=True))
    else:
        print_sheet(sheet)
    if output is not None:
        sheet.write(output)


def _unusable_names(extractor: str, protocol: str, perceptual: Sequence[str], device: str) -> list[str]:
    """What is wrong with options that name something; nothing is loaded for it."""
    from gigatok.cli.options import DEVICES
    from gigatok.config.evaluation import EXTRACTORS
    from gigatok.config.sections import PERCEPTUAL_NETWORKS
    from gigatok.evaluation.protocols import PROTOCOLS

    named = [
        ("--extractor", extractor, EXTRACTORS),
        ("--protocol", protocol, PROTOCOLS),
        *(("--perceptual", name, PERCEPTUAL_NETWORKS) for name in perceptual),
        ("--device", device, DEVICES),
    ]
    return [f"{option} {name!r} is not one of {', '.join(known)}" for option, name, known in named if name not in known]


def _unusable_weights(perceptual: Sequence[str], weights: Path | None) -> list[str]:
    if weights is None or "vgg16" in perceptual:
        return []
    return [f"--perceptual-weights {weights} are vgg16's: name it, --perceptual vgg16"]


def _missing(*paths: Path | None) -> list[str]:
    return [
        f"{str(path)!r} does not exist: pass one that does"
        for path in dict.fromkeys(paths)
        if path and not path.exists()
    ]


def _require_usable(problems: Sequence[str]) -> None:
    """Refuse everything that is wrong at once.

    Raises:
        ConfigError: there are problems.
    """
    from gigatok.config import ConfigError

    if problems:
        raise ConfigError("; ".join(problems))


def _open_outputs_and_device(output: Path | None, count_plot: Path | None, device: str) -> str:
    """Make the folders of outputs; returns the device's name. Only ``cpu`` is taken without asking torch."""
    from gigatok.cli.options import check_output, choose_device

    if output is not None:
        check_output(output)
    if count_plot is not None:
        check_output(count_plot, ".png", ".svg", ".pdf", option="--count-plot")
    return device if device == "cpu" else str(choose_device(device))


def print_sheet(sheet: ScoreSheet) -> None:
    """One line for each score, how it was measured under it, notes last."""
    from gigatok.cli.tables import terminal_width, wrapped

    width = terminal_width()
    for score in sheet.scores:
        interval = f"  ({score.interval[0]:.6g} .. {score.interval[1]:.6g})" if score.interval else ""
        print(f"{score.metric:<40} {score.value:.6g}{interval}")
        print("\n".join(wrapped(protocol_line(score), width, "    ", "    ")))
    for each in sheet.inputs:
        print(f"{each.role:<40} {each.name}: {each.images if each.images is not None else 'statistics, no'} images")
    for note in (*sheet.notes, *([] if sheet.few_samples is None else [sheet.few_samples.describe()])):
        print("\n".join(wrapped(f"note: {note}", width, rest="  ")))


def protocol_line(score: Score) -> str:
    """What a score's record says, without empty fields."""
    fields = score.protocol.model_dump(exclude_none=True)
    if "extractor_sha256" in fields:
        fields["extractor_sha256"] = fields["extractor_sha256"][:12]
    groups = {"crop": score.protocol.crop, "estimator": score.protocol.estimator}
    fields |= {name: group.describe() for name, group in groups.items() if group is not None}
    if not fields.pop("rough"):
        return "; ".join(f"{name} {value}" for name, value in fields.items())
    return "; ".join(f"{name} {value}" for name, value in (*fields.items(), ("rough", "guide only")))


def _show(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {total} images", end="\n" if done == total else "", file=sys.stderr, flush=True)
