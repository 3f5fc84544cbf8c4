"""The uuid under which a picture may be sent more than once: a digest of all that goes over the wire for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

import orjson

from persqa_client.types import Picture

SETTINGS = ("mm_processor_kwargs", "media_io_kwargs")
"""Request fields that change what a server makes of the same bytes."""


def name(picture: Picture, fields: Mapping[str, Any]) -> Picture:
    """The picture with its uuid: the same for the same bytes, type and settings, in every run.

    ``fields`` are a person's own request fields. A server shows the first picture of a uuid whatever comes under it
    later, so the digest is one for which nobody can make a second picture.
    """
    settings = {field: fields[field] for field in SETTINGS if fields.get(field)}
    digest = sha256(orjson.dumps([picture.media_type, settings], option=orjson.OPT_SORT_KEYS))
    digest.update(picture.data)
    return replace(picture, uuid=f"persqa-{digest.hexdigest()}")
