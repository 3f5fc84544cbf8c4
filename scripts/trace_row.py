#!/usr/bin/env python3
"""Counts the functions and files of the package that one row passes through.

usage: trace_row.py [FOLDER] [--list] [--rows N] [--begin NAME]     FOLDER is a package; default: this checkout's

Runs ``persqa run --concurrency 1`` in this process, against the package's simulator in another, on rows with one
question and one JPEG each. The last row is the one that is watched, so start-up, imports and first connections are not
counted. How it is counted:

begin       the last row's task starts: the function that answers a row is called for the Nth time. ``--begin`` gives
            its name; by default it is the first of BEGIN_NAMES that a file called ``pipeline.py`` defines
answered    that call has returned its outcome
written     the output's ``.partial`` file holds N lines
entered     distinct Python functions whose code lies in the package and of which a call began between the marks. Until
            the row is answered: in its task, in tasks and callbacks that started from there, and in pool threads that
            prepare pictures. Then: everywhere but in threads that other tasks started. So neither the rows that are
            answered meanwhile nor periodic tasks count. A lambda, a comprehension or a generator expression belongs to
            the function around it; methods that ``dataclass`` writes lie in no file and are not counted
across      those that code in another file of the package, or none, has called at least once
resumed     the same as entered with the coroutines and generators that began before the row and went on during it
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import dis
import io
import json
import os
import runpy
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from types import CodeType, FrameType

PACKAGE = Path(__file__).resolve().parent.parent / "persqa_client"
BEGIN_NAMES = ("answer_row", "answer_task", "answer")
MODEL = "traced"

# Whether calls in the current context belong to the row. False in the main context, from which every task and
# asyncio.to_thread inherit; True in the row's; a plain pool thread inherits nothing and has the default.
belongs_to_row: ContextVar[bool] = ContextVar("belongs_to_row", default=True)


class RowTrace:
    """A profile function that collects what is called between the marks, in order of first entry."""

    def __init__(self, package: Path, partial: Path, begin: str, rows: int) -> None:
        self.prefix = f"{package}{os.sep}"
        self.partial = partial
        self.begin = begin
        self.rows = rows
        self.begin_calls = 0
        self.row_frame: FrameType | None = None
        self.entered: dict[tuple[str, str], None] = {}
        self.across: dict[tuple[str, str], None] = {}
        self.resumed: dict[tuple[str, str], None] = {}
        self.entered_until_answered: int | None = None
        self.is_written = False

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if self.is_written or not code.co_filename.startswith(self.prefix):
            return
        if event == "call":
            # The argument of RESUME is 0 where a call begins, and else says after what it goes on.
            is_start = code.co_code[frame.f_lasti + 1] & 3 == 0
            if is_start and code.co_name == self.begin:
                self.begin_calls += 1
                if self.begin_calls == self.rows:
                    self.row_frame = frame
                    belongs_to_row.set(True)
            if self.row_frame is not None and self.counts_here():
                function = self.name_function(code)
                (self.entered if is_start else self.resumed).setdefault(function)
                if is_start and self.calling_file(frame) != code.co_filename:
                    self.across.setdefault(function)
        elif event == "return" and self.row_frame is not None:
            if frame is self.row_frame and dis.opname[code.co_code[frame.f_lasti]].startswith("RETURN"):
                self.entered_until_answered = len(self.entered)
            self.is_written = count_lines(self.partial) >= self.rows

    def counts_here(self) -> bool:
        in_main_thread = threading.current_thread() is threading.main_thread()
        return belongs_to_row.get() or (in_main_thread and self.entered_until_answered is not None)

    def calling_file(self, frame: FrameType) -> str | None:
        """The file of the nearest caller in the package."""
        caller = frame.f_back
        while caller is not None and not caller.f_code.co_filename.startswith(self.prefix):
            caller = caller.f_back
        return caller.f_code.co_filename if caller is not None else None

    def name_function(self, code: CodeType) -> tuple[str, str]:
        """The file, relative to the package, and the qualified name."""
        name = code.co_qualname
        while ".<locals>.<" in name:
            name = name[: name.rindex(".<locals>.<")]
        return code.co_filename.removeprefix(self.prefix), name


def count_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def find_begin(package: Path) -> str:
    """The first of BEGIN_NAMES that the pipeline's module defines."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in package.rglob("pipeline.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    defined = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    for name in BEGIN_NAMES:
        if name in defined:
            return name
    sys.exit(f"trace_row.py: no pipeline.py in {package} defines one of {', '.join(BEGIN_NAMES)}: give --begin NAME")


