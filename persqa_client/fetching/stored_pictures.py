"""Pictures in object stores: which of them may be read, and one attempt to read one."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from filelock import FileLock

from persqa_client.errors import RowError, SettingsError, StorageError, UnusableInput
from persqa_client.fetching.daemon_threads import start_thread
from persqa_client.fetching.downloads import FailedAttempt, too_large_error
from persqa_client.fetching.policy import FetchLimits
from persqa_client.images.fetched_files import name_digest
from persqa_client.images.members import Member, load_member, parse_member
from persqa_client.stores.access import (
    PASSWORD_GIVEN,
    describe_store_reason,
    find_credential_fault,
    forget_store,
    has_password,
    lower_scheme,
    read_object,
    read_status,
)
from persqa_client.stores.paths import ObjectPath, name_store

# The folder of downloads in progress.
PARTS = ".parts"
# Beside the pictures of a file of many rows: the version of the file that they are from.
VERSION = "version"


@dataclass(frozen=True, slots=True)
class AllowedStores:
    """Reading uses the credentials of this machine, and rows may come from anybody. So only the buckets are read that
    the user has named, unless ``any_store``.
    """

    # As ``name_store`` names them.
    named: frozenset[str] = frozenset()
    any_store: bool = False
    # Folders that no picture may lie outside of; None if pictures are not confined.
    places: tuple[str, ...] | None = None

    def includes(self, url: str) -> bool:
        return self.any_store or name_store(url) in self.named

    def check(self, url: str) -> None:
        """Raises RowError."""
        if has_password(url):
            raise RowError("fetch_refused", f"{PASSWORD_GIVEN}.")
        if self.places is not None and not any(is_below(lower_scheme(url), place) for place in self.places):
            raise RowError("image_outside", "lies outside of the folders to which images are confined; move it there.")
        if not self.includes(url):
            store = name_store(url)
            raise RowError(
                "fetch_refused",
                f"lies in {store}, which the command does not name: name it as --image-root {store}, or give --fetch.",
            )


def is_below(url: str, place: str) -> bool:
    """``..`` and ``.`` are names like others in an object store, but other programs may resolve them."""
    return url.startswith(f"{place.rstrip('/')}/") and not {"..", "."} & set(url.split("/"))


def list_stored_roots(roots: Sequence[Path]) -> tuple[str, ...]:
    return tuple(str(root) for root in roots if isinstance(root, ObjectPath))


def drop_old_members(folder: Path, version: str, locks: Path) -> None:
    """Removes the pictures that were downloaded into the folder from another version of the file. Blocks. Raises
    StorageError.

    ``locks``: a folder for the lock. Other processes, such as those of other shards, do the same.
    """
    marker = folder / VERSION
    try:
        locks.mkdir(parents=True, exist_ok=True)
        with FileLock(locks / f"{folder.parent.name}{folder.name}.lock"):
            if folder.exists():
                if marker.exists() and marker.read_text(encoding="utf-8") == version:
                    return
                shutil.rmtree(folder)
            folder.mkdir(parents=True)
            marker.write_text(version, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"The downloaded pictures in {folder} can't be replaced: {error.strerror}.") from error


class StoredPictureReader:
    """Reads whole pictures, each in a thread."""

    def __init__(self, limits: FetchLimits, folder: Path, stores: AllowedStores) -> None:
        """``folder``: that of all downloaded pictures. ``stores``: what a Parquet file may name in place of bytes."""
        self._limits = limits
        self._stores = stores
        self._folder = folder
        # Stores that are not only a row's choice: if they refuse the credentials, the run stops.
        self._trusted = set(stores.named)
        # Versions of files of many rows. Each is read once.
        self._versions: dict[str, asyncio.Task[str]] = {}
        self._free = asyncio.Semaphore(limits.per_host)

    async def find_version(self, reference: str) -> str:
        """The version of the file of many rows that has the picture; empty for other pictures. Pictures of other
        versions are removed. Raises StorageError if they can't be.
        """
        member = parse_member(reference)
        if member is None:
            return ""
        found = self._versions.get(member.file)
        if found is None:
            found = self._versions[member.file] = asyncio.create_task(self._read_version(member.file))
        return await asyncio.shield(found)

    async def _read_version(self, url: str) -> str:
        """Empty if the store can't be asked, or does not answer. The pictures stay then."""
        try:
            async with asyncio.timeout(self._limits.timeout):
                version = (await start_thread(partial(read_status, url), name="store")).version
        except Exception:  # each store has its own exceptions; a picture that is not there will meet it again
            return ""
        folder = self._folder / name_digest(url)
        await start_thread(partial(drop_old_members, folder, version, self._folder / PARTS), name="store")
        return version

    async def aclose(self) -> None:
        for task in self._versions.values():
            task.cancel()
        await asyncio.gather(*self._versions.values(), return_exceptions=True)

    async def download(self, reference: str, write: Callable[[bytes], object]) -> None:
        """Raises RowError without a subject, FailedAttempt, and UnusableInput like ``check_credentials``."""
        limits, version = self._limits, await self.find_version(reference)
        async with self._free:
            try:
                async with asyncio.timeout(limits.timeout):
                    data = await start_thread(partial(self._read_picture, reference, version), name="store")
            except TimeoutError as error:
                raise RowError(
                    "fetch_timeout", f"took longer than {limits.timeout:g} s; raise --fetch-timeout."
                ) from error
        self._trusted.add(name_store(reference))
        write(data)

    def _read_picture(self, reference: str, version: str) -> bytes:
        try:
            return read_stored_picture(reference, version, self._limits.max_bytes, self._stores)
        except (RowError, FailedAttempt) as error:
            if name_store(reference) in self._trusted:
                check_credentials(reference, error.__cause__)
            raise


