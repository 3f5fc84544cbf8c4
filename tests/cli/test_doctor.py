"""The doctor's findings, and whether it calls a server fit."""

from __future__ import annotations

from pathlib import Path

from persqa_client.simulator.server import SimSettings, running
from tests.commands import persqa


def test_it_tells_what_the_server_is_and_obeys(tmp_path: Path) -> None:
    with running(SimSettings(latency=0.0)) as server:
        told = persqa("doctor", "--base-url", server.base_url, cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert "structured_outputs is obeyed" in told.stdout
    assert "persqa-simulator" in told.stdout


def test_nothing_there_is_exit_3(tmp_path: Path) -> None:
    with running(SimSettings()) as gone:
        pass
    assert persqa("doctor", "--base-url", gone.base_url, cwd=tmp_path).returncode == 3


def test_a_server_that_refuses_pictures_is_not_fit(tmp_path: Path) -> None:
    with running(SimSettings(latency=0.0, limit_images=0)) as server:
        told = persqa("doctor", "--base-url", server.base_url, cwd=tmp_path)
    assert told.returncode == 3
    assert "structured_outputs is obeyed" in told.stdout, "the findings are told all the same"
    assert told.stderr.startswith("Error: This server is not fit for a run, since it refuses pictures: ")


def test_a_base_url_that_is_none_is_wrong_use(tmp_path: Path) -> None:
    told = persqa("doctor", "--base-url", "http://[::1/v1", cwd=tmp_path)
    assert (told.returncode, told.stderr) == (2, "Error: --base-url: must look like http://HOST:PORT/v1.\n")
