"""Rows and columns of the paper's tables that trained models fill."""

from __future__ import annotations

from dataclasses import dataclass

from gigatok.config import Params


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """One row of a table: the paper's name for it and the runs that stand in its place."""

    label: str
    tokenizer: str
    generator: str | None = None
    """``None``: the generator called like the tokenizer (AR probing)."""
    weights: str | None = None
    """Network whose weights a run of it needs, as ``MORE_RUNS`` names it: in a suite only where they are given."""
    exact_tokenizer: str | None = None
    """The tokenizer with this table's own recipe, where the profile has it (``more_tokenizers``)."""
    exact_generator: str | None = None
    """The generator with this table's own recipe, where the profile has it (``more_generators``)."""
    note: str | None = None

    def runs(self, params: Params) -> tuple[str, str]:
        """Names of the tokenizer and the generator whose scores stand in this row."""
        own = self.exact_tokenizer in params.tokenizers
        tokenizer = self.exact_tokenizer if own and self.exact_tokenizer else self.tokenizer
        if self.exact_generator and self.exact_generator in params.generators:
            return tokenizer, self.exact_generator
        return tokenizer, self.generator or tokenizer


@dataclass(frozen=True, kw_only=True)
class TableSpec:
    """A table of the paper that trained models fill."""

    number: int
    title: str
    lines: tuple[TableRow, ...]
    columns: tuple[str, ...]
    """Names as in ``claims.yaml``."""

    @property
    def name(self) -> str:
        """``table05``."""
        return f"table{self.number:02d}"


_PROBING = ("rfid", "lpips", "gfid", "lin_acc")


_UNSTATED = "training not stated in the paper; it prints other numbers for this tokenizer elsewhere"


TABLES = (
    TableSpec(
        number=2,
        title="Scaling encoder or decoder",
        columns=_PROBING,
        lines=(
            TableRow(label="B-S", tokenizer="B-S"),
            TableRow(
                label="S-B",
                tokenizer="S-B",
                exact_tokenizer="S-B-100ep",
                note="trained 100 epochs in the paper's table 2, 200 elsewhere",
            ),
            TableRow(label="S-L", tokenizer="S-L"),
            TableRow(label="B-L", tokenizer="B-L"),
        ),
    ),
    TableSpec(
        number=5,
        title="Decoder layer aligned with the semantic encoder (S-S)",
        columns=_PROBING,
        lines=(
            TableRow(label="2", tokenizer="S-S-layer2"),
            TableRow(label="3", tokenizer="S-S"),
            TableRow(label="4", tokenizer="S-S-layer4"),
        ),
    ),
    TableSpec(
        number=6,
        title="Semantic encoder (S-B)",
        columns=_PROBING,
        lines=(
            TableRow(
                label="CLIP (DFN)",
                tokenizer="S-B-clip",
                weights="clip-dfn-l",
                note=_UNSTATED,
            ),
            TableRow(
                label="SigLIP-400M",
                tokenizer="S-B-siglip",
                weights="siglip-so400m",
                note=_UNSTATED,
            ),
            TableRow(label="DINOv2-B", tokenizer="S-B-dinov2", weights="dinov2-b", note=_UNSTATED),
        ),
    ),
    TableSpec(
        number=7,
        title="Semantic regularization weight (S-S)",
        columns=_PROBING,
        lines=(
            TableRow(label="0.25", tokenizer="S-S-weight025", note=_UNSTATED),
            TableRow(label="0.50", tokenizer="S-S", note=_UNSTATED),
            TableRow(label="0.75", tokenizer="S-S-weight075", note=_UNSTATED),
            TableRow(label="1.00", tokenizer="S-S-weight100", note=_UNSTATED),
        ),
    ),
    TableSpec(
        number=3,
        title="System-level comparison",
        columns=("rfid", "gfid", "lin_acc"),
        lines=(
            TableRow(
                label="GigaTok-B-L (dino-disc), LlamaGen-B (1d)",
                tokenizer="B-L-dino-disc",
                exact_generator="B-L-dino-disc-GPT-B",
                weights="dino",
            ),
            TableRow(label="GigaTok-S-S, LlamaGen-B (1d)", tokenizer="S-S", exact_generator="S-S-GPT-B"),
            TableRow(label="GigaTok-S-B, LlamaGen-B (1d)", tokenizer="S-B", exact_generator="S-B-GPT-B"),
            TableRow(label="GigaTok-B-L, LlamaGen-B (1d)", tokenizer="B-L", exact_generator="B-L-GPT-B"),
            TableRow(label="GigaTok-B-L, LlamaGen-XXL (1d)", tokenizer="B-L", generator="B-L-GPT-XXL"),
            TableRow(label="GigaTok-XL-XXL, LlamaGen-B (1d)", tokenizer="XL-XXL", exact_generator="XL-XXL-GPT-B"),
            TableRow(label="GigaTok-XL-XXL, LlamaGen-XXL (1d)", tokenizer="XL-XXL", generator="XL-XXL-GPT-XXL"),
        ),
    ),
    TableSpec(
        number=10,
        title="Full results",
        columns=("rfid", "lpips", "psnr", "ssim", "gfid", "lin_acc", "inception_score", "precision", "recall"),
        lines=(
            TableRow(label="GigaTok-S-S, LlamaGen-B (1d)", tokenizer="S-S", exact_generator="S-S-GPT-B"),
            TableRow(label="GigaTok-S-B, LlamaGen-B (1d)", tokenizer="S-B", exact_generator="S-B-GPT-B"),
            TableRow(label="GigaTok-B-L, LlamaGen-B (1d)", tokenizer="B-L", exact_generator="B-L-GPT-B"),
            TableRow(label="GigaTok-B-L, LlamaGen-XXL (1d)", tokenizer="B-L", generator="B-L-GPT-XXL"),
            TableRow(
                label="GigaTok-B-L (dino-disc), LlamaGen-B (1d)",
                tokenizer="B-L-dino-disc",
                exact_generator="B-L-dino-disc-GPT-B",
                weights="dino",
            ),
            TableRow(label="GigaTok-XL-XXL, LlamaGen-B (1d)", tokenizer="XL-XXL", exact_generator="XL-XXL-GPT-B"),
            TableRow(label="GigaTok-XL-XXL, LlamaGen-XXL (1d)", tokenizer="XL-XXL", generator="XL-XXL-GPT-XXL"),
        ),
    ),
)
"""Tables that trained models fill; 1, 8 and 9 are counted from the architectures (``exact_tables``)."""
