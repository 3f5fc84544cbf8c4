"""Finds repetitions of the question or the prompt, and further questions and answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from persqa_client.answers.clean import is_reported, prompt_sentences
from persqa_client.answers.comparisons import compares_both_ways, compares_pictures
from persqa_client.answers.contradictions import affirms_and_denies
from persqa_client.answers.counter_questions import (
    MIN_QUESTION_LETTERS,
    NO_LETTER,
    STEM_LENGTH,
    UNSPACED_LANGUAGES,
    asks_back,
)
from persqa_client.answers.descriptions import repeats_description
from persqa_client.answers.opposites import has_opposites
from persqa_client.answers.phrases import choose_language, phrase_pattern
from persqa_client.answers.plain import is_plain
from persqa_client.answers.sentence_pairs import contradicts_sentence
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import is_about_code, remove_marked, remove_quotations
from persqa_client.types import Problem, Task

# Start of another question, answer or version.
GOES_ON = compile_lazily(
    r"\n[ \t*_#>]{0,8}(?:(?:(?:follow-up|next|another|new) )?question|answer|q|问题|问|提问|題目|题目|追问|回答|答案"
    r"|答复?|質問|問い|問題|答え|질문|문제|답변?|대답|정답|pregunta|respuesta|demande|réponse|frage|antwort|вопрос"
    r"|ответ"
    r"|pergunta|questão|resposta|(?:ال)?(?:سؤال|جواب|إجابة)"
    r"|user|human|assistant|system|用户|用戶|助手|人类) ?\d?[*_]{0,3} ?[:：]"
    r"|\bquestion ?[:：].{0,600}\banswer ?[:：]|\n(?:user|assistant|human)\n"
    r"|\n[ \t*_#>-]{0,8}(?:option|version|opci[oó]n|opção|variante?|选项|方案|オプション|옵션|вариант) ?[\dA-C]\b",
    re.IGNORECASE | re.DOTALL,
)
# Another speaker, in the middle of a line.
SPEAKERS = (
    "Human|HUMAN|User|USER|Assistant|ASSISTANT|System|SYSTEM|AI|Bot|Model|Question|Answer|Usuario|Usuaria|Asistente"
    "|Pregunta"
    "|Respuesta|Utilisateur|Utilisatrice|Assistante?|Réponse|Benutzer|Nutzer|Assistent|Frage|Antwort|Пользователь"
    "|Ассистент|Помощник|Вопрос|Ответ|Usuário|Utilizador|Assistente|Pergunta|Resposta|المستخدم|المساعد|السؤال|سؤال"
    "|الجواب|الإجابة|ユーザー|アシスタント|質問|回答|사용자|어시스턴트|질문|답변|用户|用戶|助手|人类|人類|问题?|問題?"
    "|答案?|追问"
)
SPEAKS = compile_lazily(rf"[.!?。！？؟)）]\s*[#*_\[>-]*\s*(?:{SPEAKERS}|Q(?=\s?\d?\s?[:：]))\s?\d?\]?[*_]*\s?[:：]")
# A question and its answer behind labels of one letter: "F: Was ist dahinter? A: Ein Baum."
SHORT_LABELS = compile_lazily(
    r"[.!?。！？؟)）\n]\s*[*_]*(?:[QFPВDП]|س|[문질]|[问問])\s?\d?[*_]* ?[:：][^\n]{2,200}[?？؟][*_]*\s*"
    r"[*_]*(?:[ARО]|ج|답|答)\s?\d?[*_]* ?[:：]"
)
# A form that asks for a user.
LOGIN = compile_lazily(
    r"\b(?:log-?in|sign-?in|password|contraseña|mot de passe|passwort|senha)\b|登录|密码|ログイン|로그인|пароль"
)
LABEL = "■"  # In place of the speaker, which may be a word for writing.
# A speaker right behind the tag, or two of them in one line.
USERS = (
    "Human|HUMAN|User|USER|Usuari[oa]|Utilisateur|Utilisatrice|Benutzer|Nutzer|Пользователь|Usuário|Utilizador|المستخدم"
    "|ユーザー|사용자|用户|用戶|人类|人類"
)
MODELS = (
    "Assistante?|ASSISTANT|AI|Bot|Asistente|Assistente?|Ассистент|Помощник|المساعد|アシスタント|어시스턴트|助手|助理"
)
TURN = compile_lazily(
    rf"<>[\s*_\[#]*(?:{USERS}|{MODELS})\]?[*_]* ?[:：]"
    rf"|(?<!\w)(?:{USERS})[*_]* ?[:：][^\n]{{1,400}}?(?<!\w)(?:{MODELS})[*_]* ?[:：]"
)
SAYS_YES_OR_NO = compile_lazily(
    r"[.!?。！？؟…]\s*(?:yes|no|s[ií]|oui|non|si|ja|nein|doch|sim|não|да|нет|نعم|لا|بلى|はい|いいえ|いえ|ええ|네|예"
    r"|아니요|아니오|아뇨"
    r"|是的?|对|對|不|不是|不对|不對|没有|沒有)\s?[,，、،.]\s*<>",
    re.IGNORECASE,
)
# "Shorter wording:" and the line behind it, after the end of a sentence or a line.
VERSION_LABEL = compile_lazily(
    r"(?P<mark>[.!?。！？؟\n][\s*_#>]*)(?P<name>[^\n:：.!?。！？<>]{2,40})[:：](?P<text>[^\n]*)"
)
NUMBER = compile_lazily(r"(?<!\w)(?:\d|[A-D])(?=\s*[*_]*$)")
FIRST = compile_lazily(r"(?<!\w)[1A](?!\w)")
SENTENCE_END = compile_lazily(r"[.!?。！？؟…\n]")
NEGATION = compile_lazily(
    r"(?<!\w)(?:(?:not|no|ne|pas|não|nicht|kein(?:e[mnrs]?)?|не|لا|ليس|ليست|لم)(?!\w)|n['’])"
    r"|(?<=\w)n['’]t(?!\w)|没有?|沒有?|不",
    re.IGNORECASE,
)
# Between a statement and its denial, the auxiliary, the ending of the verb and the article may change.
CHANGES = compile_lazily(
    r"(?<!\w)(?:do|does|did|an?|any|une?|de|du|des|d['’]|eine?[mnrs]?)(?!\w)|(?<=[\u4e00-\u9fff])[着著了]|^有",
    re.IGNORECASE,
)
VERB_FORMS = {"has": "hav", "ca": "can", "wo": "will"}
WHO = compile_lazily(r"(?<!\w)(?:who|whom|quién|quiénes|qui|wer|quem|кто|من)(?!\w)|谁|誰|누구|누가", re.IGNORECASE)
CHOICE = compile_lazily(r"[^\W\d_]\s?[/／]\s?[^\W\d_]")
CLAUSE_END = compile_lazily(r"[,.:;!?…()\n—–،؛؟、。！？，：；（）]+")
MIN_PARTS = 2


def check_no_echo(text: str, task: Task) -> Problem | None:
    """Good answers may repeat the question's words, but not the whole question."""
    if repeats_question(text, task) and repeats_question(remove_quotations(text), task):
        return Problem("echo", "repetition of the question")
    if any(map(text.__contains__, prompt_sentences(task))):
        return Problem("echo", "repetition of the prompt", "prompt")
    if repeats_description(text, task):
        return Problem("echo", "repetition of the description", "prompt")
    said = (text, task.tag, task.question)
    if affirms_and_denies(*said) or compares_both_ways(*said) or contradicts_sentence(*said) or has_opposites(*said):
        return Problem("about_the_task", "an answer that contradicts itself")
    if is_plain(text, task.tag):
        return None
    if may_go_on(text) and GOES_ON.search(text) and goes_on(remove_marked(text)):
        return Problem("echo", "another question or answer after the answer", "goes_on")
    if takes_back(text, task.tag):
        return Problem("about_the_task", "an answer that contradicts itself")
    if has_another_turn(text, task.tag):
        return Problem("echo", "another question or answer after the answer", "goes_on")
    if asks_back(text, task):
        return Problem("echo", "a question instead of an answer, or after it", "goes_on")
    return None


