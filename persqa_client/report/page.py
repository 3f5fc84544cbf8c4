"""Renders the page: a frame with hashed style and script, and the data as JSON that is not executed. Writes a file."""

from __future__ import annotations

import base64
import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from persqa_client.errors import SettingsError
from persqa_client.report.data import ReportData, escape_json, name_outputs
from persqa_client.report.rows import ReportedRun, read_run, refuse_repeated_outputs
from persqa_client.storage.durable import temporary_path, write_error
from persqa_client.storage.run_files import RunFiles

WEB = Path(__file__).with_name("web")
TEMPLATE = "page.html.jinja"
STYLE = "report.css"
# In the order in which they are joined to one script: that of a file, and that of a page that is served.
SCRIPTS = (
    *("texts.js", "rows.js", "pairs.js", "figures.js", "plots.js", "gallery.js", "drafts.js", "decisions.js"),
    *("compare.js", "filters.js", "growing.js", "keys.js", "report.js"),
)
SERVED_SCRIPTS = ("texts.js", "served.js", *SCRIPTS[3:])
# Near the beginning of each report, so that it may be replaced by the next one.
GENERATOR = "persqa_client report"
SEARCHED_BYTES = 2048
# Maximum bytes of a name in a folder, on the usual file systems.
MAX_NAME_BYTES = 255


def write_report(
    outputs: Sequence[Path],
    page: Path,
    *,
    force: bool = False,
    on_read: Callable[[ReportData], None] | None = None,
    flag: str = "-o",
) -> ReportData:
    """Raises SettingsError if a run can't be read or the page must not be written, and StorageError if it can't be.

    ``force``: also replace a file that is not a report. ``on_read`` is called before the thumbnails are made, which
    takes most of the time. ``flag``: the one that names the page, for messages.
    """
    check_page_path(page, outputs, force=force, flag=flag)
    refuse_repeated_outputs(outputs)
    runs = [read_run(output) for output in outputs]
    data = ReportData(runs)
    if on_read is not None:
        on_read(data)
    temporary = shorten_name(temporary_path(page))
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        # Names of files may have bytes that are not UTF-8.
        with open(temporary, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.writelines(render_page(runs, data))
        os.replace(temporary, page)
    except OSError as error:
        raise write_error(page, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return data


def shorten_name(path: Path) -> Path:
    """Shortens the name to what a file system accepts: a page may have the longest name itself."""
    return path.with_name(os.fsdecode(os.fsencode(path.name)[-MAX_NAME_BYTES:]))


def check_page_path(page: Path, outputs: Sequence[Path], *, force: bool, flag: str = "-o") -> None:
    """Raises SettingsError for what must not be replaced."""
    for output in outputs:
        if RunFiles.for_output(output).includes(page):
            raise SettingsError(f"{page} is one of the files of the output {output}: choose another {flag}")
    try:
        mode = page.stat().st_mode
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise SettingsError(f"the name {page} is too long: choose a shorter {flag}") from error
        return
    if stat.S_ISDIR(mode):
        raise SettingsError(f"{page} is a folder: give {flag} a file in it, such as {page / 'report.html'}")
    if not stat.S_ISREG(mode):
        raise SettingsError(f"{page} is not a regular file: choose another {flag}")
    if not force and not is_report(page, flag):
        advice = ", or replace it with --force" if flag == "-o" else ""
        raise SettingsError(f"{page} exists and is not a report: choose another {flag}{advice}")


def is_report(page: Path, flag: str = "-o") -> bool:
    """An empty file may be replaced, too."""
    try:
        with page.open("rb") as file:
            start = file.read(SEARCHED_BYTES)
    except OSError as error:
        raise SettingsError(f"{page} can't be read ({error.strerror or error}): choose another {flag}") from error
    return not start or f'content="{GENERATOR}"'.encode() in start


def render_page(runs: Sequence[ReportedRun], data: ReportData) -> Iterator[str]:
    """Renders the page in pieces, so that it is never in memory as a whole."""
    style, script = read_style(), read_script(SCRIPTS)
    policy = make_policy(style, script, "img-src data:")
    parts = (Markup(escape_json(part)) for part in data.iter_parts())
    names = name_outputs([run.output for run in runs])
    yield from load_template().generate(
        generator=GENERATOR,
        policy=policy,
        title=", ".join(names),
        style=Markup(style),
        script=Markup(script),
        shared=Markup(escape_json(data.describe())),
        is_served=False,
        parts=parts,
    )


def render_served_page(names: Sequence[str], *, editable: bool) -> tuple[str, str]:
    """The page without rows, which it asks its server for, and its policy."""
    style, script = read_style(), read_script(SERVED_SCRIPTS)
    policy = make_policy(style, script, "img-src 'self' data:; connect-src 'self'")
    page = load_template().render(
        generator=GENERATOR,
        policy=policy,
        title=", ".join(names),
        style=Markup(style),
        script=Markup(script),
        shared=Markup(escape_json({"editable": editable, "is_matched": len(names) > 1})),
        is_served=True,
        parts=(),
    )
    return page, policy


def load_template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(WEB),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(TEMPLATE)


def read_style() -> str:
    return (WEB / STYLE).read_text(encoding="utf-8")


def read_script(names: Sequence[str]) -> str:
    return "\n".join((WEB / name).read_text(encoding="utf-8") for name in names)


def make_policy(style: str, script: str, sources: str) -> str:
    """No request leaves the page but to its own server, and no text in it can become style or script."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{hash_source(script)}'",
            f"style-src '{hash_source(style)}'",
            sources,
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
        )
    )


def hash_source(text: str) -> str:
    return f"sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}"
