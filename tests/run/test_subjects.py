"""Runs that say who the main character is: what is sent, written, checked, rechecked and resumed."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from PIL import Image

from persqa_client import SettingsError, generate
from persqa_client.run.recheck import recheck_run
from persqa_client.run.summary import Summary
from tests.run.chat_servers import Call, Json, Server, completion
from tests.support.endpoints import serve_handler

NAME = re.compile(r"(?:called|叫做) ?(<?[\w-]+>?)[.。]")
RED, GREEN, BLUE = (200, 0, 0), (0, 160, 0), (0, 0, 200)


def name_in(call: Call) -> str:
    found = NAME.search(call.text)
    assert found is not None, call.text
    return found[1]


def answer(call: Call) -> web.Response:
    """A sentence about the name in the prompt; a verdict if one is asked for; without its tag for the tag <bare>."""
    name = name_in(call)
    if "Reply with yes or no" in call.text or "只回答" in call.text:
        return web.json_response(completion(call, "yes"))
    name = name.strip("<>") if "bare" in name else name
    said = f"{name}站在一扇木门旁边。" if "问题：" in call.text else f"{name} stands beside a wooden door."
    return web.json_response(completion(call, said))


async def ask(rows: Path, **flags: Any) -> tuple[Summary, list[Call]]:
    server = Server(answer)
    async with serve_handler(server.handle) as url:
        arguments = {"base_url": f"{url}/v1", "model": "m", "probes": False, "concurrency": 1, **flags}
        output = arguments.pop("output", rows.parent / "qa.jsonl")
        summary = await asyncio.to_thread(generate, rows, output, **arguments)
    return summary, [Call(body, number, 0.0) for number, body in enumerate(server.bodies)]


def write_rows(path: Path, *rows: Json) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read_rows(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Pictures in folders: two of them are of one name, and one is no tag."""
    for name in ("anna/1.png", "family/anna/2.png", "bare/3.png", "token_1/4.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), RED).save(path)
    return tmp_path / "photos"


async def test_the_folder_of_a_picture_names_its_character(folders: Path) -> None:
    flags = {
        "tag_from": "folder",
        "question": "What does {tag} do?",
        "verify": "all",
        "output": folders.parent / "o.jsonl",
    }
    summary, calls = await ask(folders, **flags)
    tags = {"<anna>": 2, "<bare>": 1}
    rows = read_rows(folders.parent / "o.jsonl")
    assert sorted(row["pers_qa"] for row in rows) == [
        f"Question: What does {tag} do?, Answer: {tag} stands beside a wooden door."
        for tag, count in tags.items()
        for _ in range(count)
    ]
    # The question, its verification, and the control without the picture.
    assert sorted(map(name_in, calls)) == sorted(3 * [tag for tag, count in tags.items() for _ in range(count)])
    assert not any("<mam>" in call.text for call in calls)
    (failed,) = read_rows(folders.parent / "o.failed.jsonl")
    assert failed["error"]["code"] == "bad_tag"
    assert "the folder 'token_1' of the image can't name the tag" in failed["error"]["message"]
    before = (folders.parent / "o.jsonl").read_bytes()
    assert not recheck_run(folders.parent / "o.jsonl").changes
    (folders.parent / "o.details.jsonl").unlink()
    recheck_run(folders.parent / "o.jsonl", dry_run=True)
    assert (folders.parent / "o.jsonl").read_bytes() == before
    assert summary.tally.succeeded == 3


async def test_a_run_with_tags_of_folders_is_resumed_by_the_same_settings_only(folders: Path) -> None:
    flags: Json = {"tag_from": "folder", "output": folders.parent / "o.jsonl"}
    await ask(folders, **flags)
    Image.new("RGB", (32, 32), BLUE).save(folders / "anna" / "5.png")
    summary, calls = await ask(folders, **flags)
    assert (summary.state, [name_in(call) for call in calls]) == ("finished", ["<anna>"])
    with pytest.raises(SettingsError):
        await ask(folders, **{**flags, "tag_from": None})


@pytest.mark.parametrize("strategy", ["direct", "surrogate"])
async def test_a_rows_own_field_names_its_character(tmp_path: Path, strategy: str) -> None:
    Image.new("RGB", (32, 32), RED).save(tmp_path / "a.png")
    own = {"image": "a.png", "character": "bo", "tag": 7, "question": "Who is {tag}?"}
    rows = write_rows(tmp_path / "in.jsonl", own, {"image": "a.png", "question": "Who is {tag}?"})
    summary, calls = await ask(rows, tag_key="character", strategy=strategy)
    names = ["<bo>", "<mam>"] if strategy == "direct" else ["Charlie", "Charlie"]
    # The rows share a picture, so either may be the first.
    assert (summary.tally.succeeded, sorted(name_in(call) for call in calls)) == (2, names)
    first, second = read_rows(tmp_path / "qa.jsonl")
    assert first["pers_qa"] == "Question: Who is <bo>?, Answer: <bo> stands beside a wooden door."
    assert (first["tag"], second["pers_qa"][:24]) == (7, "Question: Who is <mam>?,")
    assert not recheck_run(tmp_path / "qa.jsonl").changes
    identity = json.loads((tmp_path / "qa.run.json").read_text())["identity"]
    assert (identity["tag-key"], "tag-from" in identity) == ("character", False)


async def test_the_description_is_sent_and_belongs_to_the_run(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32), RED).save(tmp_path / "a.png")
    own = {"image": "a.png", "about": "the tall man", "question": "What is <mam> doing?"}
    rows = write_rows(tmp_path / "in.jsonl", own, {"image": "a.png", "question": "<mam>在做什么？"})
    flags = {"describe": "the one in {colour}", "describe_key": "about", "verify": "all"}
    summary, calls = await ask(rows, **flags)
    assert summary.tally.failed == {"bad_field": 1}
    # The question, its verification, and the control without the picture.
    assert [call.text.count(" <mam> is the tall man. ") for call in calls] == [1, 1, 1]
    identity = json.loads((tmp_path / "qa.run.json").read_text())["identity"]
    assert (identity["describe"], identity["describe-key"]) == ("the one in {colour}", "about")
    assert len(identity["introductions-digest"]) == 16
    assert (await ask(rows, **flags))[0].state == "already"
    for changed in ({"describe": "the one in red"}, {"describe_key": None}):
        with pytest.raises(SettingsError):
            await ask(rows, **{**flags, **changed})
    assert not recheck_run(tmp_path / "qa.jsonl").changes


