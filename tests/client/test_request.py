"""The bytes of a request: what json would give, with the pictures spliced into their places."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persqa_client.client.dialect import Dialect
from persqa_client.client.request import SLOT, render_body, render_preview
from persqa_client.config import Sampling
from persqa_client.types import EncodedImage, Request, Turn

SAMPLING = Sampling(temperature=0.5, top_p=0.8, max_tokens=64, extra_body={"top_k": 20})
PICTURES = (
    EncodedImage(b"\xff\xd8first", "image/jpeg", 640, 480),
    EncodedImage(b"\x89PNGsecond", "image/png", 10, 20),
    EncodedImage(b"", "image/jpeg", 1, 1),
)
REQUEST = Request("You look closely.", PICTURES[:1], "What is <mam> wearing?", seed=7)


def body(request: Request = REQUEST, dialect: Dialect | None = None, sampling: Sampling = SAMPLING) -> bytes:
    return bytes(render_body(request, model="qwen", sampling=sampling, dialect=dialect or Dialect()))


def part(picture: EncodedImage) -> dict[str, Any]:
    data = b64encode(picture.data).decode()
    return {"type": "image_url", "image_url": {"url": f"data:{picture.media_type};base64,{data}"}}


def expected(request: Request) -> dict[str, Any]:
    """The body as most people would build it: dicts with the base64 inside."""
    text = {"type": "text", "text": request.prompt}
    content = [*map(part, request.pictures), text] if request.pictures else request.prompt
    return {
        "model": "qwen",
        "messages": [
            *([{"role": "system", "content": request.system}] if request.system else []),
            {"role": "user", "content": content},
            *({"role": turn.role, "content": turn.text} for turn in request.turns),
        ],
        "temperature": 0.5,
        "top_p": 0.8,
        "max_tokens": 64,
        "seed": request.seed,
        "top_k": 20,
    }


def compact(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
PICTURE = st.builds(
    EncodedImage, st.binary(max_size=50), st.sampled_from(["image/jpeg", "image/png"]), st.just(1), st.just(1)
)
REQUESTS = st.builds(
    Request,
    TEXT,
    st.lists(PICTURE, max_size=4).map(tuple),
    TEXT,
    st.integers(0, 2**31 - 1),
    turns=st.lists(st.builds(Turn, st.sampled_from(["assistant", "user"]), TEXT), max_size=2).map(tuple),
)


@given(REQUESTS)
def test_the_bytes_are_those_of_json_with_the_pictures_inside(request: Request) -> None:
    assert json.loads(body(request)) == expected(request)
    assert list(json.loads(body(request))) == list(expected(request))


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_the_bytes_are_equal_to_the_last_one(count: int) -> None:
    request = Request("System é", PICTURES[:count], 'A "question"\n<mam>', 3, turns=(Turn("assistant", "no"),))
    assert body(request) == compact(expected(request))


def test_pictures_of_later_turns_stand_before_their_texts() -> None:
    turns = (Turn("assistant", "one"), Turn("user", "two", pictures=2))
    messages = json.loads(body(Request("s", PICTURES, "first", 3, turns=turns)))["messages"]
    assert messages[1]["content"] == [part(PICTURES[0]), {"type": "text", "text": "first"}]
    assert messages[2]["content"] == "one"
    assert messages[3]["content"] == [*map(part, PICTURES[1:]), {"type": "text", "text": "two"}]


def test_the_system_text_and_the_pictures_come_before_the_question() -> None:
    """So that a server can share what two questions about a picture have in common."""
    first, second = (body(Request("s", PICTURES[:2], prompt, 1)) for prompt in ("one", "two"))
    shared = next(index for index, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    assert first.index(b"base64,", first.index(b"base64,") + 1) < shared


@pytest.mark.parametrize(
    "text", ["picture-0123456789abcdef-goes-here", "picture-goes-here", "data:image/jpeg;base64,", "{SLOT}"]
)
def test_a_text_that_looks_like_the_slot_is_harmless(text: str) -> None:
    request = Request(text, PICTURES[:2], text, 1, turns=(Turn("user", text),))
    assert json.loads(body(request)) == expected(request)


def test_the_slot_never_goes_over_the_wire() -> None:
    assert SLOT.encode() not in body(Request("s", PICTURES, "q", 1))


def test_a_request_may_ask_for_a_shorter_answer() -> None:
    assert json.loads(body(Request("s", (), "q", 1, max_tokens=5)))["max_tokens"] == 5


def test_a_persons_extra_fields_go_over_ours() -> None:
    sent = json.loads(body(sampling=Sampling(extra_body={"temperature": 0.1, "top_k": 5})))
    assert (sent["temperature"], sent["top_k"]) == (0.1, 5)


@pytest.mark.parametrize(
    ("dialect", "gone", "there"),
    [
        pytest.param(
            Dialect(renamed=frozenset({"max_tokens"})), "max_tokens", {"max_completion_tokens": 64}, id="renamed"
        ),
        pytest.param(Dialect(dropped=frozenset({"temperature"})), "temperature", {"top_p": 0.8}, id="dropped"),
        pytest.param(Dialect(dropped=frozenset({"seed"})), "seed", {}, id="no seed"),
        pytest.param(Dialect(dropped=frozenset({"top_k"})), "top_k", {}, id="a person's own field"),
    ],
)
def test_the_dialect_renames_and_drops(dialect: Dialect, gone: str, there: dict[str, object]) -> None:
    sent = json.loads(body(dialect=dialect))
    assert gone not in sent
    assert there.items() <= sent.items()


def test_a_pattern_is_sent_where_the_server_obeys_one() -> None:
    asked = Request("s", (), "q", 1, pattern="<mam>.+")
    assert "structured_outputs" not in json.loads(body(asked))
    sent = json.loads(body(asked, Dialect(constraint="structured_outputs")))
    assert sent["structured_outputs"] == {"regex": "<mam>.+"}
    assert "structured_outputs" not in json.loads(body(REQUEST, Dialect(constraint="structured_outputs")))


ASKED_AGAIN = Request(
    "s", PICTURES[:1], "q", 1, pattern="<mam>.+", prefill="<mam>", turns=(Turn("assistant", "no"), Turn("user", "why"))
)


@pytest.mark.parametrize(
    ("form", "last", "fields"),
    [
        pytest.param(
            "continue_final_message",
            {"role": "assistant", "content": "<mam>"},
            {"continue_final_message": True, "add_generation_prompt": False},
            id="vLLM",
        ),
        pytest.param("partial", {"role": "assistant", "content": "<mam>", "partial": True}, {}, id="Model Studio"),
    ],
)
def test_the_answers_beginning_is_the_last_message(form: str, last: dict[str, Any], fields: dict[str, Any]) -> None:
    sent = json.loads(body(ASKED_AGAIN, Dialect(constraint="structured_outputs", prefill=form)))
    assert sent["messages"][-3:] == [{"role": "assistant", "content": "no"}, {"role": "user", "content": "why"}, last]
    assert fields.items() <= sent.items()
    assert "structured_outputs" not in sent, "its pattern is that of a whole answer"


def test_a_beginning_is_not_sent_where_the_server_would_take_it_for_a_finished_turn() -> None:
    without = replace(ASKED_AGAIN, prefill=None)
    for dialect in (Dialect(constraint="guided_regex"), Dialect(prefill="partial", dropped=frozenset({"partial"}))):
        assert body(ASKED_AGAIN, dialect) == body(without, dialect)
    assert json.loads(body(ASKED_AGAIN, Dialect(constraint="guided_regex")))["guided_regex"] == "<mam>.+"


def test_a_person_is_shown_the_body_without_the_pictures_bytes() -> None:
    shown = render_preview(
        Request("s", PICTURES[:2], "Wer ist <mam>?", 1), model="qwen", sampling=SAMPLING, dialect=Dialect()
    )
    urls = [item["image_url"]["url"] for item in json.loads(shown)["messages"][1]["content"][:2]]
    assert urls == [
        "data:image/jpeg;base64,/9hmaXJzdA==… (640x480, 7 bytes)",
        "data:image/png;base64,iVBOR3NlY29uZA==… (10x20, 10 bytes)",
    ]
    assert SLOT not in shown
    assert "\n" in shown


def test_what_a_person_is_shown_is_short_for_a_large_picture() -> None:
    large = EncodedImage(bytes(100_000), "image/jpeg", 100, 100)
    shown = render_preview(Request("s", (large,), "q", 1), model="qwen", sampling=SAMPLING, dialect=Dialect())
    assert len(shown) < 1000
    assert "100,000 bytes" in shown
