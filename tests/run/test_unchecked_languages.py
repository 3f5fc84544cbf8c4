"""A run says once that refusals are not recognized in a language, on screen and in the run file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
from PIL import Image

from persqa_client import Endpoint
from persqa_client.inputs.opening import open_source
from persqa_client.run.run import Run
from persqa_client.run.settings import make_run_settings
from persqa_client.run.summary import list_results
from persqa_client.simulator.server import SimSettings, run_simulator


def warnings_of(folder: Path, *questions: str) -> tuple[list[str], list[str]]:
    """On screen, and in the run file."""
    Image.new("RGB", (40, 30), (200, 0, 0)).save(folder / "red.png")
    rows = [{"image": "red.png", "question": question} for question in questions]
    (folder / "rows.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    warnings: list[str] = []
    with run_simulator(SimSettings(latency=0.0)) as server:
        endpoint = Endpoint(base_url=server.base_url, model="persqa-simulator")
        settings = make_run_settings((endpoint,), {}, input=folder / "rows.jsonl", output=folder / "qa.jsonl")
        run = Run(settings, open_source(folder / "rows.jsonl", "image"), warn=warnings.append)
        summary = asyncio.run(run.execute())
    # It is neither repeated there nor about the server.
    assert not [text for _, text in list_results(summary) if "questions are" in text]
    notes = orjson.loads((folder / "qa.run.json").read_bytes())["notes"]
    return [warning for warning in warnings if "questions" in warning], [note for note in notes if "questions" in note]


def test_a_language_without_a_table_is_named_once(tmp_path: Path) -> None:
    on_screen, in_file = warnings_of(tmp_path, "Wat draagt <mam>?", "Wat doet <mam>?", "What is <mam> doing?")
    assert on_screen == in_file
    assert [warning.partition(".")[0] for warning in on_screen] == ["Some questions are in Dutch (nl)"]
    assert "refusals" in on_screen[0]


def test_languages_with_tables_need_no_warning(tmp_path: Path) -> None:
    assert warnings_of(tmp_path, "What is <mam> doing?", "<mam>在做什么？", "¿Qué hace <mam>?") == ([], [])
