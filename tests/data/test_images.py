import io
import pickle
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import encoded, noise
from PIL import Image

from gigatok.data import CorruptImageError, to_float, to_uint8
from gigatok.data import images as module
from gigatok.data.images import DecodedArray, decode_pixels, decode_reduced, decode_rgb, decode_with_traits


def test_every_byte_survives_the_round_trip_in_both_roundings() -> None:
    values = torch.arange(256, dtype=torch.uint8)
    for rounding in ("adm", "nearest"):
        assert torch.equal(to_uint8(to_float(values), rounding), values)


def test_to_float_spans_minus_one_to_one() -> None:
    assert to_float(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]


def test_adm_rounding_is_the_published_formula_and_clamps() -> None:
    values = torch.tensor([-3.0, -1.0, -0.5, 0.0, 0.003, 0.5, 1.0, 3.0])
    expected = [int(np.trunc(np.clip(127.5 * value + 128, 0, 255))) for value in values.tolist()]
    assert to_uint8(values).tolist() == expected


def test_to_uint8_takes_half_precision_and_gradients() -> None:
    values = torch.zeros(2, dtype=torch.float16, requires_grad=True)
    assert to_uint8(values).tolist() == [128, 128]


def test_transparency_is_laid_on_white() -> None:
    picture = Image.new("RGBA", (2, 1), (200, 0, 0, 255))
    picture.putpixel((1, 0), (0, 200, 0, 0))
    decoded = decode_rgb(encoded(picture), "x")
    assert [decoded.getpixel((0, 0)), decoded.getpixel((1, 0))] == [(200, 0, 0), (255, 255, 255)]


def test_palette_transparency_is_laid_on_white_too() -> None:
    picture = Image.new("P", (1, 1), 0)
    picture.putpalette([10, 20, 30])
    picture.info["transparency"] = 0
    assert decode_rgb(encoded(picture), "x").getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bit_grey_keeps_its_range() -> None:
    picture = Image.fromarray(np.array([[0, 0x8000, 0xFFFF]], dtype=np.uint16))
    decoded = np.asarray(decode_rgb(encoded(picture), "x"))
    assert decoded[0, :, 0].tolist() == [0, 0x80, 0xFF]


@pytest.mark.parametrize(("largest", "values"), [(65535, (0, 0x8000, 0xFFFF)), (4095, (0, 2048, 4095))])
def test_sixteen_bit_pgm_keeps_its_range(largest: int, values: tuple[int, ...]) -> None:
    """Pillow scales what has more than 8 bits to 16."""
    data = f"P5 3 1 {largest}\n".encode() + struct.pack(">3H", *values)
    assert np.asarray(decode_rgb(data, "x"))[0, :, 0].tolist() == [0, 0x80, 0xFF]
    assert decode_with_traits(data, "x").traits == {"16 bit"}


