"""Keeps the pictures that arrive, byte for byte, so that a person sees what leaves their machine. Writes files."""

from __future__ import annotations

import re
import threading
from hashlib import blake2b
from pathlib import Path

from persqa_client.errors import SettingsError

MEDIA_TYPE = re.compile(r"image/([a-z0-9]{1,8})")
NUMBERED = re.compile(r"(\d+)\.\w+")


class Keeper:
    """Writes each distinct picture once, as NNNNN.ext, counting on from what the folder holds.

    Makes the folder; raises SettingsError where it can't be had. Safe to use from several threads.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            numbered = (NUMBERED.fullmatch(path.name) for path in folder.iterdir())
            self.number = max((int(found[1]) for found in numbered if found), default=0)
        except OSError as error:
            raise SettingsError(f"--keep-pictures {folder} is no folder to write to: {error.strerror}.") from error
        self.seen: set[bytes] = set()
        self.lock = threading.Lock()

    def keep(self, data: bytes, media_type: str) -> None:
        """Raises OSError where the file can't be written; the picture then counts as not seen."""
        digest = blake2b(data, digest_size=16).digest()
        with self.lock:
            if digest not in self.seen:
                with (self.folder / f"{self.number + 1:05}.{extension(media_type)}").open("xb") as file:
                    file.write(data)
                self.number += 1
                self.seen.add(digest)


def extension(media_type: str) -> str:
    """By the type that the sender declared, whether it is true or not."""
    found = MEDIA_TYPE.fullmatch(media_type.lower())
    return {"jpeg": "jpg"}.get(found[1], found[1]) if found else "bin"
