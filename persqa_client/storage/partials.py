"""The output and the failure file while they grow, and how much of them is whole rows. Writes both."""

from __future__ import annotations

from persqa_client.storage.checkpoint import Lengths
from persqa_client.storage.durable import Appender
from persqa_client.storage.run_files import RunFiles


class Partials:
    """``whole`` is how long both were after the last row that is complete; ``roll_back`` returns there."""

    def __init__(self, files: RunFiles, lengths: Lengths) -> None:
        self.whole = lengths
        self.output = Appender(files.partial, lengths.output)
        try:
            self.failed = Appender(files.failed_partial, lengths.failed)
        except BaseException:
            self.output.close()
            raise

    def mark(self) -> None:
        """Says that what has been written so far ends with a complete row."""
        self.whole = Lengths(self.output.length, self.failed.length)

    def roll_back(self) -> None:
        """Takes back the lines of a row that could not be written whole."""
        for appender, length in ((self.output, self.whole.output), (self.failed, self.whole.failed)):
            appender.length = length
            appender.mend()

    def sync(self) -> None:
        self.output.sync()
        self.failed.sync()

    def close(self) -> None:
        self.output.close()
        self.failed.close()
