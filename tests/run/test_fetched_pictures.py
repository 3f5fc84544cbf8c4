"""Runs whose rows name pictures by URL: what is downloaded, and what later starts and commands find of it."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from persqa_client import SettingsError, generate
from persqa_client.formats.export import ExportSettings, export_runs
from persqa_client.run.summary import Summary
from persqa_client.simulator.server import Simulator
from tests.support.commands import persqa


class PictureHandler(http.server.SimpleHTTPRequestHandler):
    counts: Counter[str]

    def do_GET(self) -> None:
        self.counts[self.path] += 1
        super().do_GET()

    def log_message(self, *words: Any) -> None:
        pass


class PictureServer(http.server.ThreadingHTTPServer):
    """Serves a folder on loopback."""

    def __init__(self, folder: Path) -> None:
        self.counts = Counter[str]()
        handler = type("Handler", (PictureHandler,), {"counts": self.counts})
        super().__init__(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))

    def url(self, name: str) -> str:
        return f"http://localhost:{self.server_port}/{name}"


@pytest.fixture
def pictures(tmp_path: Path) -> Iterator[PictureServer]:
    folder = tmp_path / "served"
    folder.mkdir()
    for colour in ("red", "green", "blue"):
        Image.new("RGB", (40, 30), colour).save(folder / f"{colour}.png")
    Image.new("RGB", (40, 30), "grey").save(folder / "grey", "JPEG")
    with PictureServer(folder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def rows(tmp_path: Path, pictures: PictureServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Red is in two rows, and one picture is not there."""
    monkeypatch.chdir(tmp_path)
    names = ["red.png", "green.png", "red.png", "missing.png", "grey"]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"image": [pictures.url(name)]}) + "\n" for name in names))
    return path


def go(rows: Path | str, output: str | None, simulator: Simulator, **flags: Any) -> Summary:
    known: dict[str, Any] = {"fetch": True, "fetch_allow": "localhost", **flags}
    return generate(rows, output, base_url=simulator.base_url, model="persqa-simulator", probes=False, **known)


def read_lines(path: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_bytes().splitlines()]


def test_pictures_are_downloaded_once_also_by_a_run_that_is_resumed(
    rows: Path, pictures: PictureServer, simulator: Simulator
) -> None:
    assert go(rows, "out/qa.jsonl", simulator, limit=2).tally.succeeded == 2
    go(rows, "out/qa.jsonl", simulator)
    lines, failed = read_lines("out/qa.jsonl"), read_lines("out/qa.failed.jsonl")
    assert [line["image"] for line in lines] == [
        [pictures.url(name)] for name in ("red.png", "green.png", "red.png", "grey")
    ]
    assert [(row["error"]["code"], row["image"]) for row in failed] == [
        ("fetch_missing", [pictures.url("missing.png")])
    ]
    assert pictures.counts == {"/red.png": 1, "/green.png": 1, "/missing.png": 1, "/grey": 1}
    identity = json.loads(Path("out/qa.run.json").read_bytes())["identity"]
    assert not [name for name in identity if "fetch" in name]


def test_later_runs_and_exports_need_no_server(rows: Path, pictures: PictureServer, simulator: Simulator) -> None:
    go(rows, "out/qa.jsonl", simulator)
    before = pictures.counts.copy()
    # The same rows with another seed, an output as the input of a run that downloads nothing, and a look for changes.
    assert go(rows, "out/other.jsonl", simulator, seed=1, limit=3).tally.succeeded == 3
    assert (
        go("out/qa.jsonl", "again.jsonl", simulator, output_key="two", fetch=False, fetch_allow=()).tally.succeeded == 4
    )
    assert go(rows, "out/qa.jsonl", simulator, recheck_pictures=True).notes == ()
    assert pictures.counts == before
    export_runs([Path("out/qa.jsonl")], ExportSettings("llava", Path("data")))
    assert sorted(path.name for path in Path("data/images").iterdir()) == ["green.png", "grey.jpg", "red.png"]


def test_a_failed_download_is_tried_again(rows: Path, pictures: PictureServer, simulator: Simulator) -> None:
    go(rows, "qa.jsonl", simulator)
    Image.new("RGB", (40, 30), "black").save("served/missing.png")
    assert go(rows, "qa.jsonl", simulator, retry_failed=True).tally.succeeded == 5
    assert pictures.counts["/missing.png"] == 2
    assert pictures.counts["/red.png"] == 1


