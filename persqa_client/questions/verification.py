"""The question whether an answer is right, which ``--verify`` asks the model, and how its verdict is read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b

from persqa_client.language import is_chinese
from persqa_client.questions.prompts import VERIFICATION_REASONS, choose_wording
from persqa_client.types import AnswerVerdict, Task


@dataclass(frozen=True, slots=True)
class VerificationWording:
    """``pattern`` is for servers that enforce one."""

    prompt: str
    pattern: str


ENGLISH = VerificationWording(
    prompt=(
        "{subject} Somebody has answered a question about {name}. Compare the answer with the picture.\n"
        "Question: {question}\nAnswer: {answer}\n"
        "Is this answer right, as far as the picture shows? Reply with yes or no only."
    ),
    pattern="yes|no",
)
CHINESE = VerificationWording(
    prompt=(
        "{subject}有人回答了一个关于{name}的问题，请把回答和图片对照。\n"
        "问题：{question}\n回答：{answer}\n就图中所见，这个回答正确吗？只回答“是”或“否”。"
    ),
    pattern="是|否",
)

# In lower case. Models may reply with another word, or in another language, unless the server enforces the pattern.
VERDICTS: Mapping[str, AnswerVerdict] = {
    **dict.fromkeys(("yes", "是", "是的", "对", "正确", "right", "correct", "true"), "yes"),
    **dict.fromkeys(("no", "否", "不是", "不对", "不正确", "wrong", "incorrect", "false"), "no"),
}
CHOICES = "|".join(sorted(VERDICTS, key=len, reverse=True))
# The verdict begins the reply and ends there, or at punctuation: "no hat is visible" is none.
VERDICT = re.compile(rf"[\W_]*({CHOICES})(?=[*_\"'”’」』`]*(?:\s*$|\s*[.,;:!\n。，；：！—–-]))", re.IGNORECASE)


def build_verification_prompt(task: Task, answer: str) -> tuple[str, str]:
    """The prompt, and the pattern of its replies. With a surrogate, the model reads that name as before."""
    name = task.surrogate or task.tag
    question, answer = task.question.replace(task.tag, name), answer.replace(task.tag, name)
    wording = CHINESE if is_chinese(task.question) else ENGLISH
    subject = choose_wording(task.question).subjects[task.category or "human"].format(name=name)
    return wording.prompt.format(subject=subject, name=name, question=question, answer=answer), wording.pattern


def read_verdict(text: str) -> AnswerVerdict:
    """``yes``, ``no`` or ``unreadable``.

    >>> read_verdict("**Yes.** The hat is blue."), read_verdict("不对，帽子是蓝色的。"), read_verdict("Yes or no?")
    ('yes', 'no', 'unreadable')
    """
    found = VERDICT.match(text)
    return "unreadable" if found is None else VERDICTS[found[1].lower()]


def verification_digest() -> str:
    """16 hexadecimal digits, changed by any edit of the texts."""
    texts = json.dumps([asdict(ENGLISH), asdict(CHINESE), VERIFICATION_REASONS], sort_keys=True)
    return blake2b(texts.encode(), digest_size=8).hexdigest()