def test_whole_numbers_without_a_range_are_refused() -> None:
    picture = Image.fromarray(np.array([[0, 1 << 20]], dtype=np.int32))
    with pytest.raises(CorruptImageError, match="pixel mode I has no fixed range"):
        decode_rgb(encoded(picture, "TIFF"), "x")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_truncated_file_is_an_error_that_names_it(kind: str) -> None:
    data = encoded(noise(0, 64, 64), kind)
    assert decode_rgb(data, "x").size == (64, 64)
    with pytest.raises(CorruptImageError, match=r"photos/7\.img"):
        decode_rgb(data[: len(data) // 2], "photos/7.img")


@pytest.mark.parametrize("data", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_what_is_no_image_is_an_error(data: bytes) -> None:
    with pytest.raises(CorruptImageError, match="here"):
        decode_rgb(data, "here")


def test_a_broken_chunk_inside_a_png_is_an_error() -> None:
    data = encoded(noise(0))
    start = data.index(b"IDAT") - 4
    length = int.from_bytes(data[start : start + 4], "big")
    body, rest = data[start + 8 : start + 8 + length], data[start + 12 + length :]

    def chunk(name: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")

    for name, readable in ((b"IDAT", True), (b"\1\2\3\4", False)):
        split = data[:start] + chunk(b"IDAT", body[:50]) + chunk(name, body[50:]) + rest
        if readable:
            assert np.array_equal(decode_rgb(split, "x"), noise(0))
        else:
            with pytest.raises(CorruptImageError, match="broken PNG"):
                decode_rgb(split, "x")


@pytest.mark.filterwarnings("ignore")
def test_flipped_bytes_never_raise_anything_else() -> None:
    generator = np.random.default_rng(0)
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF"):
        data = np.frombuffer(encoded(noise(1), kind), dtype=np.uint8)
        failures = 0
        for _ in range(60):
            damaged = data.copy()
            damaged[generator.integers(len(data), size=4)] ^= generator.integers(1, 256, size=4, dtype=np.uint8)
            try:
                assert decode_rgb(damaged.tobytes(), "x").mode == "RGB"
            except CorruptImageError:
                failures += 1
        assert kind != "PNG" or failures > 0


def test_float_pixels_are_refused() -> None:
    with pytest.raises(CorruptImageError, match="pixel mode F"):
        decode_rgb(encoded(Image.new("F", (2, 2)), "TIFF"), "x")


def test_the_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(CorruptImageError("a.png", "torn")))
    assert (error.location, error.reason) == ("a.png", "torn")


def eps(ghost: str) -> bytes:
    """PostScript that leaves a mark when a program runs it."""
    return f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n({ghost}) (w) file closefile\nshowpage\n".encode()


def png_header(width: int, height: int) -> bytes:
    """A PNG file of that size and next to no content."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")

    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size + b"\x08\x02\0\0\0") + chunk(b"IDAT", zlib.compress(bytes(99)))


def test_only_image_formats_are_decoded_whatever_a_file_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    monkeypatch.setattr(subprocess, "check_call", lambda *words, **_: started.append(words))
    monkeypatch.setattr(subprocess, "Popen", lambda *words, **_: started.append(words))
    with pytest.raises(CorruptImageError, match="no image of a known format: PNG, JPEG"):
        decode_rgb(eps(str(tmp_path / "mark")), "innocent.png")
    assert not started


@pytest.mark.parametrize(("width", "height"), [(400_000, 1), (1, 400_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_sizes_are_bounded_before_anything_is_decoded(width: int, height: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(CorruptImageError, match=r"pixels are (more than|narrower than)|exceeds limit"):
        decode_rgb(png_header(width, height), "bomb.png")


@pytest.mark.filterwarnings("error")
def test_the_largest_photographs_are_within_the_bounds() -> None:
    assert decode_rgb(encoded(Image.new("1", (9331, 6530))), "x").size == (9331, 6530)
    assert decode_rgb(encoded(Image.new("RGB", (500, 10))), "x").size == (500, 10)


def test_transparency_may_be_dropped_as_other_loaders_do() -> None:
    picture = noise(0).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    dropped = np.asarray(decode_rgb(encoded(picture), "x", "dropped"))
    assert np.array_equal(dropped, np.asarray(noise(0)))
    assert not np.array_equal(np.asarray(decode_rgb(encoded(picture), "x")), dropped)


def test_traits_say_what_a_file_held_besides_its_pixels() -> None:
    clear, solid = noise(0).convert("RGBA"), noise(0).convert("RGBA")
    clear.putalpha(7)
    turned, upright = Image.Exif(), Image.Exif()
    turned[0x112], upright[0x112] = 8, 1
    buffer = io.BytesIO()
    noise(0).save(buffer, "PNG", exif=turned, save_all=True, append_images=[noise(1)])
    grey = Image.fromarray(np.array([[0, 0x8000]], dtype=np.uint16))
    for data, traits in (
        (encoded(noise(0)), set()),
        (encoded(solid), set()),
        (encoded(clear), {"transparency"}),
        (encoded(grey), {"16 bit"}),
        (buffer.getvalue(), {"EXIF rotation", "animation"}),
    ):
        assert decode_with_traits(data, "x").traits == traits
    for exif, traits in ((turned, {"EXIF rotation"}), (upright, set())):
        buffer = io.BytesIO()
        noise(0).save(buffer, "JPEG", exif=exif)
        found = decode_with_traits(buffer.getvalue(), "x.png")
        assert (found.traits, found.format) == (traits, "JPEG")


def tiff(bits: int, values: np.ndarray) -> bytes:
    """An uncompressed RGB image of that many bits a channel."""
    height, width, _ = values.shape
    pixels = values.astype(f"<u{bits // 8}").tobytes()
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, 8 + len(pixels)), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, 8), (277, 3, 1, 3), (278, 4, 1, height), (279, 4, 1, len(pixels)), (284, 3, 1, 1),
    ]  # fmt: skip
    head = struct.pack("<2sHI", b"II", 42, 8 + len(pixels) + 6)
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return head + pixels + struct.pack("<3H", bits, bits, bits) + directory + bytes(4)


DEEP = np.array([[[0, 0x8000, 0xFFFF], [0x1234, 0xFF00, 0x00FF]]])


@pytest.mark.parametrize(
    ("data", "traits"),
    [
        (tiff(16, DEEP), {"16 bit"}),
        (tiff(8, DEEP >> 8), set()),
        (b"P6 # of a camera\n2 1\n65535\n" + DEEP.astype(">u2").tobytes(), {"16 bit"}),
        (b"P6\n2 # 1\n1\t1023 " + (DEEP >> 6).astype(">u2").tobytes(), {"16 bit"}),
        (b"P3 2 1 65535\n" + b" ".join(b"%d" % value for value in DEEP.flat) + b"\n", {"16 bit"}),
        (b"P6 2 1 255\n" + (DEEP >> 8).astype(np.uint8).tobytes(), set()),
        (b"P6 2 1 100\n" + bytes([1, 2, 3, 4, 5, 100]), set()),
    ],
)
def test_colours_of_more_than_8_bits_are_named_in_every_format(data: bytes, traits: set[str]) -> None:
    assert decode_with_traits(data, "x").traits == traits


def test_reasons_name_no_objects() -> None:
    with pytest.raises(CorruptImageError) as caught:
        decode_rgb(b"<html>", "x")
    assert "0x" not in caught.value.reason
    with pytest.raises(CorruptImageError, match="empty file"):
        decode_rgb(b"", "x")


def jpeg(picture: Image.Image, **options: object) -> bytes:
    """Encoded by Pillow with its ``options``."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def by_pillow(data: bytes, side: int | None) -> DecodedArray:
    """What ``decode_pixels`` has to find."""
    if side is None:
        picture = decode_rgb(data, "x")
        return DecodedArray(np.asarray(picture), picture.size, None)
    reduced = decode_reduced(data, "x", side)
    return DecodedArray(np.asarray(reduced.picture), reduced.whole, reduced.box)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    seed=st.integers(0, 99),
    mode=st.sampled_from(["RGB", "L", "CMYK"]),
    quality=st.integers(5, 100),
    subsampling=st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]),
    progressive=st.booleans(),
    kept_rgb=st.booleans(),
    restarts=st.sampled_from([0, 1, 3]),
    side=st.one_of(st.none(), st.integers(1, 60)),
)
def test_a_jpeg_decoded_without_pillow_has_its_pixels(
    width: int,
    height: int,
    seed: int,
    mode: str,
    quality: int,
    subsampling: str,
    progressive: bool,
    kept_rgb: bool,
    restarts: int,
    side: int | None,
) -> None:
    """Whatever its kind, and at every part of its size."""
    if max(width, height) > module.LARGEST_ASPECT * min(width, height):
        width = height
    data = jpeg(
        noise(seed, width, height).convert(mode),
        quality=quality,
        progressive=progressive,
        restart_marker_blocks=restarts,
        **({"keep_rgb": True} if kept_rgb and mode == "RGB" else {"subsampling": subsampling} if mode == "RGB" else {}),
    )
    found, expected = decode_pixels(data, "x", side), by_pillow(data, side)
    assert (found.whole, found.box) == (expected.whole, expected.box)
    assert found.pixels.flags.writeable
    np.testing.assert_array_equal(found.pixels, expected.pixels)


