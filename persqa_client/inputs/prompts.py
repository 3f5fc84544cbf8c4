"""How a question is put to the model, in the question's own language, and how it is put again. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from persqa_client.language import is_chinese
from persqa_client.types import Problem, Turn


@dataclass(frozen=True, slots=True)
class Wording:
    """The texts of one language. The system text is the same for all rows, so that servers can share its prefix."""

    system: str
    prompt: str
    again: str


ENGLISH = Wording(
    system=(
        "You describe pictures truthfully for a data set. You only say what can be seen, in plain sentences, "
        "and you call the main character by the tag that you are given, written exactly as it is given."
    ),
    prompt=(
        "The main character in the picture is called {tag}. Answer the question about {tag} in one or two sentences, "
        "and begin your answer with {tag}.\nQuestion: {question}"
    ),
    again="That answer can't be used: {reason}. Please answer the question again, beginning with {tag}.",
)
CHINESE = Wording(
    system=(
        "你为数据集如实描述图片。只说图中看得见的内容，用平实的句子；提到主角时，使用给定的标记，并且一字不差地照写。"
    ),
    prompt="图中的主角叫做{tag}。请用一两句话回答关于{tag}的问题，并以{tag}开头。\n问题：{question}",
    again="这个回答不能使用（{reason}）。请重新回答问题，并以{tag}开头。",
)


def wording_for(question: str) -> Wording:
    return CHINESE if is_chinese(question) else ENGLISH


def put(question: str, tag: str) -> tuple[str, str]:
    """The system text and the prompt for a question."""
    wording = wording_for(question)
    return wording.system, wording.prompt.format(tag=tag, question=question)


def put_again(question: str, tag: str, answer: str, problem: Problem) -> tuple[Turn, Turn]:
    """The turns that follow a bad answer: the answer itself, and why it is asked again."""
    again = wording_for(question).again.format(tag=tag, reason=problem.reason)
    return Turn("assistant", answer or "…"), Turn("user", again)
