"""``persqa init`` writes a file that ``run --config`` takes as it is, with every flag in it."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest
import typer

from persqa_client.cli.config_file import OTHER_FLAGS, read_config
from persqa_client.cli.init import EXCLUDED_FLAGS, describe_config
from persqa_client.cli.main import app
from persqa_client.cli.run_flags import is_everyday
from persqa_client.simulator.server import Simulator
from tests.goldens.surfaces import iterate_commands
from tests.support.commands import persqa

SAMPLES = Path(__file__).parents[2] / "persqa_client" / "samples"
OPTIONS = dict(iterate_commands("", typer.main.get_command(app)))["run"].params
LISTED = {each.name: each for each in OPTIONS if each.name not in OTHER_FLAGS | EXCLUDED_FLAGS}
SETTING = re.compile(r"^(?:# )?([a-z-]+) = ")


def test_the_file_has_every_flag_once_with_the_everyday_ones_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERSQA_MODEL", raising=False)
    lines = describe_config(OPTIONS, "my.toml").splitlines()
    first, *names = [found[1].replace("-", "_") for line in lines if (found := SETTING.match(line))]
    assert first == "input"
    assert sorted(names) == sorted(LISTED)
    everyday = [is_everyday(LISTED[name]) for name in names]
    assert everyday == sorted(everyday, reverse=True)
    values = tomllib.loads("\n".join(lines))
    assert not [name for name in values if not is_everyday(LISTED[name.replace("-", "_")])]
    defaults = {name: LISTED[name].default for name in (key.replace("-", "_") for key in values)}
    changed = {name for name, default in defaults.items() if values[name.replace("_", "-")] != default}
    assert changed == {"output", "base_url"}
    assert max(map(len, lines)) <= 120


def test_each_line_can_be_used_without_its_mark(tmp_path: Path) -> None:
    lines = describe_config(OPTIONS, "my.toml").splitlines()
    used = [line.removeprefix("# ") for line in lines if SETTING.match(line)]
    (tmp_path / "all.toml").write_text("\n".join(used))
    assert read_config(tmp_path / "all.toml", OPTIONS).keys() == LISTED.keys() | {"input"}


def test_the_help_stands_above_each_setting() -> None:
    text = describe_config(OPTIONS, "my.toml")
    joined = " ".join(text.replace("\n# ", " ").split())
    assert not [option.name for option in LISTED.values() if option.help not in joined]
    assert "One of word, short, sentences, long." in joined


def test_a_run_takes_the_file_as_it_is(tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSQA_BASE_URL", simulator.base_url)
    monkeypatch.setenv("PERSQA_MODEL", "persqa-simulator")
    (tmp_path / "photos").mkdir()
    shutil.copy(SAMPLES / "cat.jpg", tmp_path / "photos")
    written = persqa("init", cwd=tmp_path)
    assert written.returncode == 0, written.stderr
    assert "persqa run photos/ --config persqa.toml --preview 5" in written.stderr
    monkeypatch.delenv("PERSQA_BASE_URL")
    monkeypatch.delenv("PERSQA_MODEL")
    result = persqa("run", "photos/", "--config", "persqa.toml", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "qa.jsonl").read_text())["pers_qa"]


def test_a_key_in_a_variable_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-abcdef1234567890abcdef1234567890"
    monkeypatch.setenv("PERSQA_MODEL", "my-model")
    for urls, shown in (
        (f"http://127.0.0.1:9/v1?api_key={key}", '# base-url = "http://127.0.0.1:9/v1?api_key=…"'),
        (f"http://a:9/v1 http://b:9/v1?k={key}", '# base-url = ["http://a:9/v1", "http://b:9/v1?k=…"]'),
    ):
        monkeypatch.setenv("PERSQA_BASE_URL", urls)
        text = describe_config(OPTIONS, "my.toml")
        assert key not in text
        assert (
            f"# PERSQA_BASE_URL may have a key in it, which is not written here; keep the variable.\n{shown}\n" in text
        )
        values = tomllib.loads(text)
        assert (values.get("base-url"), values["model"]) == (None, "my-model")


def test_an_existing_file_is_replaced_only_by_force(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("tag = 'bo'\n")
    refused = persqa("init", "my.toml", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr == "Error: my.toml exists already; name another file, or replace it with --force.\n"
    assert (tmp_path / "my.toml").read_text() == "tag = 'bo'\n"
    assert persqa("init", "my.toml", "--force", cwd=tmp_path).returncode == 0
    assert tomllib.loads((tmp_path / "my.toml").read_text())["tag"] == "mam"


def test_a_file_that_cannot_be_written_is_exit_2(tmp_path: Path) -> None:
    result = persqa("init", "nowhere/my.toml", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr == "Error: nowhere/my.toml can't be written: No such file or directory.\n"
