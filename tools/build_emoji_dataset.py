"""Build ``data/emoji/emoji64.parquet`` from three npm packages.

    npm pack emoji-datasource-google@16.0.0
    npm pack emoji-datasource-twitter@16.0.0
    npm pack @lobehub/fluent-emoji-3d@1.1.0
    python tools/build_emoji_dataset.py --google emoji-datasource-google-16.0.0.tgz \\
        --twitter emoji-datasource-twitter-16.0.0.tgz --fluent lobehub-fluent-emoji-3d-1.1.0.tgz

One row for each base emoji (no skin-tone variants, no "Component" group) and designer: 64x64 RGB on white,
lossless WebP. Equal packages give equal pixels; equal bytes need the same Pillow, libwebp and pyarrow too.
The checksum file that loading verifies is written next to it.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from gigatok.data.emoji import CHECKSUM_NAME, EMOJI_PATH, normalize_codepoints
from gigatok.data.transforms import Pixels

SIZE = 64
"""Side in pixels. Google's and Twitter's drawings have it already; Fluent's are 256."""
NOTO_SUBGROUP = "country-flag"
"""Microsoft publishes no country flags; the Fluent package fills them with Noto's drawings."""
LICENSES = {"google": "Apache-2.0", "twitter": "CC-BY-4.0", "fluent": "MIT"}
SCHEMA = pa.schema(
    [
        ("image", pa.binary()),
        ("label", pa.string()),
        ("subgroup", pa.string()),
        ("name", pa.string()),
        ("codepoints", pa.string()),
        ("designer", pa.string()),
        ("license", pa.string()),
    ]
)


class Emoji(NamedTuple):
    """One base emoji of the catalogue."""

    label: str
    subgroup: str
    name: str
    codepoints: str
    order: int


def read_catalogue(package: Path) -> list[Emoji]:
    """Base emoji in Unicode order, from ``emoji.json`` of an emoji-datasource package.

    Skin-tone variants are nested inside their base entry there and so never appear on their own.
    """
    with tarfile.open(package) as archive:
        entries = json.load(_member(archive, "package/emoji.json"))
    emoji = [
        Emoji(
            entry["category"],
            entry["subcategory"],
            entry["name"].lower(),
            entry["unified"].lower(),
            entry["sort_order"],
        )
        for entry in entries
        if entry["category"] != "Component"
    ]
    return sorted(emoji, key=lambda one: (one.order, one.codepoints))


def read_drawings(package: Path, folder: str) -> dict[str, bytes]:
    """Image files of one folder of a package, by normalised code points.

    Where both spellings of an emoji are there (with and without FE0F), the fully qualified one counts.
    """
    drawings: dict[str, tuple[int, bytes]] = {}
    with tarfile.open(package) as archive:
        for member in archive:
            path = Path(member.name)
            if not member.isfile() or str(path.parent) != folder or path.suffix not in {".png", ".webp"}:
                continue
            key, spelling = normalize_codepoints(path.stem), len(path.stem)
            if key not in drawings or spelling > drawings[key][0]:
                drawings[key] = (spelling, _member(archive, member.name).read())
    return {key: data for key, (_, data) in drawings.items()}


def render(data: bytes) -> Pixels:
    """uint8 ``(64, 64, 3)``: laid on white, padded to a square with white, then Lanczos where larger.

    White goes under first: resampling colours of transparent pixels would bleed into the edges.
    """
    with Image.open(io.BytesIO(data)) as picture:
        layer = picture.convert("RGBA")
    side = max(layer.size)
    canvas = Image.new("RGBA", (side, side), (255, 255, 255, 255))
    canvas.alpha_composite(layer, ((side - layer.width) // 2, (side - layer.height) // 2))
    flat = canvas.convert("RGB")
    if side != SIZE:
        flat = flat.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    return np.asarray(flat)


def encode(pixels: Pixels) -> bytes:
    """Lossless WebP. Method 6 would save another 1% of bytes and take 16 times as long."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="WEBP", lossless=True, quality=100, method=4)
    return buffer.getvalue()


def license_of(designer: str, subgroup: str) -> str:
    """SPDX expression of a drawing."""
    if designer == "fluent" and subgroup == NOTO_SUBGROUP:
        return f"{LICENSES['fluent']} AND {LICENSES['google']}"
    return LICENSES[designer]


def rows(catalogue: list[Emoji], drawings: dict[str, dict[str, bytes]]) -> Iterator[dict[str, object]]:
    """Rows by designer, then in Unicode order. An emoji that a designer has not drawn has no row."""
    for designer, pictures in drawings.items():
        for emoji in catalogue:
            data = pictures.get(normalize_codepoints(emoji.codepoints))
            if data is None:
                continue
            yield {
                "image": encode(render(data)),
                "label": emoji.label,
                "subgroup": emoji.subgroup,
                "name": emoji.name,
                "codepoints": emoji.codepoints,
                "designer": designer,
                "license": license_of(designer, emoji.subgroup),
            }


def _member(archive: tarfile.TarFile, name: str) -> io.BufferedReader:
    stream = archive.extractfile(name)
    if stream is None:
        raise SystemExit(f"{name} is not a file of its package: pack it again with 'npm pack'")
    return stream  # type: ignore[return-value]


def main() -> None:
    """Read the packages, write the Parquet file and its checksum, say how many rows each designer has."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--google", type=Path, required=True, help="npm pack emoji-datasource-google@16.0.0")
    parser.add_argument("--twitter", type=Path, required=True, help="npm pack emoji-datasource-twitter@16.0.0")
    parser.add_argument("--fluent", type=Path, required=True, help="npm pack @lobehub/fluent-emoji-3d@1.1.0")
    parser.add_argument("--out", type=Path, default=Path(EMOJI_PATH), help="the Parquet file to write")
    arguments = parser.parse_args()

    drawings = {
        "google": read_drawings(arguments.google, "package/img/google/64"),
        "twitter": read_drawings(arguments.twitter, "package/img/twitter/64"),
        "fluent": read_drawings(arguments.fluent, "package/assets"),
    }
    table = pa.Table.from_pylist(list(rows(read_catalogue(arguments.google), drawings)), schema=SCHEMA)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    # The images are compressed already; small row groups would only add overhead.
    pq.write_table(
        table, arguments.out, compression="zstd", use_dictionary=["label", "subgroup", "designer", "license"]
    )
    digest = hashlib.sha256(arguments.out.read_bytes()).hexdigest()
    (arguments.out.parent / CHECKSUM_NAME).write_text(f"{digest}  {arguments.out.name}\n")
    counts = {designer: table.column("designer").to_pylist().count(designer) for designer in drawings}
    print(f"{arguments.out}: {table.num_rows} rows {counts}, {arguments.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
