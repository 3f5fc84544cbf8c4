"""The routes beside the chat, in vLLM's shape."""

from __future__ import annotations

import pytest

from tests.simulator.requests import chat_body, connect


def test_models_have_vllms_fields_and_are_marked_as_simulated() -> None:
    with connect(models=("Qwen/Qwen2.5-VL-3B-Instruct", "alias"), max_model_len=4096) as client:
        response = client.http.get("/v1/models")
    cards = response.json()["data"]
    assert [card["id"] for card in cards] == ["Qwen/Qwen2.5-VL-3B-Instruct", "alias"]
    assert all((card["owned_by"], card["max_model_len"], card["simulator"]) == ("vllm", 4096, True) for card in cards)
    assert response.headers["Server"] == "persqa-simulator"


def test_health_is_empty_and_the_version_says_simulator() -> None:
    with connect() as client:
        assert (client.http.get("/health").status_code, client.http.get("/health").content) == (200, b"")
        assert client.http.get("/version").json()["version"].endswith("-simulator")


def test_metrics_change_with_requests() -> None:
    with connect() as client:
        before = client.http.get("/metrics").text
        usage = client.post().json()["usage"]
        after = client.http.get("/metrics").text
    labels = '{engine="0",model_name="persqa-simulator"}'
    assert f"vllm:prompt_tokens_total{labels} 0.0" in before
    assert f"vllm:prompt_tokens_total{labels} {float(usage['prompt_tokens'])}" in after
    assert f"vllm:generation_tokens_total{labels} {float(usage['completion_tokens'])}" in after
    for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc"):
        assert f"# TYPE vllm:{name} gauge\nvllm:{name}{labels} 0.0\n" in after
    assert 'vllm:admission_rejections_total{model_name="persqa-simulator",reason="max_num_queued_reqs"} 0.0\n' in after


def test_tokenize_and_usage_agree() -> None:
    with connect() as client:
        counted = client.post(chat_body(), path="/tokenize").json()
        used = client.post().json()["usage"]["prompt_tokens"]
        prompt = client.post({"prompt": "one two three"}, path="/tokenize").json()
        assert client.post({}, path="/tokenize").status_code == 400
    assert (counted["count"], counted["max_model_len"]) == (used, 8192)
    assert 0 < prompt["count"] < used


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/", 404, "Not Found"),
        ("POST", "/v1/completions", 404, "Not Found"),
        ("GET", "/v1/chat/completions", 405, "Method Not Allowed"),
        ("POST", "/health", 405, "Method Not Allowed"),
    ],
)
def test_other_paths_and_methods_are_rejected(method: str, path: str, status: int, detail: str) -> None:
    with connect() as client:
        response = client.http.request(method, path)
    assert (response.status_code, response.json()) == (status, {"detail": detail})
