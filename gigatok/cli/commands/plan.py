"""``gigatok-bench plan``: parameters, operations, memory, hours and disk of each size, before anything starts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gigatok.cli.options import finite

if TYPE_CHECKING:
    from gigatok.config import Params
    from gigatok.planning.layouts import Cluster, LayoutPlan
    from gigatok.planning.runs import RunPlan

_GIB = 1024**3
_NAMES = {"single": "1 GPU", "ddp": "DDP", "fsdp": "FSDP2"}
_COLUMNS = {
    "model": ("weights", "half_precision_weights", "gathered"),
    "grads": ("gradients",),
    "optim": ("optimizer", "ema"),
    "activ": ("activations", "working"),
    "teach": ("teacher",),
    "perc": ("perceptual",),
    "advs": ("adversary",),
}
"""Columns of the table and the parts they add up; ``--json`` has every part."""

_Utilisation = Annotated[
    float | None,
    typer.Option(
        min=0.01,
        max=1.0,
        callback=finite,
        help="Share of the GPU's peak speed that training reaches; unset: as measured on an H200.",
    ),
]
_Price = Annotated[float | None, typer.Option(min=0, callback=finite, help="Of a GPU and an hour: adds costs.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        short_help="What each size will cost, before it starts.",
        epilog="Example: gigatok-bench plan --profile paper --sizes s,b,l,xl,3b --gpu h100 --gpus 8",
    )(plan)


def plan(
    profile: Annotated[str | None, typer.Option(help="Plan this profile; params.yaml stays as it is.")] = None,
    suite: Annotated[str | None, typer.Option(help="Plan this suite: core or full.")] = None,
    sizes: Annotated[str, typer.Option(help="Rungs, comma-separated: s, b, l, xl, 3b.")] = "s,b,l,xl,3b",
    gpu: Annotated[str, typer.Option(help="GPU by name, e.g. a100, h100, h200.")] = "h100",
    gpus: Annotated[int, typer.Option(min=1, help="GPUs of a node.")] = 8,
    nodes: Annotated[int, typer.Option(min=1, help="Nodes.")] = 1,
    utilisation: _Utilisation = None,
    price: _Price = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else, on stdout.")] = False,
) -> None:
    """Plan the trainings of some sizes: memory of every part under one GPU, DDP and FSDP2, hours and disk.

    Steps run on tensors without data: no GPU, no weights and no images are needed. The largest sizes take a minute.
    """
    from gigatok.config import ConfigError
    from gigatok.pipeline.update import planned_params
    from gigatok.planning.gpus import GPUS

    if gpu not in GPUS:
        raise ConfigError(f"--gpu {gpu!r} is not one of {', '.join(GPUS)}")
    root = _root()
    params = planned_params(root, profile, suite)
    names = _chosen(params, sizes)

    from gigatok.planning.disk import image_counts, shared_disk
    from gigatok.planning.layouts import Cluster
    from gigatok.planning.networks import teacher_dim
    from gigatok.planning.runs import Planner

    cluster = Cluster(gpu=GPUS[gpu], gpus=gpus, nodes=nodes, utilisation=utilisation, price=price)
    images = image_counts(params, root)
    planner = Planner(params, cluster, images)
    plans = []
    for name in names:
        print(f"planning {name}", file=sys.stderr)
        plans.append(planner.tokenizer(name))
        plans += [planner.generator(other) for other, entry in params.generators.items() if entry.tokenizer == name]
    shared = shared_disk(params, images, teacher_dim=teacher_dim(params.teacher))
    if as_json:
        document = {
            "profile": params.profile,
            "suite": params.suite,
            "gpu": {"name": gpu, **cluster.gpu._asdict(), "usable": cluster.capacity},
            "gpus": gpus,
            "nodes": nodes,
            "utilisation": utilisation,
            "price": price,
            "images": images._asdict(),
            "runs": [{**each.as_json(), "printed_parameters": _printed(params, each)} for each in plans],
            "shared_disk": shared,
        }
        print(json.dumps(document, indent=2))
        return
    _print_plan(plans, params, cluster, gpu)
    total = sum(sum(each.disk.values()) for each in plans) + sum(shared.values())
    parts = ", ".join(f"{part.replace('_', ' ')} {_size(size)}" for part, size in shared.items())
    print(f"\nDisk of all runs {_size(total)}, of which shared: {parts}")
    print(f"Images: {images.train:,} and {images.validation:,} for validation ({images.source})")


def _print_plan(plans: list[RunPlan], params: Params, cluster: Cluster, gpu: str) -> None:
    machine = f"{cluster.world} {gpu}" + (f" on {cluster.nodes} nodes" if cluster.nodes > 1 else "")
    print(f"Profile {params.profile} on {machine}: {cluster.capacity / _GIB:.1f} GiB for tensors on each; GiB below")
    print("norms, blocks: what the backward pass computes again (launch.recompute)")
    for each in plans:
        _print_run(each, params)


def _root() -> Path:
    from gigatok.cli.files.project import project_root
    from gigatok.config import GigatokError

    try:
        return project_root()
    except GigatokError:  # a profile can be planned anywhere
        return Path.cwd()


def _chosen(params: Params, sizes: str) -> list[str]:
    """Tokenizers of the sizes that were asked for.

    Raises:
        ConfigError: a size that does not exist, or that these settings do not train.
    """
    from gigatok.config import RUNGS, ConfigError

    names = []
    for size in dict.fromkeys(part.strip() for part in sizes.split(",")):
        if size not in RUNGS:
            raise ConfigError(f"--sizes {size!r} is not one of {', '.join(RUNGS)}")
        if RUNGS[size] not in params.tokenizers:
            raise ConfigError(f"--sizes {size}: tokenizers has no {RUNGS[size]}; it has {', '.join(params.tokenizers)}")
        names.append(RUNGS[size])
    return names


def _printed(params: Params, plan: RunPlan) -> float | None:
    """Parameters that the paper prints of a run of the paper's shape; ``None``: it prints none."""
    from gigatok.paper.printed import load_claims

    if params.profile != "paper":
        return None
    claims = load_claims()
    if plan.kind == "tokenizer":
        printed = dict(zip(claims["table9"]["columns"], claims["table9"]["params"], strict=True))
        return None if plan.size not in printed else printed[plan.size] * 1e6
    row = claims["table8"]["rows"].get(plan.size.removeprefix("GPT-"))
    return None if row is None else row[0] * 1e6


