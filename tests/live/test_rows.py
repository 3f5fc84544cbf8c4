"""Single rows of all sorts, through ``persqa_client.generate``, against a real server."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from persqa_client import generate
from persqa_client.language import is_chinese
from persqa_client.run.summary import Summary
from tests.live.commands import ANSWER_CODES, PICTURES, SAMPLES
from tests.live.endpoints import LiveEndpoint

FEWEST_TOKENS = 60
"""A sample picture counts for 170 and more with Qwen2.5-VL, for 85 with the thriftiest of the hosted models."""


COPIES = 16
"""Of each row, so that one is answered at the first request."""


def ask(endpoint: LiveEndpoint, rows: Path | list[dict[str, Any]]) -> Summary:
    return generate(
        rows,
        base_url=endpoint.base_url,
        model=endpoint.model,
        api_key_env=endpoint.key_env,
        extra_body=endpoint.extra_body,
        details=True,
    )


def answer(endpoint: LiveEndpoint, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows as they come out, answered at the first request. Each is asked several times, because the checks reject
    some answers: a model of random weights writes random words."""
    copies = ({**row, "id": number, "copy": copy} for copy in range(COPIES) for number, row in enumerate(rows))
    summary = ask(endpoint, list(copies))
    assert {failure["error"]["code"] for failure in summary.failures} <= ANSWER_CODES
    found = {out["id"]: out for out in summary.records if out["pers_qa_meta"]["asks"] == 1}
    assert found.keys() == set(range(len(rows))), f"the checks reject all answers: {summary.failures}"
    return [found[number] for number in range(len(rows))]


def prompt_tokens(out: dict[str, Any]) -> int:
    """What the server counted, pictures included."""
    return int(out["pers_qa_meta"]["usage"]["prompt"])


def test_a_chinese_question_is_asked_as_it_is(endpoint: LiveEndpoint) -> None:
    """A model of English noise is told so, and fails for its language."""
    summary = ask(endpoint, [{"image": PICTURES[0], "question": "<mam> 穿着什么颜色的衣服？"}])

    for out in summary.records:
        assert out["pers_qa"].startswith("Question: <mam> 穿着什么颜色的衣服？, Answer: <mam>")
    for row in summary.failures:
        assert (row["error"]["code"], row["error"]["raw"][:5]) == ("wrong_language", "<mam>")
    assert len(summary.records) + len(summary.failures) == 1


def test_several_pictures_are_asked_about_in_one_request(endpoint: LiveEndpoint) -> None:
    """Four are what scripts/serve_vllm.sh allows; each adds the tokens of its pixels to the prompt."""
    question = "In which of these pictures is <mam>?"

    one, four = answer(endpoint, *({"image": PICTURES[:count], "question": question} for count in (1, 4)))

    assert four["image"] == PICTURES[:4]
    assert ", Answer: <mam>" in four["pers_qa"]
    assert prompt_tokens(four) > prompt_tokens(one) + 3 * FEWEST_TOKENS


def test_a_picture_may_come_in_the_row_itself(endpoint: LiveEndpoint) -> None:
    picture = base64.b64encode((SAMPLES / "cat.jpg").read_bytes()).decode()
    asked = {"tag": "bo", "question": "What is the fur of <bo> like?"}

    images = [str(SAMPLES / "cat.jpg")], [f"data:image/jpeg;base64,{picture}"]
    by_path, by_data = answer(endpoint, *({"image": image, **asked} for image in images))

    assert by_data["image"] == [f"data:image/jpeg;base64,{picture}"]
    assert ", Answer: <bo>" in by_data["pers_qa"]
    assert prompt_tokens(by_data) == prompt_tokens(by_path)


def test_the_sample_rows_are_all_answered(endpoint: LiveEndpoint) -> None:
    summary = ask(endpoint, SAMPLES / "demo.jsonl")

    assert {row["error"]["code"] for row in summary.failures} <= ANSWER_CODES
    assert all(is_chinese(row["question"]) for row in summary.failures if row["error"]["code"] == "wrong_language")
    assert {row["image"][0] for row in summary.records if "<bo>" in row["pers_qa"]} <= {"cat.jpg"}
    assert len(summary.records) + len(summary.failures) == len(PICTURES)
