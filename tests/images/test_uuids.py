"""The uuid of a picture: the same for what is the same on the wire, and for nothing else."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from persqa_client.images.cache import add_image_uuid
from persqa_client.types import EncodedImage

PICTURE = EncodedImage(b"\xff\xd8picture", "image/jpeg", 40, 30)
FIELDS: dict[str, Any] = {"top_k": 20, "mm_processor_kwargs": {"min_pixels": 1, "max_pixels": 784}}


def test_a_uuid_stays_what_it_was_from_run_to_run() -> None:
    assert add_image_uuid(PICTURE, {}).uuid == "persqa-" + sha256(b'["image/jpeg",{}]\xff\xd8picture').hexdigest()


def test_all_else_of_the_picture_stays() -> None:
    assert replace(add_image_uuid(PICTURE, FIELDS), uuid=None) == PICTURE


@pytest.mark.parametrize(
    ("picture", "fields"),
    [
        pytest.param(replace(PICTURE, data=b"\xff\xd8picturf"), FIELDS, id="bytes"),
        pytest.param(replace(PICTURE, media_type="image/png"), FIELDS, id="media type"),
        pytest.param(PICTURE, {"mm_processor_kwargs": {"min_pixels": 1, "max_pixels": 785}}, id="processor settings"),
        pytest.param(PICTURE, {**FIELDS, "media_io_kwargs": {"image": {"mode": "L"}}}, id="decoder settings"),
        pytest.param(PICTURE, {}, id="no settings"),
    ],
)
def test_what_changes_the_picture_that_is_seen_changes_the_uuid(picture: EncodedImage, fields: dict[str, Any]) -> None:
    assert add_image_uuid(picture, fields).uuid != add_image_uuid(PICTURE, FIELDS).uuid


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"mm_processor_kwargs": {"max_pixels": 784, "min_pixels": 1}}, id="other fields, another order"),
        pytest.param({**FIELDS, "media_io_kwargs": {}}, id="empty settings"),
    ],
)
def test_what_does_not_change_it_leaves_the_uuid(fields: dict[str, Any]) -> None:
    assert add_image_uuid(PICTURE, fields).uuid == add_image_uuid(PICTURE, FIELDS).uuid
