"""TIFFs that Pillow reads as black or as noise, or not at all."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from PIL import Image

from persqa_client.errors import RowError
from persqa_client.images.decode import can_decode_compression
from persqa_client.images.prepare import load_image, measure_picture
from tests.images.image_files import check_and_decode, encode, is_near

WIDTH, HEIGHT = 64, 48
# Values of the photometric interpretation.
BLACK_IS_ZERO, RGB, YCBCR = 1, 2, 6


def make_tiff(
    bits: int,
    planes: int,
    sample_format: int,
    samples: bytes,
    *,
    photometric: int = RGB,
    channels: int = 3,
    extra_channels: tuple[int, ...] = (),
) -> bytes:
    """An uncompressed TIFF in little-endian order, in one strip, or one strip for each of the planes."""
    strips = channels if planes == 2 else 1
    size = len(samples) // strips
    shorts = {
        256: [WIDTH],
        257: [HEIGHT],
        258: [bits] * channels,
        259: [1],
        262: [photometric],
        277: [channels],
        284: [planes],
        338: extra_channels,
        339: [sample_format] * channels,
    }
    start = 8 + 2 + 12 * (len(shorts) + 2) + 4
    packed = {tag: struct.pack(f"<{len(values)}H", *values) for tag, values in shorts.items()}
    after = start + sum(len(values) for values in packed.values()) + 8 * strips
    packed[273] = struct.pack(f"<{strips}I", *(after + number * size for number in range(strips)))
    packed[279] = struct.pack(f"<{strips}I", *[size] * strips)
    directory, values = struct.pack("<H", len(packed)), b""
    for tag in sorted(packed):
        kind, width = (4, 4) if tag in (273, 279) else (3, 2)
        place = packed[tag].ljust(4, b"\0") if len(packed[tag]) <= 4 else struct.pack("<I", start + len(values))
        directory += struct.pack("<HHI", tag, kind, len(packed[tag]) // width) + place
        values += packed[tag]
    return b"II*\0" + struct.pack("<I", 8) + directory + bytes(4) + values + samples


def make_big_endian_big_tiff(samples: bytes) -> bytes:
    """Greys of 8 bits in one strip."""
    values = {256: WIDTH, 257: HEIGHT, 258: 8, 259: 1, 262: BLACK_IS_ZERO, 277: 1, 279: len(samples)}
    values[273] = 16 + 8 + 20 * (len(values) + 1) + 8
    entries = b"".join(struct.pack(">HHQQ", tag, 16, 1, value) for tag, value in sorted(values.items()))
    return b"MM\0+\0\x08\0\0" + struct.pack(">QQ", 16, len(values)) + entries + bytes(8) + samples


def find_error(data: bytes, folder: Path) -> RowError:
    """The error of sending a TIFF. Measuring it has the same one, or none if only the pixels show it."""
    (folder / "image.tif").write_bytes(data)
    with pytest.raises(RowError) as sent:
        load_image("image.tif", [folder], max_pixels=10**6)
    errors = {(sent.value.code, sent.value.message)}
    try:
        measure_picture("image.tif", [folder])
    except RowError as error:
        errors.add((error.code, error.message))
    assert len(errors) == 1
    return sent.value


def send(data: bytes, folder: Path) -> Image.Image:
    (folder / "image.tif").write_bytes(data)
    return check_and_decode(load_image("image.tif", [folder], max_pixels=10**6)).convert("RGB")


def test_planes_of_8_bits_are_read(tmp_path: Path) -> None:
    area = WIDTH * HEIGHT
    sent = send(make_tiff(8, 2, 1, bytes([200]) * area + bytes([60]) * area + bytes([30]) * area), tmp_path)
    assert is_near(sent.getpixel((20, 20)), (200, 60, 30), 5)


@pytest.mark.parametrize(
    ("bits", "planes", "sample_format"),
    [
        pytest.param(16, 2, 1, id="planes of 16 bits"),
        pytest.param(32, 1, 3, id="floating-point RGB"),
        pytest.param(64, 1, 3, id="double RGB"),
        pytest.param(32, 1, 1, id="32-bit RGB"),
    ],
)
def test_a_whole_file_of_another_kind_is_unsupported(
    bits: int, planes: int, sample_format: int, tmp_path: Path
) -> None:
    samples = bytes(WIDTH * HEIGHT * 3 * bits // 8)
    error = find_error(make_tiff(bits, planes, sample_format, samples), tmp_path)
    assert error.code == "image_unsupported"
    assert "save it as PNG" in error.message


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(make_big_endian_big_tiff(bytes(WIDTH * HEIGHT)), id="big-endian BigTIFF"),
        pytest.param(make_tiff(8, 2, 1, bytes(WIDTH * HEIGHT * 3), photometric=YCBCR), id="planes of YCbCr"),
    ],
)
def test_a_whole_file_that_pillow_takes_for_damaged_is_unsupported(data: bytes, tmp_path: Path) -> None:
    assert find_error(data, tmp_path).code == "image_unsupported"


@pytest.mark.parametrize("extra", [(2,), (0, 0, 0, 0)], ids=["grey and alpha", "five channels"])
@pytest.mark.parametrize("bits", [8, 16])
def test_planes_that_pillow_does_not_read_are_named(bits: int, extra: tuple[int, ...], tmp_path: Path) -> None:
    channels = 1 + len(extra)
    samples = bytes(WIDTH * HEIGHT * channels * bits // 8)
    data = make_tiff(bits, 2, 1, samples, photometric=BLACK_IS_ZERO, channels=channels, extra_channels=extra)
    error = find_error(data, tmp_path)
    assert error.code == "image_unsupported"
    assert "of a kind that is not supported" in error.message


def test_greys_of_32_bits_are_not_negative(tmp_path: Path) -> None:
    """Pillow reads values from 2,147,483,648 as negative ones."""
    row = struct.pack(f"<{WIDTH}I", *(number * 0xFFFFFFFF // (WIDTH - 1) for number in range(WIDTH)))
    sent = send(make_tiff(32, 1, 1, row * HEIGHT, photometric=BLACK_IS_ZERO, channels=1), tmp_path)
    for x in (0, 10, 30, 33, 50, 63):
        grey = round(255 * x / (WIDTH - 1))
        assert is_near(sent.getpixel((x, 20)), (grey, grey, grey), 5)


@pytest.mark.parametrize(
    "marks",
    [
        pytest.param([0xFFFFFFFF], id="one"),
        pytest.param([0xFFFFFFFF] * (WIDTH * HEIGHT // 3), id="missing values"),
        pytest.param([0x80000000] * (WIDTH * HEIGHT // 3), id="missing values without a sign"),
        pytest.param([0xFFFFD8F1] * 64, id="-9999 without a sign"),
        pytest.param([0x80000000, 0xC0000000, 0xFFFFFFFE], id="a few"),
    ],
)
def test_huge_values_among_greys_of_32_bits_do_not_hide_them(marks: list[int], tmp_path: Path) -> None:
    """One value often stands for all pixels that are missing."""
    row = [60_000 * number // (WIDTH - 1) for number in range(WIDTH)]
    values = marks + (row * HEIGHT)[len(marks) :]
    sent = send(
        make_tiff(32, 1, 1, struct.pack(f"<{len(values)}I", *values), photometric=BLACK_IS_ZERO, channels=1), tmp_path
    )
    last = sent.convert("L").crop((0, HEIGHT - 1, WIDTH, HEIGHT)).tobytes()
    assert last[50] - last[10] > 120


def test_a_drawing_of_the_least_and_largest_grey_is_not_inverted(tmp_path: Path) -> None:
    row = struct.pack(f"<{WIDTH}I", *([0] * (WIDTH // 2) + [0xFFFFFFFF] * (WIDTH // 2)))
    sent = send(make_tiff(32, 1, 1, row * HEIGHT, photometric=BLACK_IS_ZERO, channels=1), tmp_path)
    assert (sent.getpixel((1, 1)), sent.getpixel((WIDTH - 2, 1))) == ((0, 0, 0), (255, 255, 255))


@pytest.mark.parametrize(
    ("compression", "name"), [(50001, "webp"), (34887, "34887"), (50002, "50002")], ids=["WebP", "LERC", "JPEG XL"]
)
def test_a_compression_that_the_decoder_lacks_is_named(compression: int, name: str, tmp_path: Path) -> None:
    whole = make_tiff(8, 1, 1, bytes(3 * WIDTH * HEIGHT))
    data = whole.replace(struct.pack("<HHII", 259, 3, 1, 1), struct.pack("<HHII", 259, 3, 1, compression))
    assert data != whole
    if can_decode_compression(compression):
        pytest.skip("this Pillow decodes it")
    error = find_error(data, tmp_path)
    assert error.code == "image_unsupported"
    assert f"compression {name}" in error.message


def test_damage_is_not_taken_for_a_missing_codec(tmp_path: Path) -> None:
    data = encode(Image.effect_noise((64, 48), 90).convert("RGB"), "TIFF", compression="tiff_lzw")
    (tmp_path / "image.tif").write_bytes(data.replace(data[20:400], bytes(380)))
    with pytest.raises(RowError) as caught:
        load_image("image.tif", [tmp_path], max_pixels=10**6)
    assert caught.value.code == "image_truncated"


def test_a_colour_map_of_8_bits_keeps_its_colours(tmp_path: Path) -> None:
    image = Image.new("P", (WIDTH, HEIGHT), 1)
    image.putpalette([10, 20, 30, 200, 60, 30])
    tiff = encode(image, "TIFF")
    wide, narrow = (struct.pack("<2H", *levels) for levels in ((10 * 256, 200 * 256), (10, 200)))
    assert tiff.count(wide) == 1
    for before, after in ((10, 200), (20, 60), (30, 30)):
        tiff = tiff.replace(struct.pack("<2H", before * 256, after * 256), struct.pack("<2H", before, after))
    assert narrow in tiff
    assert is_near(send(tiff, tmp_path).getpixel((20, 20)), (200, 60, 30), 5)


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        pytest.param("image.tif", {254: 1, 330: 8}, id="a thumbnail before sub-images"),
        pytest.param("image.tif", {50706: b"\x01\x04\0\0"}, id="DNG"),
        pytest.param("image.NEF", {}, id="a suffix of raw photos"),
    ],
)
def test_a_raw_photo_is_not_sent_as_its_thumbnail(name: str, tags: dict[int, int | bytes], tmp_path: Path) -> None:
    Image.new("RGB", (160, 120), (200, 60, 30)).save(tmp_path / name, "TIFF", tiffinfo=tags)
    with pytest.raises(RowError) as caught:
        load_image(name, [tmp_path], max_pixels=10**6)
    assert (caught.value.code, "is a raw photo; export it as JPEG" in caught.value.message) == (
        "image_unsupported",
        True,
    )


def test_the_format_of_a_jpeg_does_not_depend_on_its_suffix(tmp_path: Path) -> None:
    Image.new("RGB", (160, 120), (200, 60, 30)).save(tmp_path / "image.dng", "JPEG")
    assert load_image("image.dng", [tmp_path], max_pixels=10**6).width == 160


@pytest.mark.parametrize("tags", [{254: 1}, {254: 0, 330: 8}], ids=["reduced only", "sub-images only"])
def test_other_tiffs_with_such_tags_are_read(tags: dict[int, int], tmp_path: Path) -> None:
    Image.new("RGB", (160, 120), (200, 60, 30)).save(tmp_path / "image.tif", tiffinfo=tags)
    assert load_image("image.tif", [tmp_path], max_pixels=10**6).width == 160
