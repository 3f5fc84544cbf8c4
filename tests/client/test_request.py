"""The body of a request: the JSON that is expected, with the images in their places."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persqa_client.client.dialect import Dialect
from persqa_client.client.request import PLACEHOLDER, render_body, render_preview
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
    """The body, built from dicts with the base64 inside."""
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
def test_the_body_is_the_expected_json(request: Request) -> None:
    assert json.loads(body(request)) == expected(request)
    assert list(json.loads(body(request))) == list(expected(request))


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_the_body_is_equal_byte_for_byte(count: int) -> None:
    request = Request("System é", PICTURES[:count], 'A "question"\n<mam>', 3, turns=(Turn("assistant", "no"),))
    assert body(request) == compact(expected(request))


def test_images_of_later_turns_come_before_their_texts() -> None:
    turns = (Turn("assistant", "one"), Turn("user", "two", pictures=2))
    messages = json.loads(body(Request("s", PICTURES, "first", 3, turns=turns)))["messages"]
    assert messages[1]["content"] == [part(PICTURES[0]), {"type": "text", "text": "first"}]
    assert messages[2]["content"] == "one"
    assert messages[3]["content"] == [*map(part, PICTURES[1:]), {"type": "text", "text": "two"}]


def test_system_text_and_images_come_before_the_question() -> None:
    """A server can then share their prefix among questions."""
    first, second = (body(Request("s", PICTURES[:2], prompt, 1)) for prompt in ("one", "two"))
    shared = next(index for index, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    assert first.index(b"base64,", first.index(b"base64,") + 1) < shared


@pytest.mark.parametrize(
    "text", ["picture-0123456789abcdef-goes-here", "picture-goes-here", "data:image/jpeg;base64,", "{PLACEHOLDER}"]
)
def test_a_text_that_looks_like_the_placeholder_is_harmless(text: str) -> None:
    request = Request(text, PICTURES[:2], text, 1, turns=(Turn("user", text),))
    assert json.loads(body(request)) == expected(request)


def test_the_placeholder_is_never_sent() -> None:
    assert PLACEHOLDER.encode() not in body(Request("s", PICTURES, "q", 1))


def test_a_request_may_limit_its_answer() -> None:
    assert json.loads(body(Request("s", (), "q", 1, max_tokens=5)))["max_tokens"] == 5


def test_extra_body_overrides_other_fields() -> None:
    sent = json.loads(body(sampling=Sampling(extra_body={"temperature": 0.1, "top_k": 5})))
    assert (sent["temperature"], sent["top_k"]) == (0.1, 5)


@pytest.mark.parametrize(
    ("dialect", "absent", "present"),
    [
        pytest.param(
            Dialect(renamed=frozenset({"max_tokens"})), "max_tokens", {"max_completion_tokens": 64}, id="renamed"
        ),
        pytest.param(Dialect(dropped=frozenset({"temperature"})), "temperature", {"top_p": 0.8}, id="dropped"),
        pytest.param(Dialect(dropped=frozenset({"seed"})), "seed", {}, id="no seed"),
        pytest.param(Dialect(dropped=frozenset({"top_k"})), "top_k", {}, id="a field of extra_body"),
    ],
)
def test_the_dialect_renames_and_drops(dialect: Dialect, absent: str, present: dict[str, object]) -> None:
    sent = json.loads(body(dialect=dialect))
    assert absent not in sent
    assert present.items() <= sent.items()


def test_a_pattern_is_sent_if_the_server_obeys_one() -> None:
    asked = Request("s", (), "q", 1, pattern="<mam>.+")
    assert "structured_outputs" not in json.loads(body(asked))
    sent = json.loads(body(asked, Dialect(constraint="structured_outputs")))
    assert sent["structured_outputs"] == {"regex": "<mam>.+"}
    assert "structured_outputs" not in json.loads(body(REQUEST, Dialect(constraint="structured_outputs")))


REASKED = Request(
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
def test_a_prefill_is_the_last_message(form: str, last: dict[str, Any], fields: dict[str, Any]) -> None:
    sent = json.loads(body(REASKED, Dialect(constraint="structured_outputs", prefill=form)))
    assert sent["messages"][-3:] == [{"role": "assistant", "content": "no"}, {"role": "user", "content": "why"}, last]
    assert fields.items() <= sent.items()
    assert "structured_outputs" not in sent, "its pattern is that of a whole answer"


def test_a_prefill_is_not_sent_to_a_server_without_the_form() -> None:
    without = replace(REASKED, prefill=None)
    for dialect in (Dialect(constraint="guided_regex"), Dialect(prefill="partial", dropped=frozenset({"partial"}))):
        assert body(REASKED, dialect) == body(without, dialect)
    assert json.loads(body(REASKED, Dialect(constraint="guided_regex")))["guided_regex"] == "<mam>.+"


def test_the_preview_abridges_images() -> None:
    shown = render_preview(
        Request("s", PICTURES[:2], "Wer ist <mam>?", 1), model="qwen", sampling=SAMPLING, dialect=Dialect()
    )
    urls = [item["image_url"]["url"] for item in json.loads(shown)["messages"][1]["content"][:2]]
    assert urls == [
        "data:image/jpeg;base64,/9hmaXJzdA==… (640x480, 7 bytes)",
        "data:image/png;base64,iVBOR3NlY29uZA==… (10x20, 10 bytes)",
    ]
    assert PLACEHOLDER not in shown
    assert "\n" in shown


def test_the_preview_of_a_large_image_is_short() -> None:
    large = EncodedImage(bytes(100_000), "image/jpeg", 100, 100)
    shown = render_preview(Request("s", (large,), "q", 1), model="qwen", sampling=SAMPLING, dialect=Dialect())
    assert len(shown) < 1000
    assert "100,000 bytes" in shown