def goes_on(text: str) -> bool:
    """Whether a line begins another question or answer, unless a word for writing introduces it."""
    if any(found[0].startswith("\n") and not is_reported(text[: found.start()]) for found in GOES_ON.finditer(text)):
        return True
    found = GOES_ON.search(remove_quotations(text))
    return found is not None and not found[0].startswith("\n")


def takes_back(text: str, tag: str) -> bool:
    """Yes or no before the tag in a later sentence: "<mam> has a hat. No, <mam> has no hat." """
    if text.find(tag, 1) < 0:
        return False
    own = remove_marked(text)
    if SAYS_YES_OR_NO.search(own.replace(tag, "<>")):
        return True
    return denies_itself(own, tag) and not compares_pictures(own)


def denies_itself(text: str, tag: str) -> bool:
    """Whether two sentences about the tag only differ by a negation."""
    said: dict[str, bool] = {}
    for sentence in SENTENCE_END.split(text):
        before, found, after = sentence.partition(tag)
        words = join_stems(NEGATION.sub(" ", after).lower())
        if not found or not words or (before.strip() and not before.rstrip().endswith((",", "،"))):
            continue
        is_negated = NEGATION.search(after) is not None
        if said.setdefault(words, is_negated) != is_negated:
            return True
    return False


def join_stems(text: str) -> str:
    words = CHANGES.sub(" ", text.strip()).replace("’", "'").split()
    return "".join(VERB_FORMS.get(word) or word.removesuffix("s").removesuffix("e") for word in words)


