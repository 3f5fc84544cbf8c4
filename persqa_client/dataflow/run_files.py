"""Where the run behind an operator keeps its journal: in the storage's cache folder, by what is asked. Writes files."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from persqa_client.errors import StorageError
from persqa_client.jsonl import dump, dump_spaced

FOLDER = "persqa_runs"


def run_folder(storage: Any, output_key: str, identity: object, rows: Sequence[bytes]) -> Path | None:
    """The folder of the run that asks these rows in this way; None where the storage has no cache folder.

    The same frame and settings find the same folder, and go on there; others are a run of their own.
    """
    cache = getattr(storage, "cache_path", None)
    if not cache:
        return None
    digest = blake2b(dump(identity), digest_size=6)
    for row in rows:
        digest.update(row + b"\n")
    prefix = getattr(storage, "file_name_prefix", None) or "dataflow"
    step = getattr(storage, "operator_step", None)
    name = f"{prefix}_step{step + 1}" if isinstance(step, int) else str(prefix)
    return Path(cache) / FOLDER / f"{name}_{output_key}_{digest.hexdigest()}".replace("/", "_")


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


def as_lines(rows: Sequence[dict[str, Any]]) -> list[bytes]:
    """Rows as the lines of a run's input. What has no form in JSON becomes its text, and fails as a row does."""
    return [dump_spaced(tame(row)) for row in rows]


def tame(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): tame(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [tame(item) for item in value]
    is_plain = value is None or isinstance(value, str | int | float | bool)
    return value if is_plain else {"not a path": type(value).__name__}
