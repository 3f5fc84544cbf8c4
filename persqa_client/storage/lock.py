"""The lock that keeps two runs off one output. Holds an OS lock on a file of its own."""

from __future__ import annotations

import os
from contextlib import suppress

from filelock import FileLock, Timeout

from persqa_client.errors import SettingsError
from persqa_client.storage.run_files import RunFiles


class RunLock:
    """Held from ``take`` to ``release``; a process that dies lets go of it."""

    def __init__(self, files: RunFiles) -> None:
        self.files = files
        # One run may be opened in one thread and closed in another.
        self.lock = FileLock(files.lock, timeout=0, thread_local=False)

    @property
    def free(self) -> bool:
        return not self.lock.is_locked

    def take(self) -> None:
        """Raises SettingsError where another run has it, or where nothing can be written in the folder."""
        output = self.files.output
        try:
            self.lock.acquire()
        except Timeout as error:
            if not self.files.lock.exists():
                # Some folders, such as those of /proc, answer that the new file is not found, which looks like a race.
                raise self.unwritable("no file can be made in it") from error
            raise SettingsError(
                f"another run is writing {output} right now: wait for its end, or choose another -o"
            ) from error
        except OSError as error:
            raise self.unwritable(error.strerror or str(error)) from error

    def unwritable(self, reason: str) -> SettingsError:
        return SettingsError(f"the folder {self.files.output.parent} can't be written ({reason}): choose another -o")

    def release(self) -> None:
        # Unlinked while still held: whoever has opened it meanwhile sees that it has no name any more and tries anew.
        if not self.free:
            with suppress(OSError):
                os.unlink(self.files.lock)
            self.lock.release()
