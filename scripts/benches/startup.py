"""The time to the first request: of a large input, and of a resumed run that is nearly finished."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benches.common import MODEL, Figure, make_images, persqa, write_rows
from persqa_client.config import Endpoint
from persqa_client.inputs.opening import open_source
from persqa_client.run.plan import RunPlan
from persqa_client.run.settings import make_run_settings
from persqa_client.storage.checkpoint import Checkpoint, FileLengths, write_checkpoint
from persqa_client.storage.run_files import RunFiles
from persqa_client.storage.tally import Tally
from persqa_client.types import START_POSITION

ROWS = 1_000_000
START_BAR, RESUME_BAR = 1.5, 5.0


def measure(folder: Path) -> Iterator[Figure]:
    images = make_images(folder / "pictures", 10)
    input = folder / "rows.jsonl"
    if not input.exists():
        write_rows(input, images, ROWS + 10)
    fresh = measure_first_request(input, folder / "fresh.jsonl", "--fresh")
    yield Figure(f"start to first request, {ROWS:,} rows", f"{fresh:.2f} s", f"< {START_BAR} s", fresh < START_BAR)
    write_interrupted_run(input, folder / "half.jsonl")
    resumed = measure_first_request(input, folder / "half.jsonl")
    yield Figure(f"resume over {ROWS:,} rows", f"{resumed:.2f} s", f"< {RESUME_BAR} s", resumed < RESUME_BAR)
    write_interrupted_run(input, folder / "half.jsonl")
    input.touch()
    touched = measure_first_request(input, folder / "half.jsonl")
    yield Figure("the same, the input touched since", f"{touched:.2f} s", f"< {RESUME_BAR} s", touched < RESUME_BAR)


def measure_first_request(input: Path, output: Path, *flags: str) -> float:
    """Seconds from the start of the process to its first chat request; other requests get a 404."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        command = persqa("run", input, "-o", output, "--base-url", base_url, "--model", MODEL, "--no-probes", *flags)
        began = time.perf_counter()
        process = subprocess.Popen([str(word) for word in command], stdout=sys.stderr, stderr=subprocess.STDOUT)
        try:
            while not is_chat_request(listener):
                pass
            return time.perf_counter() - began
        finally:
            process.kill()
            process.wait()


def is_chat_request(listener: socket.socket) -> bool:
    """Accept one connection, and answer a request that is not a chat with a 404."""
    connection, _ = listener.accept()
    with connection:
        if connection.recv(65536).startswith(b"POST"):
            return True
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return False


def write_interrupted_run(input: Path, output: Path) -> None:
    """Write the files of a killed run that has finished all but the last ten rows."""
    files = RunFiles.for_output(output)
    source = open_source(input, "image")
    position, written = START_POSITION, 0
    with files.partial.open("wb") as partial:
        for line, position in source.lines(START_POSITION):
            written += partial.write(line[:-1] + b', "pers_qa": "Question: Where is <mam>?, Answer: <mam> is here."}\n')
            if position.number == ROWS:
                break
    files.failed_partial.touch()
    settings = make_run_settings(
        [Endpoint(base_url="http://127.0.0.1:1/v1", model=MODEL)], {}, input=input, output=output
    )
    tally = Tally(rows=ROWS, tasks=ROWS, succeeded=ROWS, attempts=ROWS)
    identity, counts = RunPlan(settings, input.parent).identity(), tally.to_json()
    lengths = FileLengths(written)
    write_checkpoint(
        files, Checkpoint(identity, source.fingerprint(), position=position, lengths=lengths, tally=counts)
    )
