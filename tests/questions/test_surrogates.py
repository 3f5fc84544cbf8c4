"""The name that stands in for a tag is one that nobody else there bears."""

from __future__ import annotations

import pytest

from persqa_client.errors import RowError
from persqa_client.questions.tags import SURROGATE_NAMES, choose_surrogate


def test_a_name_comes_in_the_questions_language() -> None:
    assert choose_surrogate("What is <mam> wearing?", "<mam>", ()) == SURROGATE_NAMES["en"][0]
    assert choose_surrogate("<mam>穿着什么？", "<mam>", ()) == SURROGATE_NAMES["zh"][0]


@pytest.mark.parametrize(
    ("question", "tag", "names"),
    [
        pytest.param("Is <mam> near charlie?", "<mam>", (), id="in the question"),
        pytest.param("What is <charlie> doing?", "<charlie>", (), id="the tag itself"),
        pytest.param("What is <mam> doing?", "<mam>", ("Charlie Chaplin",), id="among the real names"),
    ],
)
def test_a_name_that_is_taken_is_passed_over(question: str, tag: str, names: tuple[str, ...]) -> None:
    assert choose_surrogate(question, tag, names) == SURROGATE_NAMES["en"][1]


def test_where_all_are_taken_the_row_says_so() -> None:
    with pytest.raises(RowError) as caught:
        choose_surrogate("What is <mam> doing?", "<mam>", SURROGATE_NAMES["en"])
    assert caught.value.code == "no_surrogate"
