"""Raw answers of models with their expected results.

Each question occurs once, so that a simulated endpoint can choose the answer by the question.
"""

from __future__ import annotations

from tests.answers import answers_chinese, answers_english
from tests.answers.answer_cases import Case

CASES: tuple[Case, ...] = (
    *answers_english.GOOD,
    *answers_chinese.GOOD,
    *answers_english.FIXED,
    *answers_chinese.FIXED,
    *answers_english.BAD,
    *answers_chinese.BAD,
)
