"""Runs whose texts are the user's own: what is sent, what belongs to the run's identity, and a later recheck."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from persqa_client import SettingsError, generate
from persqa_client.run.recheck import recheck_run
from persqa_client.run.summary import Summary
from tests.run.chat_servers import GOOD, Server, good
from tests.support.commands import persqa
from tests.support.endpoints import serve_handler

TEXTS: dict[str, Any] = {
    "system": "You sell {brand} cars.",
    "prompt": "{question} Begin with {tag}. {year}",
    "question": "Who drives {tag}?",
}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    Image.new("RGB", (32, 32), (200, 0, 0)).save(tmp_path / "a.jpg")
    lines = [{"image": "a.jpg", "brand": "Fiat", "year": 1969}, {"image": "a.jpg", "brand": "Fiat"}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path / "in.jsonl"


async def ask(rows: Path, **flags: Any) -> tuple[Summary, Server]:
    server = Server(good)
    async with serve_handler(server.handle) as url:
        arguments = {"base_url": f"{url}/v1", "model": "m", "probes": False, "concurrency": 1, **flags}
        summary = await asyncio.to_thread(generate, rows, rows.parent / "qa.jsonl", **arguments)
    return summary, server


async def test_the_model_reads_the_texts_and_the_output_has_the_question(rows: Path) -> None:
    summary, server = await ask(rows, **TEXTS)
    (body,) = server.bodies
    assert summary.tally.succeeded == 1
    (row,) = [json.loads(line) for line in (rows.parent / "qa.jsonl").read_text().splitlines()]
    assert row["pers_qa"] == f"Question: Who drives <mam>?, Answer: {GOOD}"
    (failed,) = [json.loads(line) for line in (rows.parent / "qa.failed.jsonl").read_text().splitlines()]
    assert failed["error"]["code"] == "bad_field"
    assert "'year'" in failed["error"]["message"]
    assert body["messages"][0]["content"] == "You sell Fiat cars."
    assert body["messages"][1]["content"][-1]["text"] == "Who drives <mam>? Begin with <mam>. 1969"


async def test_texts_belong_to_the_run_and_unused_ones_do_not(rows: Path) -> None:
    await ask(rows, **TEXTS)
    run_file = json.loads((rows.parent / "qa.run.json").read_text())
    assert {name: run_file["identity"][name] for name in TEXTS} == TEXTS
    assert not {"answer-style", "steer"} & run_file["identity"].keys()
    assert (await ask(rows, **TEXTS))[0].state == "already"
    for changed in ({"system": None}, {"prompt": "{question}"}, {"answer_style": "short"}, {"steer": ["prompt"]}):
        with pytest.raises(SettingsError):
            await ask(rows, **{**TEXTS, **changed})


async def test_a_finished_run_with_own_texts_is_rechecked(rows: Path) -> None:
    for style, questions in (("word", TEXTS), ("long", {})):
        await ask(rows, **{**questions, "answer_style": style, "fresh": True, "strategy": "surrogate"})
        before = (rows.parent / "qa.jsonl").read_bytes()
        recheck_run(rows.parent / "qa.jsonl")
        assert (rows.parent / "qa.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"prompt": "Describe it."}, r"prompt has no \{question\}"),
        ({"system": "{brand.name}"}, r"system has \{brand.name\}"),
        ({"question": "Who is it?"}, r"question must have \{tag\}"),
        ({"question": "Is {tag} <image>?"}, r"question: the question has <image>"),
        ({"question": "Who is {tag}?", "questions": 2}, "question is one question"),
        ({"answer_style": "brief"}, "answer_style: "),
        ({"steer": ["question"]}, "steer: "),
        ({"steer": ["prompt"], "output_key": "prompt"}, "output_key prompt"),
    ],
)
def test_texts_that_cannot_be_used_are_refused_before_the_run(rows: Path, flags: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        generate(rows, rows.parent / "qa.jsonl", base_url="http://127.0.0.1:9/v1", model="m", **flags)
    assert not (rows.parent / "qa.jsonl").exists()


def test_the_command_reads_texts_from_files_and_shows_them(tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("\ufeff{question}\nUse {tag}, {colour}.\n", encoding="utf-8")
    shown = persqa("prompt", "show", "--prompt", "@prompt.txt", "--question", "Who is {tag}?", cwd=tmp_path)
    assert "\nWho is <mam>?\nUse <mam>, {colour}.\n" in shown.stdout
    missing = persqa("prompt", "show", "--prompt", "@none.txt", cwd=tmp_path)
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "none.txt" in missing.stderr


def test_the_texts_of_all_languages_and_strategies_are_shown(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('base-url = "http://127.0.0.1:9/v1"\nanswer-style = "short"\n')
    shown = persqa("prompt", "show", "--config", "run.toml", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "in one short sentence" in shown.stdout
    assert "用一句短话" in shown.stdout
    for strategy in ("direct", "constrain", "prefill", "surrogate"):
        assert shown.stdout.count(f"--- --strategy {strategy}\n") == 2
    assert shown.stdout.count("--- system text with Charlie in place of <mam>\n") == 1
    (tmp_path / "zh.txt").write_text("{tag}在做什么？\n", encoding="utf-8")
    short = persqa("prompt", "show", "--strategy", "constrain", cwd=tmp_path).stdout
    assert short.count(" characters; --patterns shows all of them)\n") == 2
    whole = persqa("prompt", "show", "--strategy", "constrain", "--patterns", cwd=tmp_path).stdout
    assert (max(map(len, whole.splitlines())) > 500, "--patterns" in whole) == (True, False)
    own = persqa("prompt", "show", "--bank", "zh.txt", "--strategy", "direct", cwd=tmp_path)
    assert ("问题：<mam>在做什么？" in own.stdout, "English" in own.stdout) == (True, False)