@pytest.mark.parametrize("strategy", ["direct", "surrogate"])
async def test_an_echo_of_the_description_is_rejected_again_by_a_recheck(tmp_path: Path, strategy: str) -> None:
    Image.new("RGB", (32, 32), RED).save(tmp_path / "a.png")
    rows = write_rows(tmp_path / "in.jsonl", {"image": "a.png", "question": "Who is <mam>?"})
    summary, _ = await ask(rows, describe="the one that stands beside a wooden door", strategy=strategy)
    assert summary.tally.succeeded == 1
    await ask(rows, describe="<mam> stands beside a wooden door", strategy=strategy, fresh=True)
    (failed,) = read_rows(tmp_path / "qa.failed.jsonl")
    assert failed["error"]["code"] == "echo"
    assert not recheck_run(tmp_path / "qa.jsonl").changes


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"describe": "the {x.y}"}, r"describe has \{x.y\}"),
        ({"describe_key": "question"}, "describe_key question is a field for something else"),
        ({"describe_key": "tag"}, "describe_key tag is a field for tag_key"),
        ({"tag_key": "image"}, "tag_key image is a field for image_key"),
        ({"describe_key": "pers_qa"}, "output_key pers_qa is a field"),
        ({"tag_from": "file"}, "tag_from: "),
    ],
)
def test_settings_that_do_not_fit_are_refused(tmp_path: Path, flags: Json, message: str) -> None:
    rows = write_rows(tmp_path / "in.jsonl", {"image": "a.png"})
    with pytest.raises(SettingsError, match=message):
        generate(rows, tmp_path / "qa.jsonl", base_url="http://127.0.0.1:9/v1", model="m", **flags)
