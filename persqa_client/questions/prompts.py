"""The texts that the model reads, in each language: the question, a re-ask, and the question of ``--verify`` whether an
answer is right, with how its verdict is read.

They determine the data, so their digest is part of a run's identity.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from hashlib import blake2b

from persqa_client.language import prompt_language
from persqa_client.outcomes import AnswerVerdict
from persqa_client.questions.constraints import FORMS, SentenceForm, list_patterns
from persqa_client.questions.introductions import join_sentences
from persqa_client.questions.tags import SURROGATE_NAMES
from persqa_client.types import AnswerStyle, Problem, QuestionLanguage, Task, Turn

# Maximum number of characters of an answer that a re-ask quotes.
LONGEST_FOUND = 200


@dataclass(frozen=True, slots=True)
class Wording:
    """Texts of one language.

    ``name`` is the tag, or the ordinary name that replaces it. All rows have the same system text, so that servers can
    cache it.
    """

    system: str
    subjects: Mapping[str, str]  # Statement about the main character, by category.
    prompt: str
    reask: str
    # Reasons for a re-ask, by problem code, or by code/variant. Truncated answers have none: they are asked again with
    # more tokens.
    reasons: Mapping[str, str]


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
    reask="That answer can't be used: {reason}. Please answer the question again, beginning with {name}.",
    reasons={
        "empty": "it is empty",
        "refusal": "it is a refusal",
        "no_image": "it says that there is no picture; there is one",
        "about_the_task": "it is about the task; it must only be about the picture",
        "no_tag": "it does not begin with {name}",
        "pronoun_only": "it does not begin with {name}, and calls the main character by another word",
        "only_tag": "it says nothing after {name}",
        "echo": "it repeats the question",
        "echo/prompt": "it repeats the instructions",
        "echo/goes_on": "it goes on with a question or an answer of its own",
        "server_residue": "it has text of a server or a program in it ({found})",
        "not_a_sentence": "it is no whole sentence that begins with {name} as its subject",
        "not_a_sentence/too_long": "it is far longer than one or two sentences",
        "unknown_tag": "it has a tag {found}, which is none",
        "unknown_tag/closing": "it has a closing tag {found}; {name} stands for a name",
        "unknown_markup": "it has markup of a chat in it",
        "placeholder": "it has a placeholder {found} in it",
        "placeholder/surrogate": "it has another form of the main character's name",
        "loop": "it repeats itself again and again",
        "wrong_language": "it is not in the language of the question",
        "name_leak": "it gives a real name; nobody but the tag may be named",
        "content_filter": "it was stopped by a content filter",
        "unfinished": "it did not come to its end ({found})",
    },
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
    reask="这个回答不能使用，原因是：{reason}。请重新回答问题，并以{name}开头。",
    reasons={
        "empty": "回答是空的",
        "refusal": "这是拒绝回答",
        "no_image": "回答说没有图片或看不到图片，但图片已经给出",
        "about_the_task": "回答谈的是题目要求，只能说图片的内容",
        "no_tag": "没有以{name}开头",
        "pronoun_only": "用代词或泛称代替了{name}",
        "only_tag": "除了{name}以外什么也没说",
        "echo": "重复了问题",
        "echo/prompt": "重复了题目要求",
        "echo/goes_on": "回答之后又写了别的问题或回答",
        "server_residue": "含有服务器或程序的文字（{found}）",
        "not_a_sentence": "不是以{name}为主语的完整句子",
        "not_a_sentence/too_long": "远远超过一两句话",
        "unknown_tag": "出现了{name}以外的标记{found}",
        "unknown_tag/closing": "出现了闭合标记{found}，而{name}只是一个名字",
        "unknown_markup": "含有标记符号",
        "placeholder": "含有没有填写的占位符{found}",
        "placeholder/surrogate": "出现了主角名字的其他写法",
        "loop": "同样的话重复了太多次",
        "wrong_language": "没有用中文回答",
        "name_leak": "写出了真实姓名，只能称呼{name}",
        "content_filter": "被内容过滤中断了",
        "unfinished": "没有说完（{found}）",
    },
)


# Reasons for a re-ask that only runs with --verify give. They are in ``verification_digest``, so that
# other runs can be continued.
VERIFICATION_REASONS = {
    "en": {"not_verified": "compared with the picture, it is not right"},
    "zh": {"not_verified": "和图片对照后，发现它不正确"},
}

# Reasons for variants that were added to the checks later. They are not in ``prompts_digest``, so that earlier runs can
# be continued. Neither are the checks themselves.
ADDED_REASONS = {
    "en": {
        "server_residue/words": "some of its words make no sentence ({found})",
        "echo/no_answer": "it says nothing of what the question asks for",
    },
    "zh": {"server_residue/words": "有些词语连不成句子（{found}）", "echo/no_answer": "没有回答所问的内容"},
}


WORDINGS: Mapping[QuestionLanguage, Wording] = {"en": ENGLISH, "zh": CHINESE}


def choose_wording(question: str) -> Wording:
    return WORDINGS[prompt_language(question)]


# How the prompt asks for the length of an answer, in place of the words of the style "sentences".
LENGTHS: Mapping[str, Mapping[AnswerStyle, str]] = {
    "en": {
        "word": "with one word or a short phrase",
        "short": "in one short sentence",
        "sentences": "in one or two sentences",
        "long": "in three to five sentences",
    },
    "zh": {"word": "用一个词或短语", "short": "用一句短话", "sentences": "用一两句话", "long": "用三到五句话"},
}


@lru_cache(maxsize=1024)
def build_prompt(
    question: str,
    name: str,
    category: str = "human",
    answer_style: AnswerStyle = "sentences",
    introduction: str = "",
) -> tuple[str, str]:
    """System text and prompt. ``introduction``: sentences about who the main character is."""
    wording = choose_wording(question)
    lengths = LENGTHS[prompt_language(question)]
    template = wording.prompt.replace(lengths["sentences"], lengths[answer_style])
    subject = join_sentences(wording.subjects[category].format(name=name), introduction, question=question)
    return wording.system, template.format(subject=subject, name=name, question=question)


def build_reask_prompt(task: Task, answer: str, problem: Problem) -> tuple[Turn, Turn]:
    language = prompt_language(task.question)
    wording = WORDINGS[language]
    name = task.surrogate or task.tag
    reasons = {**wording.reasons, **VERIFICATION_REASONS[language], **ADDED_REASONS[language]}
    template = reasons.get(f"{problem.code}/{problem.variant}") or reasons[problem.code]
    found = problem.found[:LONGEST_FOUND].replace(task.tag, name)
    reason = template.format(name=name, found=found)
    return Turn("assistant", answer or "…"), Turn("user", wording.reask.format(name=name, reason=reason))


def prompts_digest(forms: Mapping[str, SentenceForm] = FORMS) -> str:
    """16 hexadecimal digits, changed by any edit of the texts, or of the patterns of constrained answers."""
    texts = json.dumps([asdict(ENGLISH), asdict(CHINESE), SURROGATE_NAMES, list_patterns(forms)], sort_keys=True)
    return blake2b(texts.encode(), digest_size=8).hexdigest()


def lengths_digest() -> str:
    """16 hexadecimal digits, changed by any edit of ``LENGTHS``."""
    return blake2b(json.dumps(LENGTHS, sort_keys=True).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class VerificationWording:
    """``pattern`` is for servers that enforce one."""

    prompt: str
    pattern: str


ENGLISH_VERIFICATION = VerificationWording(
    prompt=(
        "{subject} Somebody has answered a question about {name}. Compare the answer with the picture.\n"
        "Question: {question}\nAnswer: {answer}\n"
        "Is this answer right, as far as the picture shows? Reply with yes or no only."
    ),
    pattern="yes|no",
)
CHINESE_VERIFICATION = VerificationWording(
    prompt=(
        "{subject}有人回答了一个关于{name}的问题，请把回答和图片对照。\n"
        "问题：{question}\n回答：{answer}\n就图中所见，这个回答正确吗？只回答“是”或“否”。"
    ),
    pattern="是|否",
)
VERIFICATION_WORDINGS: Mapping[QuestionLanguage, VerificationWording] = {
    "en": ENGLISH_VERIFICATION,
    "zh": CHINESE_VERIFICATION,
}

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
    wording = VERIFICATION_WORDINGS[prompt_language(task.question)]
    subject = choose_wording(task.question).subjects[task.category or "human"].format(name=name)
    subject = join_sentences(subject, task.introduction, question=task.question)
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
    texts = json.dumps(
        [asdict(ENGLISH_VERIFICATION), asdict(CHINESE_VERIFICATION), VERIFICATION_REASONS], sort_keys=True
    )
    return blake2b(texts.encode(), digest_size=8).hexdigest()
