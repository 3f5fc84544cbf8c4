"""Keys that a command prints."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from persqa_client.client.authentication import MIN_INTERVAL, KeySource, ask_for_key, run_key_command
from persqa_client.client.transport import Client
from persqa_client.config import Endpoint, Limits
from persqa_client.endpoints.session import Session
from persqa_client.errors import AttemptError, RunStopped, SettingsError
from persqa_client.types import RetryAction
from tests.client.attempts import BODY, failure
from tests.support.cases import each_case
from tests.support.endpoints import FAST_BACKOFF, REQUEST, Handler, completion_response, serve_handler
from tests.vllm_server.processes import MARK, find_marked


@pytest.mark.parametrize(
    ("command", "key"),
    [
        ("echo sk-123", "sk-123"),
        ("printf ' sk-123\\n\\n'", "sk-123"),
        ("echo '$HOME'", "$HOME"),
        ("sh -c 'echo sk-123 | tr 1 2'", "sk-223"),
    ],
)
def test_the_output_of_the_command_is_the_key(command: str, key: str) -> None:
    assert run_key_command(command) == key


async def test_a_caller_with_a_running_loop_gets_the_key_too() -> None:
    assert run_key_command("echo sk-123") == "sk-123"


@each_case(
    ("command", "says"),
    [
        ("", "is empty"),
        ("echo 'half", "check its quotes"),
        ("no-such-program-at-all --token", "no-such-program-at-all can't be run (No such file or directory)"),
        ("sh -c 'echo sk-secret; exit 3'", "sh failed with exit code 3; run the command by hand"),
        ("sh -c 'kill -9 $$'", "sh was ended by signal 9"),
        ("true", "true printed nothing"),
        ("echo sk-secret two", "echo printed more than a key"),
        ("printf 'sk-secret\\nmore'", "printf printed more than a key"),
        ("echo sk-secré", "echo printed more than a key"),
    ],
)
def test_a_command_without_a_key_is_one_sentence_without_its_output(command: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        run_key_command(command)
    assert str(caught.value).startswith("--api-key-command")
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_command_that_hangs_is_ended_with_its_children(mark: str) -> None:
    hanging = f"sh -c '{MARK}={mark} sleep 600 & {MARK}={mark} sleep 600'"
    with pytest.raises(SettingsError, match=r"sh did not end within 0\.3 s"):
        run_key_command(hanging, timeout=0.3)
    deadline = time.monotonic() + 10
    while find_marked(mark) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not find_marked(mark)


def test_a_child_that_is_left_behind_is_not_waited_for(mark: str) -> None:
    assert run_key_command(f"sh -c '{MARK}={mark} sleep 600 & echo sk-123'", timeout=10.0) == "sk-123"


@pytest.mark.parametrize("command", ["yes", "sh -c 'while :; do printf x; sleep 0.001; done'"])
def test_endless_output_is_ended(command: str) -> None:
    with pytest.raises(SettingsError, match=r"printed more than a key|did not end within"):
        run_key_command(command, timeout=0.3)


async def test_a_command_ends_with_the_task_that_waits_for_it(mark: str) -> None:
    asking = asyncio.create_task(ask_for_key(f"sh -c '{MARK}={mark} sleep 600; true'"))
    while not find_marked(mark):
        await asyncio.sleep(0.01)
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    while find_marked(mark):
        await asyncio.sleep(0.01)


def count_calls(folder: Path, *, then: str = "") -> str:
    """A command whose n-th call prints ``key-number-n``, or fails as ``then`` says from the second call on."""
    script = folder / "key.sh"
    lines = ('echo call >>"$0.calls"', 'n=$(wc -l <"$0.calls")', f"if [ $n -gt 1 ]; then :; {then}", "fi")
    script.write_text("\n".join((*lines, "echo key-number-$n\n")))
    return shlex.join(["sh", str(script)])


def calls(folder: Path) -> int:
    path = folder / "key.sh.calls"
    return len(path.read_text().splitlines()) if path.exists() else 0


async def test_concurrent_callers_run_the_command_once(tmp_path: Path) -> None:
    source = KeySource(count_calls(tmp_path), "expired")
    assert await asyncio.gather(*(source.replace("expired") for _ in range(20))) == [True] * 20
    assert (source.key, calls(tmp_path)) == ("key-number-1", 1)
    assert await source.replace("key-number-1") is False, "not again within a minute"
    assert calls(tmp_path) == 1


async def test_the_command_is_run_again_after_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, start = asyncio.get_running_loop(), asyncio.get_running_loop().time()
    source = KeySource(count_calls(tmp_path), "expired")
    assert await source.replace("expired")
    monkeypatch.setattr(loop, "time", lambda: start + MIN_INTERVAL + 60)
    assert await source.replace("key-number-1")
    assert source.key == "key-number-2"


@pytest.mark.parametrize("cancelled", [0, 3])
async def test_a_cancelled_caller_takes_no_key_from_the_others(tmp_path: Path, cancelled: int) -> None:
    go = tmp_path / "go"
    source = KeySource(f"sh -c 'until [ -e {go} ]; do sleep 0.01; done; echo new-key'", "expired")
    callers = [asyncio.create_task(source.replace("expired")) for _ in range(5)]
    await asyncio.sleep(0)  # all wait for the command
    callers[cancelled].cancel()
    await asyncio.wait([callers[cancelled]])
    go.touch()
    results = await asyncio.gather(*callers, source.replace("expired"), return_exceptions=True)
    assert isinstance(results.pop(cancelled), asyncio.CancelledError)
    assert results == [True] * 5


async def test_all_callers_learn_why_there_is_no_key(tmp_path: Path) -> None:
    source = KeySource(count_calls(tmp_path, then="exit 3"), "expired")
    (tmp_path / "key.sh.calls").write_text("an earlier call\n")
    together = await asyncio.gather(*(source.replace("expired") for _ in range(3)), return_exceptions=True)
    with pytest.raises(SettingsError) as later:
        await source.replace("expired")
    assert {str(error) for error in (*together, later.value)} == {
        "--api-key-command: sh failed with exit code 3; run the command by hand to see why."
    }
    assert calls(tmp_path) == 2, "not again at once"


async def test_a_client_that_is_closed_ends_the_command(mark: str) -> None:
    source = KeySource(f"sh -c '{MARK}={mark} sleep 600; true'", "expired")
    asking = asyncio.create_task(source.replace("expired"))
    while not find_marked(mark):
        await asyncio.sleep(0.01)
    await source.aclose()
    await asyncio.wait([asking])
    while find_marked(mark):
        await asyncio.sleep(0.01)


def expiring_session(url: str, command: str, **limits: Any) -> Session:
    endpoint = Endpoint(base_url=f"{url}/v1", model="qwen", api_key=SecretStr("first-key"), api_key_command=command)
    return Session(endpoint, limits=Limits(**limits), backoff=FAST_BACKOFF, probe_backoff=FAST_BACKOFF)


async def test_an_endpoint_is_held_until_its_command_succeeds_again(tmp_path: Path) -> None:
    keys, seen, ready, log = ["first-key"], list[str](), tmp_path / "ready", tmp_path / "log"
    command = f"sh -c 'echo call >>{log}; [ -e {ready} ] && echo second-key'"
    async with serve_handler(accepting(keys, seen)) as url, expiring_session(url, command) as session:
        await session.complete(REQUEST)
        keys.append("second-key")
        rows = [asyncio.create_task(session.complete(REQUEST)) for _ in range(5)]
        while not log.exists() or log.read_text().count("call") < 4:
            await asyncio.sleep(0.01)
        sent = seen.count("first-key")
        ready.touch()
        replies = await asyncio.gather(*rows)
    assert {reply.attempts for reply in replies} == {1}
    assert sent == 1 + len(rows), "no row is sent while there is no key"


async def test_a_command_that_fails_for_too_long_stops_the_run() -> None:
    keys = ["first-key"]
    async with serve_handler(accepting(keys, [])) as url, expiring_session(url, "false", max_outage=0.2) as session:
        await session.complete(REQUEST)
        keys.append("second-key")
        with pytest.raises(RunStopped) as caught:
            await session.complete(REQUEST)
    assert caught.value.code == "server_away"
    assert "--api-key-command: false failed with exit code 1" in caught.value.message


async def test_the_same_key_again_is_no_new_one() -> None:
    assert await KeySource("echo same-old-key", "same-old-key").replace("same-old-key") is False


def accepting(keys: list[str], seen: list[str]) -> Handler:
    """A server that accepts the last of the keys, and repeats any other in its refusal.

    ``seen`` gets the key of each request below /v1, not those of /health and /metrics, which are asked at any time.
    """

    async def handle(request: web.Request) -> web.Response:
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if request.path.startswith("/v1/"):
            seen.append(key)
        if key != keys[-1]:
            return web.json_response({"error": {"message": f"Token {key} expired."}}, status=401)
        return completion_response()

    return handle


def client_with(url: str, command: str, key: str | None) -> Client:
    secret = None if key is None else SecretStr(key)
    return Client(Endpoint(base_url=f"{url}/v1", model="qwen", api_key=secret, api_key_command=command), timeout=5.0)


async def test_an_expired_key_is_replaced_and_costs_no_request(tmp_path: Path) -> None:
    keys, seen = ["first-key"], list[str]()
    async with (
        serve_handler(accepting(keys, seen)) as url,
        client_with(url, count_calls(tmp_path), "first-key") as client,
    ):
        await client.send(BODY)
        keys.append("key-number-1")
        await asyncio.gather(*(client.send(BODY) for _ in range(5)))
        status, _ = await client.get(f"{url}/v1/models")
    assert (status, calls(tmp_path)) == (200, 1)
    assert seen == ["first-key"] * 6 + ["key-number-1"] * 6


async def test_an_endpoint_without_a_key_asks_its_command_first(tmp_path: Path) -> None:
    seen = list[str]()
    async with (
        serve_handler(accepting(["key-number-1"], seen)) as url,
        client_with(url, count_calls(tmp_path), None) as client,
    ):
        assert (await client.send(BODY)).text
    assert seen == ["key-number-1"]


async def test_a_wrong_first_key_is_not_asked_for_again(tmp_path: Path) -> None:
    async with (
        serve_handler(accepting(["another"], [])) as url,
        client_with(url, count_calls(tmp_path), "wrong-key") as client,
    ):
        decision = await failure(client)
    assert (decision.action, decision.code, calls(tmp_path)) == (RetryAction.STOP, "wrong_key", 0)
    assert "the key that --api-key-command printed is wrong or expired" in decision.message
    assert "wrong-key" not in decision.message + (decision.raw or "")


async def test_a_command_that_fails_when_the_key_expires_is_named(tmp_path: Path) -> None:
    keys = ["key-number-1"]
    async with (
        serve_handler(accepting(keys, [])) as url,
        client_with(url, count_calls(tmp_path, then="exit 4"), None) as client,
    ):
        await client.send(BODY)
        keys.append("another")
        client._keys._next_call = 0.0  # as if a minute had passed
        decision = await failure(client)
        assert not await client.alive(), "the endpoint is held until there is a key"
    assert (decision.action, decision.code) == (RetryAction.AWAIT_RECOVERY, "no_new_key")
    assert "Token … expired. There is no new one: --api-key-command: sh failed with exit code 4" in decision.message


async def test_neither_the_old_nor_the_new_key_is_shown(tmp_path: Path) -> None:
    keys = ["first-key"]
    async with (
        serve_handler(accepting(keys, [])) as url,
        client_with(url, count_calls(tmp_path), "first-key") as client,
    ):
        await client.send(BODY)
        keys.append("a third one")
        with pytest.raises(AttemptError) as caught:
            await client.send(BODY)
        client._use_key("first-key")
        late = await failure(client)
    for decision in (caught.value.decision, late):
        assert "first-key" not in decision.message + (decision.raw or "")
        assert "key-number" not in decision.message + (decision.raw or "")
