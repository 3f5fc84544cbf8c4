"""A pattern beside its own output reads the same rows at each start, whatever earlier starts have left there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from persqa_client import generate
from persqa_client.run.recheck import recheck_run
from persqa_client.run.summary import Summary
from persqa_client.simulator.server import Simulator
from tests.support.commands import Command, persqa

MODEL = "persqa-simulator"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "g").mkdir()
    for number, name in enumerate(("p1", "p2")):
        Image.new("RGB", (32, 24), (number * 90, 0, 0)).save(tmp_path / f"{name}.png")
    (tmp_path / "g" / "a.jsonl").write_text('{"image": "p1.png"}\n{"image": "p2.png"}\n{"image": "late.png"}\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def go(inputs: str, output: str, server: Simulator, **flags: Any) -> Summary:
    return generate(inputs, output, base_url=server.base_url, model=MODEL, probes=False, **flags)


@pytest.mark.parametrize("pattern", ["g/*.jsonl", "g/*"])
@pytest.mark.parametrize("without_details", [False, True])
def test_the_files_of_earlier_starts_are_no_rows(
    pattern: str, without_details: bool, work: Path, simulator: Simulator
) -> None:
    root = {"image_root": Path()}
    assert go(pattern, "g/q.jsonl", simulator, **root).tally.failed_total == 1
    if without_details:
        Path("g/q.details.jsonl").unlink()
    go(pattern, "g/q.jsonl", simulator, fresh=True, **root)
    go(pattern, "g/q.jsonl", simulator, fresh=True, **root)
    Image.new("RGB", (32, 24), (9, 9, 9)).save("late.png")
    assert go(pattern, "g/q.jsonl", simulator, **root).state == "already"
    retried = go(pattern, "g/q.jsonl", simulator, retry_failed=True, **root)
    assert (retried.tally.succeeded, retried.tally.failed_total) == (3, 0)
    # The kept runs are runs, whose pattern leaves out the newer ones.
    assert go(pattern, "g/q.1.jsonl", simulator, **root).state == "already"
    assert go(pattern, "g/q.2.jsonl", simulator, retry_failed=True, **root).tally.succeeded == 3
    Path("g/q.2.details.jsonl").unlink()
    assert recheck_run(Path("g/q.2.jsonl")).questions == 3


def test_a_user_s_own_numbered_files_are_rows(work: Path, simulator: Simulator) -> None:
    Path("g/a.jsonl").rename("g/q.1.jsonl")
    Path("g/q.2.jsonl").write_text('{"image": "p1.png"}\n')
    for fresh in (False, True):
        assert go("g/q.*.jsonl", "g/q.jsonl", simulator, image_root=Path(), fresh=fresh).tally.rows == 4
    assert Path("g/q.3.run.json").exists()


def test_a_file_that_takes_the_output_of_the_shell_is_no_input(work: Path, simulator: Simulator) -> None:
    words = ["run", "g/*", "--base-url", simulator.base_url, "--model", MODEL, "--no-probes"]
    Path("g/out.jsonl").write_text('{"image": "p1.png"}\n')
    with open("g/out.jsonl", "a") as out, open("g/log.txt", "w") as log:
        flags = ["--image-root", ".", "-o", "-", "--failed", "failed.jsonl"]
        done = Command(None, [*words, *flags], work, stdout=out.fileno(), stderr=log.fileno())
        done.communicate(timeout=60)
    assert (done.returncode, len(Path("g/out.jsonl").read_bytes().splitlines())) == (1, 3), Path(
        "g/log.txt"
    ).read_text()


def test_a_folder_does_not_report_the_files_of_its_own_run(work: Path, simulator: Simulator) -> None:
    """Other files there are reported: those of another run, too."""
    Path("g/p1.png").write_bytes(Path("p1.png").read_bytes())

    def warnings(*flags: str, output: str = "g/q.jsonl") -> str:
        command = ("run", "g", "-o", output, "--base-url", simulator.base_url, "--model", MODEL, "--no-probes")
        return persqa(*command, *flags, cwd=work).stderr

    for flags in ((), ("--fresh",), ("--fresh",)):
        assert "In g, 1 file is not an image and is skipped (1 with .jsonl)." in warnings(*flags)
    assert "(13 with .jsonl, 3 with .json)" in warnings(output="g/r.jsonl")
