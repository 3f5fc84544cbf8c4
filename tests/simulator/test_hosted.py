"""Chat requests to a simulator of the hosted shape."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.requests import chat_body, connect, image_part, make_image
from tests.support.cases import each_case


def hosted(**fields: Any) -> dict[str, Any]:
    return chat_body(model="persqa-simulator", **fields)


@each_case(
    ("fields", "words", "param", "code"),
    [
        pytest.param(
            {"max_tokens": 5},
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            "max_tokens",
            "unsupported_parameter",
            id="max_tokens",
        ),
        pytest.param(
            {"temperature": 0.2},
            "Unsupported value: 'temperature' does not support 0.2 with this model.",
            "temperature",
            "unsupported_value",
            id="temperature",
        ),
        pytest.param(
            {"seed": 1},
            "Unsupported parameter: 'seed' is not supported",
            "seed",
            "unsupported_parameter",
            id="rejected",
        ),
        *(
            pytest.param(
                {name: 1}, f"Unrecognized request argument supplied: {name}", None, "unknown_parameter", id=name
            )
            for name in ("top_k", "structured_outputs", "guided_regex", "repetition_penalty", "mm_processor_kwargs")
        ),
    ],
)
def test_a_rejected_parameter_gets_openais_error(
    fields: dict[str, Any], words: str, param: str | None, code: str
) -> None:
    with connect(shape="hosted", reject=("seed",)) as client:
        response = client.post(hosted(**fields))
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["message"].startswith(words)
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)


@pytest.mark.parametrize("fields", [{}, {"temperature": 1}, {"max_completion_tokens": 50, "seed": 3}, {"top_p": 0.9}])
def test_known_parameters_are_accepted(fields: dict[str, Any]) -> None:
    with connect(shape="hosted") as client:
        response = client.post(hosted(**fields))
    assert response.status_code == 200
    assert response.headers["x-ratelimit-remaining-requests"].isdecimal()


def test_a_uuid_is_an_unknown_parameter() -> None:
    with connect(shape="hosted") as client:
        assert (
            client.post(chat_body(image_part(make_image(), uuid="a"), model="persqa-simulator")).json()["error"]["code"]
            == "unknown_parameter"
        )


def test_a_wrong_key_gets_openais_error() -> None:
    with connect(shape="hosted", api_key="right") as client:
        response = client.post(hosted(), Authorization="Bearer wrong-key")
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert "wrong-key" not in response.text


def test_an_unknown_model_gets_openais_error() -> None:
    with connect(shape="hosted") as client:
        response = client.post(chat_body(model="gpt-0"))
        assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")
        assert client.post(chat_body()).status_code == 400


@pytest.mark.parametrize("path", ["/health", "/version", "/metrics", "/v1/nothing"])
def test_vllms_own_routes_do_not_exist(path: str) -> None:
    with connect(shape="hosted") as client:
        response = client.http.get(path)
        assert client.post(hosted(), path="/tokenize").status_code == 404
    assert response.status_code == 404
    assert response.json()["error"]["message"] == f"Invalid URL (GET {path})"


def test_models_are_marked_as_simulated() -> None:
    with connect(shape="hosted", models=("gpt-0",)) as client:
        card = client.http.get("/v1/models").json()["data"][0]
    assert (card["id"], card["simulator"]) == ("gpt-0", True)
    assert "simulator" in card["owned_by"]


def test_a_full_queue_gets_openais_error() -> None:
    with connect(shape="hosted", script=["503"]) as client:
        response = client.post(hosted())
    assert response.status_code == 503
    assert response.json()["error"]["type"] == "server_error"
