"""Near duplicates: which pictures are, which are not, and that the search finds all of them."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance

from persqa_client.formats.near_duplicates import (
    BAND_BITS,
    BANDS,
    BITS,
    MAX_COMPARED,
    PlacedPicture,
    Signature,
    are_near,
    compute_signature,
    find_near_pairs,
    sign_image,
)
from persqa_client.formats.splits import Groups
from tests.formats.examples import draw_picture

SAMPLES = Path(__file__).parents[2] / "persqa_client" / "samples"
PHOTOS = sorted(SAMPLES.glob("*.jpg"))


def sign_file(path: Path) -> Signature:
    found = compute_signature(PlacedPicture(str(path), ()))
    assert found is not None
    return found


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda path: path.stem)
def test_a_photo_in_another_size_quality_or_brightness_is_near(photo: Path, tmp_path: Path) -> None:
    original = sign_file(photo)
    with Image.open(photo) as image:
        image.convert("RGB").resize((image.width // 2, image.height // 2)).save(tmp_path / "small.png")
        image.convert("RGB").save(tmp_path / "poor.jpg", quality=25)
        ImageEnhance.Brightness(image.convert("RGB")).enhance(1.05).save(tmp_path / "bright.webp")
    for path in tmp_path.iterdir():
        assert are_near(original, sign_file(path)), path.name


def test_other_photos_are_not_near() -> None:
    signatures = [sign_file(photo) for photo in PHOTOS]
    assert len(signatures) == 8
    assert list(find_near_pairs(signatures)) == []


def test_plain_pictures_of_other_colours_are_not_near() -> None:
    colours = [(0, 0, 0), (40, 0, 0), (255, 255, 255), (0, 0, 200)]
    assert list(find_near_pairs([sign_image(Image.new("RGB", (64, 64), colour)) for colour in colours])) == []


def test_a_turned_picture_is_another_one(tmp_path: Path) -> None:
    draw_picture(tmp_path / "a.png", 5)
    with Image.open(tmp_path / "a.png") as image:
        image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "b.png")
    assert not are_near(sign_file(tmp_path / "a.png"), sign_file(tmp_path / "b.png"))


def test_a_picture_that_cannot_be_read_has_no_signature(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    assert compute_signature(PlacedPicture(str(tmp_path / "a.png"), ())) is None
    assert list(find_near_pairs([None, None])) == []


def test_the_search_finds_what_a_comparison_of_all_pairs_finds() -> None:
    generator = random.Random(4)
    base = [generator.getrandbits(BITS) for _ in range(20)]
    signatures = []
    for _ in range(200):
        bits = generator.choice(base)
        for _ in range(generator.randrange(2 * BANDS)):
            bits ^= 1 << generator.randrange(BITS)
        signatures.append(Signature(bits, (generator.choice((0, 10, 30)), 0, 0)))
    pairs = itertools.combinations(range(200), 2)
    near = [pair for pair in pairs if are_near(signatures[pair[0]], signatures[pair[1]])]
    groups, found = Groups(), Groups()
    for one, other in near:
        groups.join([str(one), str(other)])
    for one, other in find_near_pairs(signatures):
        found.join([str(one), str(other)])
    names = [str(number) for number in range(200)]
    assert len({groups.find_name(name) for name in names}) < 190
    assert list(map(groups.find_name, names)) == list(map(found.find_name, names))


@pytest.mark.parametrize(("between", "expected"), [(MAX_COMPARED - 1, True), (MAX_COMPARED, False)])
def test_pictures_that_share_a_plain_part_only_are_compared_with_some(between: int, expected: bool) -> None:
    """Time would be quadratic otherwise."""
    generator = random.Random(7)
    plain = BITS - BAND_BITS
    one, *others = (generator.getrandbits(plain) << BAND_BITS for _ in range(between + 1))
    # One bit in each other band.
    near = one ^ sum(1 << band * BAND_BITS for band in range(1, BANDS))
    signatures = [Signature(bits, (250, 250, 250)) for bits in (one, *others, near)]
    assert ((0, between + 1) in find_near_pairs(signatures)) is expected


def test_a_near_duplicate_among_many_with_one_background_is_found() -> None:
    generator = random.Random(8)
    plain = 3 * BAND_BITS
    bits = [generator.getrandbits(BITS - plain) << plain for _ in range(2000)]
    bits.append(bits[0] ^ 0b1011 << plain)
    assert list(find_near_pairs([Signature(each, (250, 250, 250)) for each in bits])) == [(0, 2000)]
