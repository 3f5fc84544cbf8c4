"""The text of a stream whose pieces are repeated, belong to several choices or follow its end."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from persqa_client.client.event_stream import is_event_stream
from tests.client.test_streams import ROLE, STOP, TAKEN, WHOLE, WORDS, chunk, read_answer, read_failure, stream
from tests.support.cases import each_case

SO_FAR = ("<mam>", "<mam> wears", "<mam> wears a ", "<mam> wears a hat.")


@each_case(
    "texts",
    [
        # https://github.com/QwenLM/qwen-code/pull/3896
        pytest.param(SO_FAR, id="the text so far in each piece"),
        pytest.param(["", *SO_FAR, ""], id="with empty pieces"),
        pytest.param([WHOLE.text[:end] for end in range(1, len(WHOLE.text) + 1)], id="character by character"),
        pytest.param(SO_FAR[1::2], id="two pieces"),
        pytest.param(["<mam>", " wears", " a", *SO_FAR[2:]], id="from some piece on"),
        # https://github.com/infiniflow/ragflow/pull/15443
        pytest.param(["<mam>", " ", "wears a", " hat.", WHOLE.text], id="the whole text in the last piece"),
        # https://github.com/openclaw/openclaw/pull/1284
        pytest.param(["<mam>", "<mam>", " wears", " wears", " a hat.", " a hat."], id="each piece twice"),
        pytest.param(["<mam> wears", " a hat.", f"\n{WHOLE.text}\n"], id="with line breaks"),
    ],
)
def test_a_text_that_a_stream_repeats_is_read_once(texts: Sequence[str]) -> None:
    pieces = [chunk({"content": text}) for text in texts]
    assert read_answer(stream(ROLE, *pieces, STOP, TAKEN)).text.strip() == WHOLE.text
    assert (
        read_answer(stream(*pieces[:-1], chunk({"content": texts[-1]}, "stop"), end=False)).text.strip() == WHOLE.text
    )


def test_characters_of_a_repeated_text_that_were_incomplete_are_replaced() -> None:
    pieces = [chunk({"content": text}) for text in ("<mam> \ufffd", "<mam> 坐\ufffd", "<mam> 坐着。")]
    assert read_answer(stream(*pieces, STOP)).text == "<mam> 坐着。"


@each_case(
    "texts",
    [
        ["1", "10"],
        ["ha", "ha"],
        ["ha", "ha", "ha."],
        ["No, ", "no, ", "no."],
        ["very", " very", " red", " red"],
        ["The red", " hat, The red", " coat."],
    ],
)
def test_pieces_that_begin_alike_are_joined(texts: list[str]) -> None:
    assert read_answer(stream(*(chunk({"content": text}) for text in texts), STOP)).text == "".join(texts)


def test_a_refusal_that_a_stream_repeats_is_read_once() -> None:
    so_far = (chunk({"refusal": "I can't"}), chunk({"refusal": "I can't say."}))
    assert read_answer(stream(*so_far, STOP)).refusal == "I can't say."


def choices(*pieces: tuple[int, str, str | None]) -> dict[str, object]:
    """One event with pieces of several choices: index, text and finish reason of each."""
    found = [{"index": index, "delta": {"content": text}, "finish_reason": reason} for index, text, reason in pieces]
    return {"model": "qwen", "choices": found}


def without_index(*texts: str) -> dict[str, object]:
    return {"choices": [{"delta": {"content": text}} for text in texts]}


@each_case(
    "events",
    [
        pytest.param(
            [choices((0, "<mam> wears", None)), choices((1, "A", None)), choices((0, " a hat.", "stop"))],
            id="one after the other",
        ),
        pytest.param(
            [choices((0, "<mam> wears", None), (1, "A", None)), choices((0, " a hat.", "stop"), (1, "B", "stop"))],
            id="in one event",
        ),
        pytest.param(
            [
                choices((1, "A", None), (0, "<mam> wears", None)),
                choices((1, "B", "stop")),
                choices((0, " a hat.", "stop")),
            ],
            id="in another order",
        ),
        pytest.param(
            [choices((0, "<mam> wears", None)), choices((1, " a", None)), choices((2, " hat.", "stop"))],
            id="one choice, whose pieces are counted",
        ),
        pytest.param(
            [choices((0, "<mam> wears", None)), choices((1, " a", "null")), choices((2, " hat.", "null")), STOP],
            id="counted, and ended as the first",
        ),
        pytest.param(
            [ROLE, choices((1, "<mam> wears", None)), choices((1, " a hat.", None)), STOP],
            id="the text as another than the role and the end",
        ),
        pytest.param(
            [without_index("<mam> wears", "A"), without_index(" a hat.", "B"), STOP],
            id="without an index",
        ),
    ],
)
def test_the_text_of_one_choice_is_read(events: list[dict[str, object]]) -> None:
    assert read_answer(stream(*events, TAKEN)) == WHOLE


def test_the_end_of_another_choice_is_not_that_of_the_first() -> None:
    begun = [choices((0, "<mam> wears", None), (1, "A", None)), choices((0, " a", None), (1, "B", "stop"))]
    assert read_failure(stream(*begun, end=False)).code == "connection_lost"


@each_case("texts", [["哈"] * 6, [" is"] * 4, ["1"] * 13, [" character"] * 8, ["<mam> wears"] * 2])
def test_a_word_that_is_said_again_and_again_is_kept(texts: list[str]) -> None:
    pieces = [chunk({"content": text}) for text in texts]
    assert read_answer(stream(*pieces, STOP)).text == "".join(texts)


def test_an_end_before_the_answer_is_ignored() -> None:
    assert read_answer(stream(b"[DONE]", *WORDS, STOP, TAKEN)) == WHOLE
    ended = [part for word in WORDS for part in (word, b"[DONE]")]
    assert read_answer(stream(*ended, STOP, TAKEN)) == WHOLE


def test_tokens_beside_an_empty_piece_are_counted_after_the_end() -> None:
    late = {**TAKEN, "choices": [{"delta": {}}]}
    assert read_answer(stream(*WORDS, STOP, b"[DONE]", late)) == WHOLE


def test_only_tokens_may_follow_the_end() -> None:
    late = chunk({"content": " And a coat."})
    assert read_answer(stream(*WORDS, STOP, b"[DONE]", TAKEN)) == WHOLE
    assert read_answer(stream(*WORDS, STOP, TAKEN, b"[DONE]", late)) == WHOLE
    assert read_failure(stream(WORDS[0], b"[DONE]", WORDS[1], end=False)).code == "connection_lost"


@pytest.mark.parametrize("value", ["text/event-stream", "Text/Event-Stream; charset=utf-8", " text/event-stream"])
def test_an_event_stream_is_known_in_any_spelling(value: str) -> None:
    assert is_event_stream({"Content-Type": value})