@contextlib.contextmanager
def simulator(package: Path) -> Iterator[str]:
    """The address of a simulator in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", package.name, "sim", "--port", "0", "--model", MODEL]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                for word in line.split():
                    if word.startswith("http://") and word.rstrip(".").endswith("/v1"):
                        yield word.rstrip(".")
                        return
            sys.exit("trace_row.py: the simulator did not start")
        finally:
            process.terminate()


def write_rows(package: Path, folder: Path, rows: int) -> Path:
    """An input of so many rows, each with a picture of its own: one sample, with another quantization table each."""
    sample = (package / "samples" / "astronaut.jpg").read_bytes()
    last_entry = sample.index(b"\xff\xdb") + 2 + 2 + 64
    lines = []
    for number in range(1, rows + 1):
        name = f"{number}.jpg"
        (folder / name).write_bytes(sample[:last_entry] + bytes([number]) + sample[last_entry + 1 :])
        lines.append(json.dumps({"image": [name], "question": "What is <mam> wearing?"}) + "\n")
    path = folder / "rows.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    return path


def run_traced(package: Path, begin: str, rows: int) -> RowTrace:
    """Runs the rows in this process. Ends the program where the run fails."""
    with tempfile.TemporaryDirectory() as name, simulator(package) as url:
        folder = Path(name).resolve()
        output = folder / "qa.jsonl"
        trace = RowTrace(package, output.with_name(f"{output.name}.partial"), begin, rows)
        arguments = ["run", str(write_rows(package, folder, rows)), "-o", str(output), "--base-url", url]
        sys.argv = ["persqa", *arguments, "--model", MODEL, "--concurrency", "1"]
        sys.path.insert(0, str(package.parent))
        said = io.StringIO()
        belongs_to_row.set(False)
        threading.setprofile(trace)
        sys.setprofile(trace)
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                runpy.run_module(package.name, run_name="__main__", alter_sys=True)
            code: object = 0
        except SystemExit as end:
            code = end.code
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
    if code or not trace.is_written:
        sys.exit(f"trace_row.py: the run ended with {code} after {trace.begin_calls} rows:\n{said.getvalue()}")
    return trace


def describe(functions: dict[tuple[str, str], None]) -> str:
    return f"{len(functions):4} functions in {len({path for path, _ in functions}):3} files"


def main() -> int:
    parser = argparse.ArgumentParser(description="Counts the functions and files that one row passes through.")
    parser.add_argument("folder", nargs="?", type=Path, default=PACKAGE, help="the package (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="list the functions in order of first entry")
    parser.add_argument("--rows", type=int, default=40, help="rows of the run, at most 255 (default: %(default)s)")
    parser.add_argument("--begin", metavar="NAME", help="the function whose call begins a row (default: found by name)")
    options = parser.parse_args()
    package = options.folder.resolve()
    begin = options.begin or find_begin(package)
    trace = run_traced(package, begin, options.rows)
    entered = list(trace.entered)
    answered = dict.fromkeys(entered[: trace.entered_until_answered])
    print(f"begin: {begin}, row {options.rows}")
    print(f"{'until answered':<28}{describe(answered)}")
    print(f"{'until written':<28}{describe(trace.entered)}")
    print(f"{'of these, across files':<28}{describe(trace.across)}")
    print(f"{'until written, with resumed':<28}{describe(trace.entered | trace.resumed)}")
    if options.list:
        for path, name in entered:
            print(f"    {path:<32}{name}{'' if (path, name) in answered else '    (after the answer)'}")
        for path, name in trace.resumed:
            if (path, name) not in trace.entered:
                print(f"    {path:<32}{name}    (resumed)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
