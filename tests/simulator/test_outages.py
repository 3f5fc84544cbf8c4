"""What a client sees of each fault, over a socket."""

from __future__ import annotations

import json

import httpx
import pytest

from persqa_client.simulator.faults import ANSWER, DOOR, LATE
from tests.simulator.asking import asking, body


@pytest.mark.parametrize("kind", [kind for kind in DOOR + LATE if kind != "engine_dead"])
def test_a_refusal_comes_once_and_is_counted(kind: str) -> None:
    with asking(script=[kind]) as ask:
        refused = ask.post()
        assert refused.status_code >= 400
        assert ask.post().status_code == 200
        stats = ask.server.stats()
    assert stats["by_fault"] == {kind: 1}
    assert stats["by_status"] == {str(refused.status_code): 1, "200": 1}
    assert (stats["refused"], stats["answered"], stats["repeats"]) == (1, 1, 0)


def test_a_rate_limit_names_its_time() -> None:
    with asking(script=["429", "429_date", "503"], retry_after=0.5) as ask:
        headers = [ask.post().headers.get("Retry-After") for _ in range(3)]
    assert headers[0] == "0.5"
    assert str(headers[1]).endswith("GMT")
    assert headers[2] is None


def test_a_proxy_answers_a_page() -> None:
    with asking(script=["502_html"]) as ask:
        response = ask.post()
    assert response.headers["Content-Type"].startswith("text/html")
    assert "<h1>502 Bad Gateway</h1>" in response.text


def test_an_empty_account_is_told_from_pressure() -> None:
    with asking(script=["quota"]) as ask:
        response = ask.post()
    assert response.status_code == 429
    assert response.json()["error"]["code"] == "insufficient_quota"


def test_a_dead_engine_stays_dead() -> None:
    with asking(script=["ok", "engine_dead"]) as ask:
        assert ask.client.get("/health").status_code == 200
        assert [ask.post().status_code for _ in range(3)] == [200, 500, 500]
        assert "EngineCore encountered an issue" in ask.post().json()["error"]["message"]
        assert ask.client.get("/health").status_code == 503


def test_a_reset_connection_breaks() -> None:
    with asking(script=["reset"]) as ask:
        with pytest.raises(httpx.ReadError, match="reset"):
            ask.post()
        assert ask.post().status_code == 200
        assert ask.server.stats()["by_status"] == {"200": 1}


def test_a_cut_body_ends_too_early() -> None:
    with asking(script=["cut_body"]) as ask, pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        ask.post()


def test_a_stalled_request_never_ends_and_holds_no_slot() -> None:
    with asking(script=["stall"], slots=1) as ask:
        with pytest.raises(httpx.ReadTimeout):
            ask.client.post("/v1/chat/completions", json=body(), timeout=0.2)
        assert ask.post().status_code == 200


def test_invalid_json_is_a_200_that_can_not_be_read() -> None:
    with asking(script=["invalid_json"]) as ask:
        response = ask.post()
    assert response.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        response.json()


def test_a_200_may_carry_no_answer() -> None:
    with asking(script=["no_choices", "null_content", "error_in_200"]) as ask:
        empty, null, error = (ask.post().json() for _ in range(3))
    assert empty["choices"] == []
    assert null["choices"][0]["message"]["content"] is None
    assert "choices" not in error
    assert error["error"]["message"]


@pytest.mark.parametrize("kind", ANSWER)
def test_a_spoilt_answer_arrives_as_an_answer(kind: str) -> None:
    with asking(script=[kind, "ok"]) as ask:
        spoilt, good = ask.post().json(), ask.post().json()
        assert ask.server.stats()["answered"] == 2
    assert spoilt["choices"] != good["choices"]


def test_faults_repeat_from_run_to_run() -> None:
    seen = []
    for _ in range(2):
        with asking(faults={"500": 0.4}, fault_seed=3) as ask:
            seen.append([ask.post(body(seed=n % 4)).status_code for n in range(16)])
    assert seen[0] == seen[1]
    assert {200, 500} == set(seen[0])
