"""``--uuid auto|on|off`` and its earlier forms."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from persqa_client.cli.run import complete_uuid_flag
from persqa_client.simulator.server import DEFAULT_MODEL, SimSettings, run_simulator
from tests.support.cases import each_case
from tests.support.commands import persqa


@each_case(
    ("args", "completed"),
    [
        (["a", "--uuid"], ["a", "--uuid=auto"]),
        (["--uuid", "photos/", "-o", "out"], ["--uuid=auto", "photos/", "-o", "out"]),
        (["--uuid", "--no-probes"], ["--uuid=auto", "--no-probes"]),
        (["--uuid", "on", "a"], ["--uuid", "on", "a"]),
        (["--uuid=off", "a"], ["--uuid=off", "a"]),
        ([], []),
    ],
)
def test_a_flag_without_a_value_is_auto(args: list[str], completed: list[str]) -> None:
    assert complete_uuid_flag(args) == completed


@pytest.mark.parametrize(
    ("flags", "config", "works", "by_uuid"),
    [
        pytest.param((), "", True, True, id="auto"),
        pytest.param((), "", False, False, id="auto, where uuids are counted but not shown"),
        pytest.param(("--uuid",), "uuid = false", True, True, id="auto, the earlier flag", marks=pytest.mark.slow),
        pytest.param((), "uuid = true", True, True, id="auto, the earlier value in a file", marks=pytest.mark.slow),
        pytest.param((), "uuid = false", True, False, id="off, the earlier value in a file"),
        pytest.param(("--uuid", "on"), "uuid = false", False, True, id="on"),
        pytest.param(("--no-uuid",), 'uuid = "on"', True, False, id="off"),
        pytest.param((), "no-uuid = true", True, False, id="off in a file", marks=pytest.mark.slow),
    ],
)
def test_the_choice_decides_what_is_sent(
    tmp_path: Path, flags: tuple[str, ...], config: str, works: bool, by_uuid: bool
) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(tmp_path / "photos" / "a.png")
    (tmp_path / "flags.toml").write_text(config)
    with run_simulator(SimSettings(latency=0, blind_to_uuids=not works)) as server:
        result = persqa(
            *("run", "photos", "-o", "out.jsonl", "--base-url", server.base_url, "--model", DEFAULT_MODEL),
            *("--questions", "2", "--config", "flags.toml", *flags),
            cwd=tmp_path,
        )
    assert result.returncode in {0, 1}, result.stderr
    assert ("by uuid only" in result.stdout) == by_uuid


def test_another_value_is_refused(tmp_path: Path) -> None:
    result = persqa("run", "a.png", "-o", "out.jsonl", "--uuid=maybe", cwd=tmp_path)
    assert result.returncode == 2
    assert "--uuid" in result.stderr
