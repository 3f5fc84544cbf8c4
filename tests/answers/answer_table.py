"""What models say, and what is to come of it.

Each question stands here once, so that an endpoint can be told by the question which answer to give.
"""

from __future__ import annotations

from tests.answers import answers_chinese, answers_english
from tests.answers.answer_cases import Case

CASES: tuple[Case, ...] = (
    *answers_english.GOOD,
    *answers_chinese.GOOD,
    *answers_english.MENDED,
    *answers_chinese.MENDED,
    *answers_english.BAD,
    *answers_chinese.BAD,
)
