"""Rows of RePIC, whose answers a reward compares: a question, pictures and the solution.

The rules of the loader (oyt9306/RePIC 4232d96, ``grpo_multitask_multi_img_no_format.py`` of ``open_r1``): ``image`` is
a path or a list of them below ``image_root``, ``problem`` is the question, and ``solution`` is a text, a list of names
or a box, as ``accu_reward_method`` says. Pictures have no marks in the text.
"""

from __future__ import annotations

from persqa_client.inputs.made_rows import add_lacking_members, fill_placeholder
from persqa_client.questions.tasks import find_only_tag
from persqa_client.types import Json


class RewardRows:
    """The rows stay as they are, with the question under its name in a run."""

    name = "reward"
    description = "problems with solutions"

    def reads(self, fields: Json, image_key: str) -> bool:
        return isinstance(fields.get("problem"), str) and "solution" in fields and bool(fields.get(image_key))

    def convert(self, line: bytes, fields: Json, image_key: str) -> bytes:
        problem = fields.get("problem")
        if not isinstance(problem, str):
            return line
        question = fill_placeholder(problem.strip())
        return add_lacking_members(line, fields, {"question": question or None, "tag": find_only_tag(problem)})
