"""Finds answers in which the tag is somebody or something that it can't be for the question: a person or a character
with a name, the picture itself, the weather, or two people.

The predicates are in ``[identity]`` of the tables. All but the name of a person need a question that shows what the tag
is: who asks for the hands or the clothes of <mam> does not mean a photo.
"""

from __future__ import annotations

import re
from functools import lru_cache

from persqa_client.answers.phrases import TAG_MARK, join_phrases, phrase_pattern
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.types import Task

# The tag twice, as if it named two people: "<mam> and <mam> stand …". What belongs to it is somebody else.
JOINT = compile_lazily(r"\s*(?:[和与與及跟、&]|and|y|e|et|und|и|と|와|과|하고|و)\s*")
OWN = compile_lazily(r"s\b|\s*(?:['’]|的|の|의|[自本妈爸])")
# The tag of a picture or a mirror may stand beside the tag.
IMAGE = compile_lazily(
    r"\b(?:mirror|reflect|photo|picture|image|poster|paint|portrait|statue|screen|cut-?out|spiegel|foto|bild|plakat|miroir"
    r"|reflet|affiche|tableau|espejo|reflej|imagen|cartel|espelho|reflex|imagem)|зеркал|отраж|фото|картин|плакат|портрет"
    r"|[镜鏡像影画畫]|照片|海报|海報|写真|鏡|ポスター|絵|거울|사진|그림|مرآة|صورة",
    re.IGNORECASE,
)
# Each kind of predicate behind the tag, the questions to which it is no answer (empty: any), and the fault.
PREDICATES = (
    ("named", "", "it says the name of a person"),
    ("character", "called", "it says the name of a person"),
    ("picture", "bodily", "it calls the main character a picture"),
    ("weather", "weather", "it says of the main character what the weather is"),
)
# To a question about a role, a breed or a make, a name is an answer.
NAMED = ("named", "character")


def find_false_identity(text: str, start: int, task: Task, language: str) -> str:
    """The fault, or empty. ``start`` is the end of the tag."""
    if text.find(task.tag, start) >= 0 and (
        joins_itself(text, start, task.tag) or is_beside_itself(text, task, language)
    ):
        return "it stands for two people"
    start += text.startswith(" ", start)
    if any_predicate(language).match(text, start) is None:
        return ""
    for kind, asked, fault in PREDICATES:
        if phrase_pattern(language, "identity", kind).match(text, start) is None:
            continue
        question = task.question.replace(task.tag, TAG_MARK)
        is_asked = not asked or phrase_pattern(language, "question", asked).search(question)
        is_role = kind in NAMED and phrase_pattern(language, "question", "roles").search(task.question)
        if is_asked and not is_role:
            return fault
    return ""


@lru_cache
def any_predicate(language: str) -> re.Pattern[str]:
    """One search for all kinds, which finds nothing in most answers."""
    return re.compile("|".join(join_phrases(language, "identity", kind) for kind, _, _ in PREDICATES), re.IGNORECASE)


def joins_itself(text: str, start: int, tag: str) -> bool:
    joint = JOINT.match(text, start)
    return joint is not None and text.startswith(tag, joint.end()) and OWN.match(text, joint.end() + len(tag)) is None


def is_beside_itself(text: str, task: Task, language: str) -> bool:
    """Whether the tag is said to be at a place beside the tag: "<mam> stands next to <mam>." What belongs to it, and
    what is in a mirror or a picture, may be there.
    """
    if IMAGE.search(text) or IMAGE.search(task.question):
        return False
    own = text.replace(task.tag, TAG_MARK)
    return phrase_pattern(language, "identity", "beside").match(own, len(TAG_MARK)) is not None
