"""The page of ``persqa run --report``: its path is checked before the run, and it is written at the end, whatever the
end is.
"""

from __future__ import annotations

import logging
import os
import traceback
from pathlib import Path

from persqa_client.cli.messages import print_message
from persqa_client.cli.report import announce_thumbnails, describe_report
from persqa_client.errors import SettingsError, StorageError
from persqa_client.storage.run_files import RunFiles


def check_report(page: Path, output: Path | None) -> None:
    """Makes the folder of the page. Raises SettingsError if the page can't be written there."""
    if output is None or str(output) == "-":
        raise SettingsError("--report needs an output file, such as -o qa.jsonl.")
    # Imported here and below, so that a run without a report starts earlier.
    from persqa_client.report.page import check_page_path

    check_page_path(page, [output], force=False, flag="--report")
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"--report: {page.parent} can't be made ({error.strerror or error}).") from error
    if not os.access(page.parent, os.W_OK | os.X_OK):
        raise SettingsError(f"--report: {page.parent} can't be written; name a file in another folder.")


def write_run_report(page: Path | None, output: Path | None) -> None:
    """Does nothing without a page, or if the run has not begun. What prevents it is a warning: the exit code says how
    the run ended.
    """
    if page is None or output is None or not has_begun(output):
        return
    from persqa_client.report.page import write_report

    try:
        data = write_report([output], page, on_read=announce_thumbnails, flag="--report")
        print_message(f"Report of {describe_report(data, page)}")
    except (SettingsError, StorageError) as error:
        warn_of_missing_report(output, page, str(error))
    except KeyboardInterrupt:
        warn_of_missing_report(output, page, "stopped")
    except Exception:
        print_message(traceback.format_exc().rstrip(), logging.ERROR)
        warn_of_missing_report(output, page, "this is a bug in persqa_client; please report it, with the lines above")


def has_begun(output: Path) -> bool:
    files = RunFiles.for_output(output)
    return any(path.exists() for path in (files.output, files.run, files.checkpoint))


def warn_of_missing_report(output: Path, page: Path, reason: str) -> None:
    print_message(
        f"Warning: no report was written ({reason.rstrip('.')}). The results are not affected; "
        f"persqa report {output} -o {page} writes it.",
        logging.WARNING,
    )
