"""An input that can't be read on stops the run, which can be resumed once it is corrected."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from persqa_client.simulator.server import Simulator
from tests.support.commands import lines_in, persqa
from tests.support.run_folder import fast_simulator

# As many rows of long paths as are more than the first lines that are looked at.
ROWS = 400


def run(folder: Path, server: Simulator) -> tuple[int, str]:
    arguments = ("run", "list.txt", "-o", "qa.jsonl", "--base-url", server.base_url, "--model", "persqa-simulator")
    result = persqa(*arguments, "--no-probes", "--concurrency", "4", cwd=folder)
    return result.returncode, result.stderr


def test_a_heading_far_down_in_a_list_is_named_with_the_way_to_go_on(tmp_path: Path) -> None:
    pictures = tmp_path / ("d" * 200)
    pictures.mkdir()
    Image.new("RGB", (32, 32), (200, 0, 0)).save(pictures / "1.png")
    path = f"{pictures.name}/1.png\n"
    (tmp_path / "list.txt").write_text(path * ROWS + "\nsub:\n1.png\n")
    with fast_simulator() as server:
        code, stderr = run(tmp_path, server)
        assert code == 2
        assert f"is a listing from line {ROWS + 2} on, which is 'sub:', the heading of a folder" in stderr
        assert "Nothing is lost. Run the same command again to resume qa.jsonl." in stderr
        (tmp_path / "list.txt").write_text(path * ROWS + "\n" + path)
        assert run(tmp_path, server)[0] == 0
        assert server.stats()["answered"] < ROWS + 40
    assert lines_in(tmp_path / "qa.jsonl") == ROWS + 1
