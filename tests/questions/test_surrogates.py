"""The surrogate name of a tag is one that does not occur otherwise."""

from __future__ import annotations

import pytest

from persqa_client.errors import RowError
from persqa_client.questions.tags import SURROGATE_NAMES, choose_surrogate


def test_the_surrogate_is_in_the_language_of_the_question() -> None:
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
def test_a_name_that_occurs_is_skipped(question: str, tag: str, names: tuple[str, ...]) -> None:
    assert choose_surrogate(question, tag, names) == SURROGATE_NAMES["en"][1]


def test_the_row_fails_where_all_names_occur() -> None:
    with pytest.raises(RowError) as caught:
        choose_surrogate("What is <mam> doing?", "<mam>", SURROGATE_NAMES["en"])
    assert caught.value.code == "no_surrogate"