def test_without_an_output_nothing_stays(rows: Path, simulator: Simulator) -> None:
    before = set(Path().iterdir())
    assert len(go(rows, None, simulator).records) == 4
    assert set(Path().iterdir()) == before


def test_private_addresses_are_refused_unless_named(rows: Path, simulator: Simulator, pictures: PictureServer) -> None:
    summary = go(rows, None, simulator, fetch_allow=(), max_bad_rows=0)
    assert {row["error"]["code"] for row in summary.failures} == {"fetch_refused"}
    assert "give fetch_allow localhost" in summary.failures[0]["error"]["message"]
    assert pictures.counts == {}


def test_without_the_flag_the_message_names_it(rows: Path, simulator: Simulator) -> None:
    summary = go(rows, None, simulator, fetch=False, fetch_allow=(), max_bad_rows=0)
    assert {row["error"]["code"] for row in summary.failures} == {"image_remote"}
    assert "fetch=True" in summary.failures[0]["error"]["message"]
    with pytest.raises(SettingsError, match="give fetch=True, too"):
        go(rows, None, simulator, fetch=False)
    with pytest.raises(SettingsError, match="'http://a' is not a host"):
        go(rows, None, simulator, fetch_allow="http://a")


@pytest.mark.parametrize("fetches", [True, False])
def test_an_input_of_urls_is_refused_at_once_without_the_flag(
    fetches: bool, tmp_path: Path, pictures: PictureServer, simulator: Simulator
) -> None:
    path = tmp_path / "many.jsonl"
    path.write_text(json.dumps({"image": pictures.url("red.png")}) + "\n" + '{"image": "http://localhost:9/"}\n' * 20)
    if fetches:
        assert go(path, None, simulator, limit=1).tally.succeeded == 1
    else:
        with pytest.raises(SettingsError, match="is not a local file; download it first, or give fetch=True"):
            go(path, None, simulator, fetch=False, fetch_allow=())


def test_a_dry_run_shows_the_downloaded_picture_and_leaves_nothing(rows: Path, tmp_path: Path) -> None:
    flags = ("--fetch", "--fetch-allow", "localhost", "-o", "qa.jsonl", "--base-url", "http://127.0.0.1:9/v1")
    result = persqa("run", rows, *flags, "--dry-run", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "data:image/png;base64" in result.stdout
    assert not (tmp_path / "persqa-fetched").exists()


def test_confined_rows_read_downloads_but_nothing_else_outside(
    pictures: PictureServer, tmp_path: Path, simulator: Simulator
) -> None:
    """The folder of the downloads is not one of those in which the rows' paths start."""
    root = tmp_path / "root"
    root.mkdir()
    rows = root / "rows.jsonl"
    names = [pictures.url("red.png"), "../served/green.png", "link.png"]
    rows.write_text("".join(json.dumps({"image": [name]}) + "\n" for name in names))
    output = tmp_path / "out" / "qa.jsonl"
    (root / "link.png").symlink_to(tmp_path / "served" / "blue.png")
    go(rows, str(output), simulator, confine_images=True, image_root=root)
    assert [line["image"] for line in read_lines(output)] == [[names[0]]]
    failed = read_lines(tmp_path / "out" / "qa.failed.jsonl")
    assert [row["error"]["code"] for row in failed] == ["image_outside", "image_outside"]
    assert pictures.counts == {"/red.png": 1}


def test_an_estimate_downloads_into_a_temporary_folder(
    rows: Path, pictures: PictureServer, simulator: Simulator, tmp_path: Path
) -> None:
    before = sorted(tmp_path.iterdir())
    words = ("estimate", str(rows), "--base-url", simulator.base_url, "--no-probes", "--pilot", "2", "--json")
    found = json.loads(persqa(*words, "--fetch", "--fetch-allow", "localhost", cwd=tmp_path).stdout)
    assert (found["usable_rows"], found["pictures"]["different"], found["pilot"]["questions"]) == (4, 3, 2)
    assert found["unusable"]["fetch_missing"]["count"] == 1
    assert found["command"].endswith(" --fetch --fetch-allow localhost -o qa.jsonl")
    assert sorted(tmp_path.iterdir()) == before
