"""The folder through which processes of one machine share the limits of an account.

Each endpoint has its own folder in it, with a file of what is reserved and who takes part, a lock for this file, and a
lock that each process holds while it lives. The system releases the locks of a process that is killed.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from persqa_client.errors import SettingsError, StorageError
from persqa_client.jsonl import dump_compact, load_object
from persqa_client.limits.account import Account

STATE, LOCK, PROCESSES = "account.json", "account.lock", "processes"
# Seconds until the lock of the file is given up; it is held for less than a millisecond.
LOCK_TIMEOUT, LOCK_POLL = 30.0, 0.005

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class AccountFolder:
    """The folder for all endpoints. Nothing is written until ``check`` or ``join`` is called."""

    path: Path

    def of_endpoint(self, base_url: str) -> Path:
        host = "".join(letter if letter.isalnum() or letter in ".-" else "_" for letter in base_url.split("//")[-1])
        return self.path / f"{host[:60]}-{blake2b(base_url.encode(), digest_size=4).hexdigest()}"

    def check(self) -> None:
        """Raises SettingsError if files can't be made in the folder."""
        probe = self.path / f".{secrets.token_hex(8)}"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise SettingsError(
                f"--share-limits {self.path}: no file can be made there ({error.strerror or error}); give a folder on "
                "this machine that all processes can write"
            ) from error


class AccountMember:
    """One process among those that share the limits of an endpoint. Thread-safe."""

    def __init__(self, folder: Path, settings: str) -> None:
        """``settings``: the limits in words, which all processes must have."""
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._folder = folder
        self._settings = settings
        self._thread = threading.Lock()
        self._lock = FileLock(folder / LOCK, timeout=LOCK_TIMEOUT, poll_interval=LOCK_POLL, thread_local=False)
        self._own_lock = self._make_process_lock(self.name)

    def _make_process_lock(self, name: str) -> FileLock:
        return FileLock(self._folder / PROCESSES / name, timeout=0, thread_local=False)

    def update(self, change: Callable[[Account, float], Value]) -> Value:
        """Changes the shared account, which is locked for the other processes meanwhile. ``change`` gets the account
        and the time.

        Joins at the first call. Raises SettingsError if other processes have other limits, StorageError if the files
        can't be read or written.
        """
        with self._hold() as account:
            now = time.monotonic()
            self._remove_dead(account, now)
            if not account.processes:
                account.settings = self._settings
            elif account.settings != self._settings:
                raise SettingsError(
                    f"other processes share {self._folder.parent} with other limits ({account.settings}), and this one "
                    f"has {self._settings}: give all of them the same, or wait until they end"
                )
            value = change(account, now)
            self._write(account)
            return value

    def leave(self) -> None:
        """Gives its share to the others. What can't be written now is found by them, as after a kill."""
        with suppress(StorageError), self._hold() as account:
            account.remove(self.name)
            self._write(account)
        with suppress(OSError):
            os.unlink(self._own_lock.lock_file)
        self._own_lock.release()

    @contextmanager
    def _hold(self) -> Iterator[Account]:
        try:
            with self._thread:
                if not self._own_lock.is_locked:
                    (self._folder / PROCESSES).mkdir(parents=True, exist_ok=True)
                    self._own_lock.acquire()
                with self._lock:
                    yield self._read()
        except Timeout as error:
            raise StorageError(f"{error.lock_file} is held by another process, which may be stopped: end it") from error
        except OSError as error:
            raise StorageError(
                f"the limits can't be shared through {self._folder} ({error.strerror or error}): free space or fix the "
                "file system"
            ) from error

    def _read(self) -> Account:
        """Reads the account. A file that can't be read counts as new: all running processes report again within a
        second.
        """
        try:
            return Account.from_json(load_object((self._folder / STATE).read_bytes()))
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return Account(self._settings)

    def _write(self, account: Account) -> None:
        """Writes the account without a sync: after a power failure there are no processes that share it."""
        temporary = self._folder / f"{STATE}.tmp"
        temporary.write_bytes(dump_compact(account.to_json()))
        os.replace(temporary, self._folder / STATE)

    def _remove_dead(self, account: Account, now: float) -> None:
        for name in account.list_silent(now):
            if name != self.name and not self._is_alive(name):
                account.remove(name)

    def _is_alive(self, name: str) -> bool:
        """Whether it holds its lock, as a process does that is stopped or slow."""
        lock = self._make_process_lock(name)
        try:
            lock.acquire()
        except Timeout:
            return True
        with suppress(OSError):
            os.unlink(lock.lock_file)
        lock.release()
        return False
