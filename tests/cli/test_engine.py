"""Flags that go with one engine only are refused before anything is sent."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from tests.support.commands import persqa

NEEDS_RAY = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--shards", "3"), "--shards needs --engine ray."),
        (("--ray-workers", "2"), "--ray-workers needs --engine ray."),
        (("--no-merge",), "--no-merge needs --engine ray."),
        (("--engine", "ray", "--shard", "1/2"), "--shard and --engine ray: it makes all shards itself"),
        (("--engine", "ray", "--fresh"), "--fresh and --engine ray: it can't start over; choose another -o."),
        (("--engine", "ray", "--metrics-port", "0"), "--metrics-port and --engine ray"),
        (("--engine", "ray", "--share-limits", "shared"), "--share-limits and --engine ray: its workers divide"),
        (("--engine", "ray", "--failed", "failed.jsonl", "-o", "-"), "-o - and --engine ray: its results are files"),
        pytest.param(
            ("--engine", "ray", "--ray-address", "127.0.0.1:1"),
            "--ray-address: no Ray cluster can be used at 127.0.0.1:1 (Connection refused).",
            marks=NEEDS_RAY,
        ),
    ],
)
def test_flags_that_do_not_go_together_are_named(flags: tuple[str, ...], message: str, tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    server = ("--base-url", "http://127.0.0.1:9/v1", "--model", "m")
    result = persqa("run", "a.png", "-o", "qa.jsonl", *server, *flags, cwd=tmp_path)
    assert result.returncode == 2
    assert f"Error: {message}" in result.stderr
    assert not [path.name for path in tmp_path.iterdir() if path.name != "a.png" and "lock" not in path.name]


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_it_says_how_to_install_it(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    server = ("--base-url", "http://127.0.0.1:9/v1", "--model", "m")
    result = persqa("run", "a.png", "-o", "qa.jsonl", *server, "--engine", "ray", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("Error: --engine ray needs the package ray: pip install ray")