def has_another_turn(text: str, tag: str) -> bool:
    """Another speaker, or another answer that is offered: "Or one could say: <mam> …"."""
    if ":" not in text and "：" not in text:
        return False
    own = remove_marked(text)
    if not LOGIN.search(own) and any(
        LABEL in remove_quotations(own[: found.start() + 1] + LABEL) for found in SPEAKS.finditer(own)
    ):
        return True
    if SHORT_LABELS.search(own) and SHORT_LABELS.search(remove_quotations(text)):
        return True
    if has_turn(own, tag) and has_turn(remove_quotations(text), tag):
        return True
    if describes_parts(own):
        return False
    if offers_version(own, tag):
        return True
    versions = (own[:start].removeprefix(tag).rstrip() for start in find_all(own, tag) if start)
    return any(before.endswith((":", "：")) and has_statement(before) for before in versions)


def has_turn(text: str, tag: str) -> bool:
    found = TURN.search(text.replace(tag, "<>", 1))
    return found is not None and (found[0].startswith("<>") or not is_about_code(text))


def offers_version(text: str, tag: str) -> bool:
    """Whether a statement about the tag stands behind a label, after one: on a line of its own, or with a number. So
    does a label with the number 2 that says the same, where none has the number 1.
    """
    for label in VERSION_LABEL.finditer(text):
        before, numbered = text[: label.start()].removeprefix(tag), NUMBER.search(label["name"])
        if before.rstrip().endswith((":", "：")) or not has_statement(f"{before}."):
            continue
        if tag in label["text"] and ("\n" in label["mark"] or numbered):
            return True
        is_second = numbered is not None and numbered[0] in "2B" and FIRST.search(text) is None
        if is_second and "\n" in label["mark"] and share_word((before, label["text"])):
            return True
    return False


def describes_parts(text: str) -> bool:
    """Whether lines with labels say something new each: "Fur: …", "Eyes: …". Versions repeat words."""
    labels = [label for label in VERSION_LABEL.finditer(text) if "\n" in label["mark"]]
    if len(labels) < MIN_PARTS or any(NUMBER.search(label["name"]) for label in labels):
        return False
    said = [text[: labels[0].start()], *(label["text"] for label in labels)]
    return not share_word(said)


