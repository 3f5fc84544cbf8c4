"""Which key goes to which endpoint: in the order given, and to a second host only if it is named twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from persqa_client.config import build_settings
from persqa_client.endpoints.credentials import Credentials, assign_to_endpoints, make_endpoints, split_client_cert
from persqa_client.errors import SettingsError
from persqa_client.run.settings import RunSettings
from tests.support.cases import each_case

A, A2, B = "http://a.example:8000/v1", "http://A.example:8001/v1", "http://b.example:8000/v1"
HERE, HERE2 = "http://127.0.0.1:8000/v1", "http://localhost:8001/v1"
OPENAI = "https://api.openai.com/v1"
ENVIRON = {"ONE": "key-1", "TWO": "key-2", "OPENAI_API_KEY": "key-o"}


def keys(urls: list[str], names: list[str]) -> list[str | None]:
    found = make_endpoints(urls, "m", Credentials(names), ENVIRON)
    return [None if one.api_key is None else one.api_key.get_secret_value() for one in found]


@each_case(
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


@each_case(
    ("urls", "names", "reason"),
    [
        pytest.param([A, B], ["ONE"], "on 2 hosts", id="one key, two hosts"),
        pytest.param([A, HERE], ["ONE"], "on 2 hosts", id="a host and loopback"),
        pytest.param([A, A2, B], ["ONE", "TWO"], "given 2 times for 3 --base-url", id="too few"),
        pytest.param([A], ["ONE", "TWO"], "given 2 times for 1 --base-url", id="too many"),
        pytest.param([A, B], ["ONE", "THREE"], "names THREE", id="a variable that is not set"),
        pytest.param([], [], "at least one", id="no endpoint"),
        pytest.param(["http://[", A], ["ONE"], "--base-url", id="no URL"),
        pytest.param([A], ["key-1a2b3c"], "not the key itself", id="a key in place of a name"),
        pytest.param([A], ["key_1a2b3c4d"], "not the key itself", id="a key that could be a name"),
        pytest.param(["http://a.example:1,b.example:2/v1"], [], "must be one URL", id="two hosts"),
        pytest.param(["http://a.example/v1; http://b.example/v1"], [], "must be one URL", id="two URLs"),
    ],
)
def test_unclear_keys_are_rejected_in_one_sentence(urls: list[str], names: list[str], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason) as caught:
        make_endpoints(urls, "m", Credentials(names), ENVIRON)
    assert "\n" not in str(caught.value)
    assert "key-" not in str(caught.value).replace("api-key-env", "")


def test_without_variables_none_is_assigned() -> None:
    assert assign_to_endpoints("--api-key-env", [A, B], []) == [None, None]


@pytest.mark.parametrize(
    ("urls", "models", "reason"),
    [
        pytest.param([A, f"{A}/"], ["m", "m"], f"--base-url {A} is given twice", id="twice the same"),
        pytest.param([A, B], ["m", "n"], "m and n", id="two models"),
    ],
)
def test_endpoints_that_do_not_fit_together_are_rejected(urls: list[str], models: list[str], reason: str) -> None:
    first, second = (
        make_endpoints([url], model, Credentials(), {})[0] for url, model in zip(urls, models, strict=True)
    )
    with pytest.raises(SettingsError, match=reason):
        build_settings(RunSettings, input=None, output=None, endpoint=first, further_endpoints=(second,))


def headers(urls: list[str], given: list[str]) -> list[dict[str, str]]:
    environ = {"ONE": "value-1", "TWO": " value two\n", "LINES": "a\nb"}
    found = make_endpoints(urls, "m", Credentials(headers=given), environ)
    return [{name: value.get_secret_value() for name, value in one.headers.items()} for one in found]


@pytest.mark.parametrize(
    ("urls", "given", "expected"),
    [
        pytest.param([A], ["Api-Key=@ONE", "x-team=@TWO"], [{"api-key": "value-1", "x-team": "value two"}], id="two"),
        pytest.param([A, A2], ["k=@ONE"], [{"k": "value-1"}, {"k": "value-1"}], id="two ports of a host"),
        pytest.param([A, B], ["k=@ONE", "K=@TWO"], [{"k": "value-1"}, {"k": "value two"}], id="in order"),
        pytest.param([A, B], ["k=-", "k=@ONE"], [{}, {"k": "value-1"}], id="none for the first"),
        pytest.param([A, B], ["j=@ONE", "k=-", "j=-", "k=@TWO"], [{"j": "value-1"}, {"k": "value two"}], id="mixed"),
    ],
)
def test_each_endpoint_gets_its_own_headers(urls: list[str], given: list[str], expected: list[dict[str, str]]) -> None:
    assert headers(urls, given) == expected


@each_case(
    ("urls", "given", "reason"),
    [
        pytest.param([A], ["api-key=sesame-123"], "--header takes NAME=@VARIABLE", id="a value"),
        pytest.param([A], ["sesame-123"], "--header takes NAME=@VARIABLE", id="no name"),
        pytest.param([A], ["=@ONE"], "--header takes NAME=@VARIABLE", id="empty name"),
        pytest.param([A], ["k=@sesame-123"], "the name of an environment variable", id="no name of a variable"),
        pytest.param(
            [A],
            ["k=@THREE"],
            "THREE, but that variable is not set or is empty: export it",
            id="a variable that is not set",
        ),
        pytest.param([A], ["k=@LINES"], "LINES contains a line break", id="two lines"),
        pytest.param([A], ["a b=@ONE"], "'a b' is not the name of a header", id="a name with a space"),
        pytest.param([A], ["Content-Length=@ONE"], "content-length is set by the client", id="own header"),
        pytest.param([A, B], ["k=@ONE"], "on 2 hosts", id="one value, two hosts"),
        pytest.param([A], ["k=@ONE", "k=@TWO"], "given 2 times for 1", id="too many"),
    ],
)
def test_unclear_headers_are_rejected_without_their_value(urls: list[str], given: list[str], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason) as caught:
        headers(urls, given)
    assert "\n" not in str(caught.value)
    assert "sesame" not in str(caught.value)


def test_an_authorization_header_takes_the_place_of_the_default_key() -> None:
    credentials = Credentials(headers=["Authorization=@ONE"])
    (endpoint,) = make_endpoints([OPENAI], "m", credentials, ENVIRON)
    assert endpoint.api_key is None


@pytest.mark.parametrize(
    "credentials",
    [
        Credentials(key_envs=["ONE"], key_commands=["echo key"]),
        Credentials(key_envs=["ONE"], headers=["authorization=@TWO"]),
        Credentials(key_commands=["echo key"], headers=["authorization=@TWO"]),
    ],
)
def test_two_keys_for_one_endpoint_are_rejected(credentials: Credentials) -> None:
    with pytest.raises(SettingsError, match="has several keys"):
        make_endpoints([A], "m", credentials, ENVIRON)


@each_case(
    "url",
    ["http://user:pass-word@a.example/v1", "http://user:pass-word@a.example:x/v1", "http://a.example/v1#pass-word"],
)
@each_case(
    "credentials",
    [
        Credentials(),
        Credentials(key_envs=["ONE"]),
        Credentials(key_envs=["ONE"], key_commands=["echo key"]),
        Credentials(key_commands=["no-such-program-at-all"]),
        Credentials(headers=["authorization=@ONE"]),
    ],
)
def test_the_password_in_an_invalid_url_is_not_printed(url: str, credentials: Credentials) -> None:
    with pytest.raises(SettingsError, match=r"^--base-url: must") as caught:
        make_endpoints([url], "m", credentials, ENVIRON)
    assert "pass-word" not in str(caught.value)


def test_a_key_comes_from_a_command_for_the_endpoint_that_it_is_given_for() -> None:
    credentials = Credentials(key_envs=["-", "ONE"], key_commands=["echo key-of-command", "-"])
    first, second = make_endpoints([A, B], "m", credentials, ENVIRON)
    assert first.api_key is not None
    assert second.api_key is not None
    assert (first.api_key.get_secret_value(), first.api_key_command) == ("key-of-command", "echo key-of-command")
    assert (second.api_key.get_secret_value(), second.api_key_command) == ("key-1", None)


def test_a_certificate_file_that_is_missing_is_reported_at_the_start() -> None:
    with pytest.raises(SettingsError, match=r"^--ca-cert: no-such-file\.pem can't be read"):
        make_endpoints([A], "m", Credentials(ca_cert=Path("no-such-file.pem")), ENVIRON)


@pytest.mark.parametrize(
    ("given", "certificate", "key"),
    [
        ("c.pem", "c.pem", None),
        ("c.pem:k.pem", "c.pem", "k.pem"),
        ("a:b.pem", "a:b.pem", None),
        ("c.pem:", "c.pem:", None),
    ],
)
def test_a_client_certificate_may_have_its_key_in_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, certificate: str, key: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a:b.pem").touch()
    assert split_client_cert(given) == (Path(certificate), Path(key) if key else None)
