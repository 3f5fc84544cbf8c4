"""What scripts and data sets rely on is as it was recorded: flags, exit codes, keys, codes and variables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.goldens.scenarios import SCENARIOS, codes, prepare, read_golden, rejected
from tests.goldens.surfaces import GOLDEN, NAMES, ROOT, collect, sources
from tests.support.commands import persqa

# Flags of a run that are no keys of its config file, need others, or ask for something else than a run.
NO_KEYS = {"config", "help_all", "input", "failed", "serve", "serve_args", "vllm_command", "dry_run", "preview", "json"}
NO_KEYS |= {"shards", "ray_address", "ray_workers"}


@pytest.fixture(scope="module")
def surfaces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return dict(json.loads(json.dumps(collect(tmp_path_factory.mktemp("surfaces")))))


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    return dict(json.loads(GOLDEN.read_bytes()))


@pytest.fixture(scope="module")
def names() -> dict[str, list[str]]:
    return dict(json.loads(NAMES.read_bytes()))


def test_each_surface_is_as_recorded(surfaces: dict[str, Any], recorded: dict[str, Any]) -> None:
    assert surfaces.keys() == recorded.keys()
    for name, value in recorded.items():
        assert surfaces[name] == value, name


def test_every_flag_of_a_run_is_a_key_of_its_config_file(recorded: dict[str, Any], tmp_path: Path) -> None:
    prepare(tmp_path)
    values = {
        name: details.get("default", True if details["type"] == "bool" else None)
        for name, details in recorded["flags"]["run"].items()
        if name not in NO_KEYS
    }
    given = {
        **values,
        "output": "out.jsonl",
        "base_url": "http://127.0.0.1:9/v1",
        "model": "m",
        "image_root": ".",
        "limit": 1,
        "shard": "1/1",
        "limits_share": "1/1",
        "share_limits": "account",
        "names": "names.txt",
        "language": "zh",
        "paths": "absolute",
        "without": ["face"],
        "question": "What is {tag}?",
        "max_tokens_total": 1000,
        "max_cost": 1.5,
        "price_in": 1.5,
        "price_out": 2,
        "max_failures": 3,
        "max_wall": "8h",
        "metrics_port": 9400,
        "system": "Be brief.",
        "prompt": "{question}",
        "steer": ["prompt"],
        "tag_from": "folder",
        "describe": "the one with {tag}",
        "describe_key": "about",
        "reference": "a.png",
        "reference_key": "who",
        "box": "drawn",
        "extra_body": '{"top_k": 1}',
        "rps": 1.5,
        "rpm": 90,
        "tpm": 1000,
        "api_key_env": ["-"],
        "api_key_command": ["-"],
        "header": ["x-team=-"],
        "ca_cert": "ca.pem",
        "client_cert": "client.pem",
        "fresh": False,
        "log_file": "run.log",
        "report": "report.html",
        "fetch_allow": ["pictures.example"],
    }
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("client.test").private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    lines = [f"{name.replace('_', '-')} = {json.dumps(value)}\n" for name, value in given.items() if value is not None]
    assert len(lines) == len(values)
    (tmp_path / "all.toml").write_text("".join(lines))
    (tmp_path / "rows.jsonl").write_text('{"image": "a.png", "box": [0, 0, 8, 8]}\n')
    result = persqa("run", "rows.jsonl", "--dry-run", "--config", "all.toml", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (tmp_path / "wrong.toml").write_text("no-such-key = 1\n")
    assert persqa("run", "rows.jsonl", "--config", "wrong.toml", cwd=tmp_path).returncode == 2


def test_codes_and_variables_stand_in_the_code(names: dict[str, list[str]]) -> None:
    code = sources() + "".join(path.read_text() for path in (ROOT / "scripts").glob("*.sh"))
    for kind, words in names.items():
        missing = [word for word in words if f'"{word}"' not in code and not in_parts(word, code)]
        assert not missing, kind


def in_parts(word: str, code: str) -> bool:
    """Whether a code is put together from a part that is fixed and a name, as ``bad_category`` is."""
    head, _, tail = word.rpartition("_")
    return f'f"{head}_{{' in code and f'"{tail}"' in code


def test_all_recorded_failures_have_known_codes(names: dict[str, list[str]]) -> None:
    found: set[str] = set()
    for scenario in SCENARIOS:
        parts = {part: read_golden(scenario.name, part) for part in ("output", "failed")}
        found |= codes(parts["failed"]) | rejected(parts)
    assert found <= set(names["failure_codes"])
