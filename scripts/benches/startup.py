"""How soon the first request is sent: of a large input, and when a run goes on that is nearly done."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

from benches.common import MODEL, Figure, different_pictures, persqa, write_rows
from persqa_client.config import Endpoint, make_run_settings
from persqa_client.inputs.sources import START_POSITION, open_source
from persqa_client.run.plan import RunPlan
from persqa_client.storage.checkpoint import Checkpoint, FileLengths, write_checkpoint
from persqa_client.storage.run_files import RunFiles
from persqa_client.storage.tally import Tally

ROWS = 1_000_000
START_BAR, RESUME_BAR = 1.5, 5.0


def measure(folder: Path) -> list[Figure]:
    pictures = different_pictures(folder / "pictures", 10)
    input = folder / "rows.jsonl"
    if not input.exists():
        write_rows(input, pictures, ROWS + 10)
    fresh = seconds_to_first_request(input, folder / "fresh.jsonl", "--fresh")
    forge(input, folder / "half.jsonl")
    resumed = seconds_to_first_request(input, folder / "half.jsonl")
    forge(input, folder / "half.jsonl")
    input.touch()
    digested = seconds_to_first_request(input, folder / "half.jsonl")
    return [
        Figure(f"start to first request, {ROWS:,} rows", f"{fresh:.2f} s", f"< {START_BAR} s", fresh < START_BAR),
        Figure(f"resume over {ROWS:,} rows", f"{resumed:.2f} s", f"< {RESUME_BAR} s", resumed < RESUME_BAR),
        Figure("the same, the input touched since", f"{digested:.2f} s", f"< {RESUME_BAR} s", digested < RESUME_BAR),
    ]


def seconds_to_first_request(input: Path, output: Path, *flags: str) -> float:
    """From the start of the process to the first byte of its first chat request; looks at the server are answered."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        command = persqa("run", input, "-o", output, "--base-url", base_url, "--model", MODEL, "--no-probes", *flags)
        began = time.perf_counter()
        process = subprocess.Popen([str(word) for word in command], stdout=sys.stderr, stderr=subprocess.STDOUT)
        try:
            while not answered_look(listener):
                pass
            return time.perf_counter() - began
        finally:
            process.kill()
            process.wait()


def answered_look(listener: socket.socket) -> bool:
    """Takes one connection. Whether what came on it was a chat; anything else gets a 404, as where there is no list."""
    connection, _ = listener.accept()
    with connection:
        if connection.recv(65536).startswith(b"POST"):
            return True
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return False


def forge(input: Path, output: Path) -> None:
    """The files of a run that has all but the last ten rows, as a kill would leave them."""
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
    write_checkpoint(files, Checkpoint(identity, source.stamp(), position=position, lengths=lengths, tally=counts))