def outcome(decoded: Callable[[], DecodedArray]) -> DecodedArray | str:
    """What was decoded, or why it was not."""
    try:
        return decoded()
    except CorruptImageError as error:
        return str(error)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 9),
    cut=st.one_of(st.none(), st.integers(0, 1500)),
    changes=st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 255)), max_size=4),
    side=st.sampled_from([None, 10]),
)
def test_damaged_jpegs_are_judged_by_pillow_alone(
    seed: int, cut: int | None, changes: list[tuple[int, int]], side: int | None
) -> None:
    """Cut off or with other bytes, a file gives the same pixels both ways or the same error."""
    damaged = bytearray(jpeg(noise(seed, 40, 30)))
    for place, value in changes:
        damaged[place % len(damaged)] = value
    data = bytes(damaged[:cut])
    found = outcome(lambda: decode_pixels(data, "x", side))
    np.testing.assert_equal(found, outcome(lambda: by_pillow(data, side)))


def test_ordinary_jpegs_pass_pillow_by_and_others_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(data: bytes, *_: object) -> Image.Image:
        raise AssertionError("Pillow was asked")

    ordinary = [jpeg(noise(0)), jpeg(noise(0).convert("L")), jpeg(noise(0), progressive=True)]
    others = [jpeg(noise(0).convert("CMYK")), encoded(noise(0)), ordinary[0][:-40]]
    monkeypatch.setattr(module, "decode_rgb", asked)
    for data in ordinary:
        assert decode_pixels(data, "x").pixels.shape == (20, 24, 3)
    for data in others:
        with pytest.raises(AssertionError, match="Pillow was asked"):
            decode_pixels(data, "x")
