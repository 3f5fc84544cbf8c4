"""Servers that answer, but ignore a part of the request."""

from __future__ import annotations

from typing import Any

import pytest

from persqa_client.errors import SettingsError
from persqa_client.simulator.settings import SimSettings
from tests.simulator.requests import chat_body, connect, image_part, make_image

RED, BLUE = image_part(make_image("red")), image_part(make_image("blue"))
NOTHING_SEEN = "no picture came with the question"


def ask(*requests: dict[str, Any], **settings: Any) -> list[tuple[str, int]]:
    """Text and prompt tokens of each answer."""
    with connect(**settings) as client:
        answers = [client.post(request).json() for request in requests]
    return [(answer["choices"][0]["message"]["content"], answer["usage"]["prompt_tokens"]) for answer in answers]


def test_images_may_be_counted_but_not_seen() -> None:
    [(text, tokens)] = ask(chat_body(RED), image_use="counted")
    [(_, usual)] = ask(chat_body(RED))
    assert NOTHING_SEEN in text
    assert tokens == usual


def test_base64_may_be_read_as_text() -> None:
    large = image_part(make_image("red", (640, 480), "BMP"))
    (text, tokens), (_, more) = ask(chat_body(RED), chat_body(large), image_use="base64", max_model_len=10**7)
    assert NOTHING_SEEN in text
    assert more - tokens == (len(large["image_url"]["url"]) - len(RED["image_url"]["url"])) / 2


@pytest.mark.parametrize(("image_use", "seen"), [("first", RED), ("last", BLUE)])
def test_one_of_several_images_may_be_seen(image_use: str, seen: dict[str, Any]) -> None:
    (of_two, _), (of_one, _) = ask(chat_body(RED, BLUE), chat_body(seen), image_use=image_use)
    assert of_two == of_one


def test_the_first_image_may_be_replayed_for_others_of_its_size() -> None:
    requests = chat_body(RED), chat_body(BLUE), chat_body(BLUE, text="Is <mam> here?")
    (first, _), (replayed, _), (other, _) = ask(*requests, image_use="replayed")
    assert replayed == first
    assert "red" in first
    assert "blue" in other


def test_an_image_sent_by_its_uuid_may_be_counted_but_not_seen() -> None:
    sent, by_uuid, unknown = image_part(make_image(), uuid="a"), image_part(uuid="a"), image_part(uuid="b")
    (text, tokens), (made_up, counted), (also_made_up, _) = ask(
        chat_body(sent), chat_body(by_uuid), chat_body(unknown), blind_to_uuids=True
    )
    assert NOTHING_SEEN not in text
    assert NOTHING_SEEN in made_up
    assert NOTHING_SEEN in also_made_up
    assert counted == tokens


def test_fields_may_be_removed() -> None:
    request = chat_body(structured_outputs={"regex": "x{3}"}, max_tokens=4)
    [(free, _)] = ask(request, strip=("structured_outputs",))
    [(held, _)] = ask(request)
    assert held == "xxx"
    assert len(free) > 4


def test_an_unknown_use_of_images_is_refused() -> None:
    with pytest.raises(SettingsError, match="image_use"):
        SimSettings(image_use="some")  # type: ignore[arg-type]
