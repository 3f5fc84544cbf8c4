"""How a question is put to the model, in the question's own language, and how it is put again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from persqa_client.language import is_chinese
from persqa_client.types import Problem, Turn


@dataclass(frozen=True, slots=True)
class Wording:
    """The texts of one language. The system text is the same for all rows, so that servers can share its prefix."""

    system: str
    subjects: Mapping[str, str]
    """What is said of the main character, by category."""
    prompt: str
    again: str
    reasons: Mapping[str, str]
    """Why an answer can't be used, by the problem's code; where a code is not here, the problem's own words."""


ENGLISH = Wording(
    system=(
        "You describe pictures truthfully for a data set. You only say what can be seen, in plain sentences, "
        "and you call the main character by the name or tag that you are given, written exactly as it is given."
    ),
    subjects={
        "human": "The main character in the picture is called {name}.",
        "animal": "The animal in the picture is called {name}.",
        "object": "The object in the picture is called {name}.",
        "scene": "The place in the picture is called {name}.",
        "group": "The main character in the picture, who is there with others, is called {name}.",
    },
    prompt=(
        "{subject} Answer the question about {name} in one or two sentences, and begin your answer with {name}.\n"
        "Question: {question}"
    ),
    again="That answer can't be used: {reason}. Please answer the question again, beginning with {name}.",
    reasons={},
)
CHINESE = Wording(
    system=(
        "你为数据集如实描述图片。只说图中看得见的内容，用平实的句子；提到主角时，使用给定的名字或标记，并且一字不差地照写。"
    ),
    subjects={
        "human": "图中的主角叫做{name}。",
        "animal": "图中的动物叫做{name}。",
        "object": "图中的物品叫做{name}。",
        "scene": "图中的地方叫做{name}。",
        "group": "图中有好几个人，其中的主角叫做{name}。",
    },
    prompt="{subject}请用一两句话回答关于{name}的问题，并以{name}开头。\n问题：{question}",
    again="这个回答不能使用，原因是：{reason}。请重新回答问题，并以{name}开头。",
    reasons={
        "empty": "回答是空的",
        "refusal": "这是拒绝回答",
        "no_tag": "没有以{name}开头",
        "pronoun_only": "用代词或泛称代替了{name}",
        "only_tag": "除了{name}以外什么也没说",
        "echo": "重复了问题或题目要求",
        "unknown_tag": "出现了{name}以外的标记",
        "unknown_markup": "含有标记符号",
        "placeholder": "含有没有填写的占位符",
        "loop": "同样的话重复了太多次",
        "wrong_language": "没有用中文回答",
        "name_leak": "写出了真实姓名，只能称呼{name}",
        "content_filter": "被内容过滤中断了",
        "unfinished": "没有说完",
    },
)
DEFAULT_CATEGORY = "human"


def wording_for(question: str) -> Wording:
    return CHINESE if is_chinese(question) else ENGLISH


@lru_cache(maxsize=1024)
def build_prompt(question: str, name: str, category: str | None = None) -> tuple[str, str]:
    """The system text and the prompt for a question about ``name``, a tag or what stands in for one."""
    wording = wording_for(question)
    subject = wording.subjects[category or DEFAULT_CATEGORY].format(name=name)
    return wording.system, wording.prompt.format(subject=subject, name=name, question=question)


def build_reask_prompt(question: str, name: str, answer: str, problem: Problem) -> tuple[Turn, Turn]:
    """The turns that follow a bad answer: the answer itself, and why it is asked again."""
    wording = wording_for(question)
    known = wording.reasons.get(problem.code)
    reason = known.format(name=name) if known else problem.reason
    return Turn("assistant", answer or "…"), Turn("user", wording.again.format(name=name, reason=reason))
