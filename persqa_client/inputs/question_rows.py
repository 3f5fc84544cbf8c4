"""Rows with a question of their own under another name, or with ``<image>`` marks in it.

The rules of their programs:

- RePIC's trainer (oyt9306/RePIC 4232d96, ``grpo_multitask_multi_img_no_format.py`` of ``open_r1``): ``image`` is a path
  or a list of them below ``image_root``, ``problem`` is the question, and ``solution`` is a text, a list of names or a
  box, as ``accu_reward_method`` says. Pictures have no marks in the text.
- RAP-MLLM's test of recognition (Hoar012/RAP-MLLM 3c0c9c2, ``eval/recognition_test.json``): ``image`` is a path, and
  ``question`` has a mark and the tag.
- Pairs for DPO (2U1/Qwen-VL-Series-Finetune, ``README.md``): ``image`` is a path or a list of them, ``prompt`` is the
  question, with a mark for each, and ``chosen`` and ``rejected`` are answers. TRL's and Oumi's (huggingface/trl,
  ``docs/source/dataset_formats.md``; oumi-ai/oumi, ``data/dataset_examples``) need no marks, and name their pictures
  under ``images``.
- What ``persqa export`` packs (``formats/packed_rows.py``): ``question``, ``answer``, and ``tags``, each in brackets.
- LLaVA's files of questions (haotian-liu/LLaVA c121f04, ``llava/eval/model_vqa.py`` and ``playground/data``):
  ``question_id``, ``image``, and the question in ``text``. ``category`` is the kind of the question.
"""

from __future__ import annotations

from typing import TypeGuard

from persqa_client.errors import RowError
from persqa_client.inputs.conversations import MARK, find_named_pictures, place_pictures, remove_image_marks
from persqa_client.inputs.made_rows import (
    add_lacking_members,
    fill_placeholder,
    find_packed_tag,
    find_row_tag,
    has_own_question,
    make_row,
)
from persqa_client.inputs.rows import parse_images
from persqa_client.json_members import replace_value
from persqa_client.questions.categories import parse_category
from persqa_client.types import Json

# Where the category of a question is kept.
QUESTION_CATEGORY = "question_category"


class RewardRows:
    """The rows stay as they are, with the question under its name in a run."""

    name = "reward"
    description = "problems with solutions"

    def reads(self, fields: Json, image_key: str) -> bool:
        has_problem = isinstance(fields.get("problem"), str) and "solution" in fields
        return has_problem and bool(fields.get(image_key)) and not has_own_question(fields, image_key)

    def convert(self, line: bytes, fields: Json, image_key: str) -> bytes:
        problem = fields.get("problem")
        if not isinstance(problem, str):
            return line
        question = fill_placeholder(problem.strip())
        return add_lacking_members(line, fields, {"question": question or None, "tag": find_row_tag(fields, problem)})


class MarkedRows:
    """The marks are removed from the question. A prompt stays as it is, and its text becomes the question."""

    name = "marked"
    description = "questions with marks"

    def reads(self, fields: Json, image_key: str) -> bool:
        if find_marked(fields) is None:
            return False
        try:
            return bool(find_named_pictures(fields, image_key)[1])
        except RowError:
            return True

    def convert(self, line: bytes, fields: Json, image_key: str) -> bytes:
        key = find_marked(fields)
        if key is None:
            return line
        given: str = fields[key]
        if fields.get(image_key) in (None, "", []) and (named := find_named_pictures(fields, image_key))[0] is not None:
            images = named[1]
            line = make_row(line, fields, (named[0], image_key), {image_key: list(images)})
        else:
            images = parse_images(fields, image_key)
        place_pictures(images, [None] * given.count(MARK), "the question has")
        question = fill_placeholder(remove_image_marks(given))
        members: Json = {"tag": find_row_tag(fields, question)}
        if key == "question":
            line = replace_value(line, ("question",), question)
        else:
            members["question"] = question or None
        return add_lacking_members(line, fields, members)


class NumberedRows:
    """The text becomes the question. A category without a bank is one of questions, and gets another name."""

    name = "numbered"
    description = "numbered questions"

    def reads(self, fields: Json, image_key: str) -> bool:
        return has_numbered_text(fields) and bool(fields.get(image_key)) and not has_own_question(fields, image_key)

    def convert(self, line: bytes, fields: Json, image_key: str) -> bytes:
        if not has_numbered_text(fields) or has_own_question(fields, image_key):
            return line
        text: str = fields["text"]
        place_pictures(parse_images(fields, image_key), [None] * text.count(MARK), "the text has")
        question = fill_placeholder(remove_image_marks(text))
        members: Json = {"question": question or None, "tag": find_row_tag(fields, question)}
        if is_other_category(fields.get("category")) and QUESTION_CATEGORY not in fields:
            return make_row(line, fields, ("category",), members | {QUESTION_CATEGORY: fields["category"]})
        return add_lacking_members(line, fields, members)


def has_numbered_text(fields: Json) -> bool:
    """Without a question, the text of LLaVA's files of answers is an answer to ``prompt``."""
    return "question_id" in fields and "prompt" not in fields and isinstance(fields.get("text"), str)


def is_other_category(value: object) -> bool:
    if not isinstance(value, str) or not value.strip():
        return False
    try:
        parse_category(value)
    except ValueError:
        return True
    return False


class PackedRows:
    """Rows of an export in Parquet or WebDataset. They stay as they are, with their first tag as that of the row."""

    name = "packed"
    # Their questions are those of the fields, too.
    description = ""

    def reads(self, fields: Json, image_key: str) -> bool:
        has_answer = has_own_question(fields, image_key) and isinstance(fields.get("answer"), str)
        return has_answer and find_packed_tag(fields) is not None

    def convert(self, line: bytes, fields: Json, image_key: str) -> bytes:
        return add_lacking_members(line, fields, {"tag": find_packed_tag(fields)})


def find_marked(fields: Json) -> str | None:
    """The member with the question and its marks. A prompt without answers may be a text of the user's own."""
    if has_mark(fields.get("question")):
        return "question"
    is_pair = {"chosen", "rejected"} <= fields.keys() and fields.get("question") in (None, "")
    prompt = fields.get("prompt")
    return "prompt" if is_pair and isinstance(prompt, str) and prompt.strip() else None


def has_mark(question: object) -> TypeGuard[str]:
    """Whether a mark stands before or after the question. In the middle, it may be a word of the user's."""
    return isinstance(question, str) and (question.strip().startswith(MARK) or question.strip().endswith(MARK))