def share_word(parts: Sequence[str]) -> bool:
    """Whether two of the parts have a word in common."""
    stems = [
        {word[:STEM_LENGTH] for word in NO_LETTER.split(part.lower()) if len(word) >= STEM_LENGTH} for part in parts
    ]
    return len(set().union(*stems)) < sum(map(len, stems))


def has_statement(text: str) -> bool:
    """Whether more than one word ends as a sentence. "Sure!" is no answer."""
    end = SENTENCE_END.search(text)
    said = text[: end.start()] if end else ""
    return not said.isascii() or " " in said.strip()


def find_all(text: str, part: str) -> Iterator[int]:
    start = text.find(part)
    while start >= 0:
        yield start
        start = text.find(part, start + 1)


def repeats_question(text: str, task: Task) -> bool:
    if task.question.endswith(("?", "？")) and task.question in text:
        return True
    first_word, asked = question_letters(task.question, task.tag)
    lower = text.casefold()
    if not asked or first_word not in lower:
        return False
    said = lower.replace(task.tag.casefold(), "")
    if asked not in NO_LETTER.sub("", said):
        return False
    return choose_language(task.question) not in UNSPACED_LANGUAGES or has_clause(said, asked)


def check_adds_words(text: str, task: Task) -> Problem | None:
    """Answers are rarely as short as their questions, so most are not compared."""
    if len(text) <= len(task.question) and adds_nothing(text, task):
        return Problem("echo", "the words of the question without an answer")
    return None


def adds_nothing(text: str, task: Task) -> bool:
    """Whether the answer has all words of a question but the question word, or both of two choices ("happy/sad"),
    unless the question writes them so ("AC/DC").

    A question about who may be answered so.
    """
    language = choose_language(task.question)
    if language is None or WHO.search(task.question):
        return False
    asked = task.question.replace(task.tag, " ").casefold()
    said = text.replace(task.tag, " ").casefold()
    split = list if language in UNSPACED_LANGUAGES else str.split
    if (choice := CHOICE.search(said)) and choice[0] not in asked:
        return set(split(NO_LETTER.sub(" ", said))) <= set(split(NO_LETTER.sub(" ", asked)))
    rest, count = phrase_pattern(language, "question", "words").subn(" ", asked)
    return count > 0 and split_letters(rest, split) == split_letters(said, split)


def split_letters(text: str, split: Callable[[str], list[str]]) -> list[str]:
    return sorted(part for part in split(NO_LETTER.sub(" ", text)) if part != " ")


def has_clause(text: str, letters: str) -> bool:
    """Whether clauses have these letters and at most one more, a particle or an adverb. Within a longer clause, the
    question is indirect (看不出在做什么), unless it is called one (在做什么这个问题).
    """
    clauses = [NO_LETTER.sub("", clause) for clause in CLAUSE_END.split(text)]
    for start in range(len(clauses)):
        joined = ""
        for clause in clauses[start:]:
            joined += clause
            if letters in joined and (len(joined) <= len(letters) + 1 or joined[len(letters)] in "这這"):
                return True
            if len(joined) > len(letters):
                break
    return False


@lru_cache(maxsize=1024)
def question_letters(question: str, tag: str) -> tuple[str, str]:
    """The first word, and all letters. Empty for questions that, without their question mark, may be statements."""
    language = choose_language(question)
    if language is None or not phrase_pattern(language, "question", "words").search(question):
        return "", ""
    words = NO_LETTER.sub(" ", question.replace(tag, " ").casefold()).split()
    letters = "".join(words)
    return (words[0], letters) if len(letters) >= MIN_QUESTION_LETTERS else ("", "")


def may_go_on(text: str) -> bool:
    return "\n" in text or ":" in text or "：" in text
