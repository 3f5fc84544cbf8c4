"""Faults as a client receives them, over a socket."""

from __future__ import annotations

import json

import httpx
import pytest

from persqa_client.simulator.faults import ANSWER_FAULTS, LATE_ERRORS, REJECTIONS
from tests.simulator.requests import chat_body, connect
from tests.support.cases import each_case


@each_case("kind", [kind for kind in REJECTIONS + LATE_ERRORS if kind != "engine_dead"])
def test_an_error_of_the_script_comes_once_and_is_counted(kind: str) -> None:
    with connect(script=[kind]) as client:
        rejected = client.post()
        assert rejected.status_code >= 400
        assert client.post().status_code == 200
        stats = client.server.stats()
    assert stats["by_fault"] == {kind: 1}
    assert stats["by_status"] == {str(rejected.status_code): 1, "200": 1}
    assert (stats["refused"], stats["answered"], stats["repeats"]) == (1, 1, 0)


def test_a_rate_limit_has_a_retry_after_header() -> None:
    with connect(script=["429", "429_date", "503"], retry_after=0.5) as client:
        headers = [client.post().headers.get("Retry-After") for _ in range(3)]
    assert headers[0] == "0.5"
    assert str(headers[1]).endswith("GMT")
    assert headers[2] is None


def test_a_proxy_error_is_a_page() -> None:
    with connect(script=["502_html"]) as client:
        response = client.post()
    assert response.headers["Content-Type"].startswith("text/html")
    assert "<h1>502 Bad Gateway</h1>" in response.text


def test_a_used_up_quota_has_a_code_of_its_own() -> None:
    with connect(script=["quota"]) as client:
        response = client.post()
    assert response.status_code == 429
    assert response.json()["error"]["code"] == "insufficient_quota"


def test_a_dead_engine_stays_dead() -> None:
    with connect(script=["ok", "engine_dead"]) as client:
        assert client.http.get("/health").status_code == 200
        assert [client.post().status_code for _ in range(3)] == [200, 500, 500]
        assert "EngineCore encountered an issue" in client.post().json()["error"]["message"]
        assert client.http.get("/health").status_code == 503


def test_a_reset_connection_breaks() -> None:
    with connect(script=["reset"]) as client:
        with pytest.raises(httpx.ReadError, match="reset"):
            client.post()
        assert client.post().status_code == 200
        assert client.server.stats()["by_status"] == {"200": 1}


def test_a_cut_body_is_incomplete() -> None:
    with (
        connect(script=["cut_body"]) as client,
        pytest.raises(httpx.RemoteProtocolError, match="without sending complete"),
    ):
        client.post()


def test_a_stalled_request_holds_no_slot() -> None:
    with connect(script=["stall"], slots=1) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.http.post("/v1/chat/completions", json=chat_body(), timeout=0.2)
        assert client.post().status_code == 200


def test_invalid_json_is_a_200() -> None:
    with connect(script=["invalid_json"]) as client:
        response = client.post()
    assert response.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        response.json()


def test_a_200_may_carry_no_answer() -> None:
    with connect(script=["no_choices", "null_content", "error_in_200"]) as client:
        empty, null, error = (client.post().json() for _ in range(3))
    assert empty["choices"] == []
    assert null["choices"][0]["message"]["content"] is None
    assert "choices" not in error
    assert error["error"]["message"]


@each_case("kind", ANSWER_FAULTS)
def test_a_spoiled_answer_counts_as_an_answer(kind: str) -> None:
    with connect(script=[kind, "ok"]) as client:
        spoilt, good = client.post().json(), client.post().json()
        assert client.server.stats()["answered"] == 2
    assert spoilt["choices"] != good["choices"]


def test_faults_repeat_from_run_to_run() -> None:
    seen = []
    for _ in range(2):
        with connect(faults={"500": 0.4}, fault_seed=3) as client:
            seen.append([client.post(chat_body(seed=n % 4)).status_code for n in range(16)])
    assert seen[0] == seen[1]
    assert {200, 500} == set(seen[0])