def _print_run(plan: RunPlan, params: Params) -> None:
    printed = _printed(params, plan)
    paper = "" if printed is None else f" (paper: {printed / 1e6:.0f}M)"
    flops = plan.flops_image / 1e12
    print(f"\n{plan.kind} {plan.name}, {plan.size}: {plan.parameters / 1e6:.2f}M parameters{paper}")
    print(
        f"  {flops:.3g} TFLOP an image and step, {plan.steps:,} steps of {plan.batch_size} images in {plan.precision}"
    )
    print(f"  {'':<16}{'batch':>5}" + "".join(f"{name:>6}" for name in _COLUMNS) + f"{'total':>7}{'largest':>8}")
    for layout in plan.layouts:
        print(_layout_line(layout))
    for reason in dict.fromkeys(layout.refused for layout in plan.layouts if layout.refused):
        names = dict.fromkeys(_NAMES[layout.strategy] for layout in plan.layouts if layout.refused == reason)
        print(f"  {', '.join(names)} refused: {reason}")
    cost = "" if plan.cost is None else f", cost {plan.cost:,.0f}"
    speed = f"at {plan.utilisation:.0%} of peak speed"
    disk = ", ".join(f"{part} {_size(size)}" for part, size in plan.disk.items() if size)
    if plan.hours is None or plan.gpu_hours is None:
        print(f"  no hours: training refuses these GPUs; disk: {disk}")
    else:
        print(f"  {_time(plan.hours)} {speed}, {plan.gpu_hours:,.0f} GPU hours{cost}; disk: {disk}")


def _layout_line(layout: LayoutPlan) -> str:
    name = _NAMES[layout.strategy] + ("" if layout.recompute == "none" else f", {layout.recompute}")
    cells = [sum(layout.parts.get(part, 0) for part in parts) / _GIB for parts in _COLUMNS.values()]
    numbers = "".join(f"{_number(cell):>6}" for cell in cells)
    largest = f"{'refused' if layout.refused else layout.largest_micro_batch if layout.fits else 'none':>8}"
    return f"  {name:<16}{layout.micro_batch:>5}{numbers}{_number(layout.total / _GIB):>7}{largest}"


def _number(value: float) -> str:
    """Four characters or five: 0.07, 12.34, 1234."""
    return f"{value:.2f}" if value < 99.995 else f"{value:.0f}"


def _time(hours: float) -> str:
    return (
        f"{hours * 60:.0f} minutes" if hours < 1 else f"{hours:.1f} hours" if hours < 72 else f"{hours / 24:.1f} days"
    )


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
