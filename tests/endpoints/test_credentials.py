"""Which key goes to which endpoint: in the order given, and to a second host only if it is named twice."""

from __future__ import annotations

import pytest

from persqa_client.config import RunSettings, build_settings
from persqa_client.endpoints.credentials import assign_key_variables, make_endpoints
from persqa_client.errors import SettingsError

A, A2, B = "http://a.example:8000/v1", "http://A.example:8001/v1", "http://b.example:8000/v1"
HERE, HERE2 = "http://127.0.0.1:8000/v1", "http://localhost:8001/v1"
OPENAI = "https://api.openai.com/v1"
ENVIRON = {"ONE": "key-1", "TWO": "key-2", "OPENAI_API_KEY": "key-o"}


def keys(urls: list[str], names: list[str]) -> list[str | None]:
    found = make_endpoints(urls, "m", names, ENVIRON)
    return [None if one.api_key is None else one.api_key.get_secret_value() for one in found]


@pytest.mark.parametrize(
    ("urls", "names", "expected"),
    [
        pytest.param([A], ["ONE"], ["key-1"], id="one of each"),
        pytest.param([A, B], ["ONE", "TWO"], ["key-1", "key-2"], id="in order"),
        pytest.param([A, B], ["TWO", "TWO"], ["key-2", "key-2"], id="one key for two hosts, named twice"),
        pytest.param([A, B], ["-", "TWO"], [None, "key-2"], id="none for the first"),
        pytest.param([A, A2], ["ONE"], ["key-1", "key-1"], id="two ports of a host"),
        pytest.param([HERE, HERE2], ["ONE"], ["key-1", "key-1"], id="two loopback names"),
        pytest.param([A, OPENAI, B], [], [None, "key-o", None], id="OPENAI_API_KEY for OpenAI only"),
        pytest.param([A, OPENAI], ["ONE", "-"], ["key-1", None], id="no OPENAI_API_KEY with -"),
    ],
)
def test_each_endpoint_gets_its_own_key(urls: list[str], names: list[str], expected: list[str | None]) -> None:
    assert keys(urls, names) == expected


@pytest.mark.parametrize(
    ("urls", "names", "reason"),
    [
        pytest.param([A, B], ["ONE"], "on 2 hosts", id="one key, two hosts"),
        pytest.param([A, HERE], ["ONE"], "on 2 hosts", id="a host and loopback"),
        pytest.param([A, A2, B], ["ONE", "TWO"], "given 2 times for 3 --base-url", id="too few"),
        pytest.param([A], ["ONE", "TWO"], "given 2 times for 1 --base-url", id="too many"),
        pytest.param([A, B], ["ONE", "THREE"], "names THREE", id="a variable that is not set"),
        pytest.param([], [], "at least one", id="no endpoint"),
        pytest.param(["http://[", A], ["ONE"], "--base-url", id="no URL"),
    ],
)
def test_unclear_keys_are_rejected_in_one_sentence(urls: list[str], names: list[str], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason) as caught:
        make_endpoints(urls, "m", names, ENVIRON)
    assert "\n" not in str(caught.value)
    assert "key-" not in str(caught.value).replace("api-key-env", "")


def test_without_variables_none_is_assigned() -> None:
    assert assign_key_variables([A, B], []) == [None, None]


@pytest.mark.parametrize(
    ("urls", "models", "reason"),
    [
        pytest.param([A, f"{A}/"], ["m", "m"], f"--base-url {A} is given twice", id="twice the same"),
        pytest.param([A, B], ["m", "n"], "m and n", id="two models"),
    ],
)
def test_endpoints_that_do_not_fit_together_are_rejected(urls: list[str], models: list[str], reason: str) -> None:
    first, second = (make_endpoints([url], model, [], {})[0] for url, model in zip(urls, models, strict=True))
    with pytest.raises(SettingsError, match=reason):
        build_settings(RunSettings, input=None, output=None, endpoint=first, further_endpoints=(second,))