def read_stored_picture(url: str, version: str, max_bytes: int, stores: AllowedStores) -> bytes:
    """A file, or a picture in a Parquet file or an archive of this version. Blocks.

    Raises RowError and FailedAttempt.
    """
    member = parse_member(url)
    try:
        if member is None:
            data = read_object(url, max_bytes)
        else:
            data = read_member_or_object(url, member, version, max_bytes, stores)
    except RowError:
        raise
    except SettingsError as error:
        raise RowError("fetch_failed", f"can't be downloaded: {error}.") from error
    except Exception as error:  # each store has its own exceptions
        raise_store_error(error)
    if isinstance(data, int):
        raise too_large_error(data, max_bytes)
    return data


def read_member_or_object(url: str, member: Member, version: str, max_bytes: int, stores: AllowedStores) -> bytes | int:
    """A file may have a name that looks like a picture in an archive: ``x.tar#y.png``. Raises like
    ``read_stored_member``.
    """
    try:
        return read_stored_member(member, version, max_bytes, stores)
    except (RowError, FileNotFoundError, SettingsError) as error:
        if isinstance(error, RowError) and error.code != "image_missing":
            raise
        try:
            return read_object(url, max_bytes)
        except FileNotFoundError:
            raise error from None
        except PermissionError as denied:
            # S3 also denies a file that is not there to credentials that may not list the bucket.
            if isinstance(error, RowError):
                raise error from denied
            raise


def read_stored_member(member: Member, version: str, max_bytes: int, stores: AllowedStores) -> bytes | int:
    """The picture, or its size if that is larger than the limit. Raises RowError, and what the store raises."""
    picture = load_member(member.file, version, member)
    if picture.data is None and picture.path:
        # The file of such a picture only names another file, of the same bucket.
        folder = ObjectPath(member.file).parent
        assert isinstance(folder, ObjectPath)
        other = folder.join_reference(picture.path)
        stores.check(other)
        return read_object(other, max_bytes)
    data = picture.data or b""
    return data if len(data) <= max_bytes else len(data)


def check_credentials(url: str, error: BaseException | None) -> None:
    """Raises UnusableInput if the store refuses the credentials of this machine, because they have expired or are not
    valid: all further pictures would fail. ``error``: what the store has raised. Blocks.
    """
    member = parse_member(url)
    fault = find_credential_fault(url if member is None else member.file, error)
    if fault is None:
        return
    store = name_store(url)
    forget_store(url)
    raise UnusableInput(
        "fetch_denied",
        f"{store} does not accept the credentials of this machine ({describe_store_reason(fault)}), so the run was "
        "stopped. Renew them. No row was marked as failed for this.",
        shown=store,
    ) from fault


def raise_store_error(error: Exception) -> NoReturn:
    """Raises RowError for what stays, and FailedAttempt for what may pass."""
    if isinstance(error, FileNotFoundError):
        raise RowError("fetch_missing", "does not exist; correct the URL.") from error
    if isinstance(error, PermissionError):
        reason = describe_store_reason(error)
        raise RowError("fetch_denied", f"is denied to the credentials of this machine ({reason}).") from error
    failed = RowError("fetch_failed", f"can't be downloaded: {describe_store_reason(error)}.")
    raise FailedAttempt(failed) from error
