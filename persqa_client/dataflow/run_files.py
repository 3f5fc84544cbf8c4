"""Where the run behind an operator keeps its journal, by what is asked, and the pictures that its frame held: in the
storage's cache folder. Reads and writes files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from persqa_client.dataflow.cells import PictureFolder
from persqa_client.errors import StorageError
from persqa_client.jsonl import dump, load_object

Line = dict[str, Any]

FOLDER = "persqa_runs"


def cache_folder(storage: Any) -> Path | None:
    """None where the storage keeps all in memory."""
    cache = getattr(storage, "cache_path", None)
    return Path(cache) / FOLDER if cache else None


@contextmanager
def picture_folder(storage: Any) -> Iterator[PictureFolder]:
    """One for all runs of the storage; without a cache folder, one for as long as it is held."""
    if (cache := cache_folder(storage)) is not None:
        yield PictureFolder(cache / "pictures")
        return
    with TemporaryDirectory(prefix="persqa-") as folder:
        yield PictureFolder(Path(folder))


def run_folder(storage: Any, output_key: str, identity: object, rows: Sequence[bytes]) -> Path | None:
    """The folder of the run that asks these rows in this way; None where the storage has no cache folder.

    The same frame and settings find the same folder, and go on there; others are a run of their own.
    """
    if (cache := cache_folder(storage)) is None:
        return None
    digest = blake2b(dump(identity), digest_size=6)
    for row in rows:
        digest.update(row + b"\n")
    prefix = getattr(storage, "file_name_prefix", None) or "dataflow"
    step = getattr(storage, "operator_step", None)
    name = f"{prefix}_step{step + 1}" if isinstance(step, int) else str(prefix)
    return cache / f"{name}_{output_key}_{digest.hexdigest()}".replace("/", "_")


def write_rows(folder: Path, rows: Sequence[bytes]) -> Path:
    """The rows as the input of the run, unless they lie there already. Raises StorageError."""
    path = folder / "rows.jsonl"
    text = b"".join(row + b"\n" for row in rows)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_bytes() != text:
            path.write_bytes(text)
    except OSError as error:
        raise StorageError(f"The rows can't be written to {path}: {error.strerror or error}.") from error
    return path


def lines_of(path: Path) -> Iterator[Line]:
    """Bit by bit: with what is told of each answer, they are several times the size of the rows."""
    if path.exists():
        with path.open("rb") as file:
            yield from map(load_object, file)
