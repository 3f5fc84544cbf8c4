"""What servers and programs leave in answers is found, and not what only looks like it."""

from __future__ import annotations

import pytest

from persqa_client.answers.gibberish import find_gibberish
from persqa_client.types import Completion
from tests.answers.helpers import find_code, find_problem, make_task
from tests.support.cases import each_case


@pytest.mark.parametrize(
    "text", ["<mam> reads \ufffd.", "<mam> reads “\x00”.", "<mam> runs.\x1b[0m", "<mam> is 锟斤拷."]
)
def test_broken_characters_are_found_in_quotations_too(text: str) -> None:
    assert find_code(text) == "server_residue"


def test_control_characters_are_shown_as_ascii() -> None:
    found = find_problem(Completion("<mam> runs.\x00", "stop"), make_task())
    assert found is not None
    assert found.found == "\\x00"


@pytest.mark.parametrize(
    "text",
    [
        "<mam> sits in a café with a “crème brûlée” à la carte.",
        "<mam> reads “RuntimeError: no memory” on a screen.",
        "<mam> holds a sign that says Internal Server Error.",
        "<mam> types `{'label': 1}` into a terminal.",
        "<mam> studies html, css and php.",
    ],
)
def test_accents_and_quoted_errors_are_no_residue(text: str) -> None:
    assert find_code(text) is None


def test_latin_text_decoded_wrongly_is_found() -> None:
    text = "<mam> est près d'une fenêtre fermée."
    assert find_code(text, "Que fait <mam> ?") is None
    assert find_code(text.encode().decode("latin-1"), "Que fait <mam> ?") == "server_residue"


@pytest.mark.parametrize("text", ["a ]] b ## c", "tqzz lkk", "在的的门了了口"])
def test_gibberish(text: str) -> None:
    assert find_gibberish(text)


@pytest.mark.parametrize("text", ["hmm, brr, shh", "a -- b -- c", "的的确确", "a 5 mph wind, 3 kph more"])
def test_odd_words_are_no_gibberish(text: str) -> None:
    assert not find_gibberish(text)


@each_case(
    "text",
    [
        "<mam> wears wears a hat hat that chair chair red runs.",
        "<mam> Jacke Jacke rot rot trägt trägt.",
        "<mam> the of running blue is with hat and the of table.",
        "<mam> w e a r s a hat.",
        "<mam>은 ㅃㅏㄹㄱㅏㄴ 모자를 쓰고 있습니다.",
        "<mam>은 빨 간 모 자 를 쓰고 있습니다.",
        "<mam> ي ر ت د ي قميصا أزرق.",
        "<mam> ةقيدحلا يف سلجي.",
    ],
)
def test_words_that_follow_themselves_and_broken_letters(text: str) -> None:
    assert find_gibberish(text)


@each_case(
    "text",
    [
        "<mam> had had a long, long day, and walks very very slowly.",
        "<mam> writes a b c d e f on the board.",
        "<mam> spells S T O P E D with blocks.",
        "<mam>은 ㅋㅋㅋ 웃으며 ㄱ, ㄴ, ㄷ을 쓰고 있습니다.",
        "<mam>은 이 두 개 중 한 개 더 큰 것을 들고 있습니다.",
        "<mam> تقرأ جريدة على شرفة مطلة على مقهى، ويكتب حرف ة.",
    ],
)
def test_letters_that_belong_there(text: str) -> None:
    assert not find_gibberish(text)


@pytest.mark.parametrize(
    ("text", "encoding", "question"),
    [
        ("Сидит на диване и смотрит телевизор", "cp1251", "Что делает <mam>?"),
        ("يجلس على الأريكة ويقرأ", "cp1256", "ماذا يفعل <mam>؟"),
        ("は公園で犬と遊んでいます", "cp932", "<mam>は何をしていますか？"),
        ("坐在椅子上看书，手里拿着一杯咖啡", "gbk", "<mam>在做什么？"),
    ],
)
def test_text_read_in_an_old_encoding(text: str, encoding: str, question: str) -> None:
    wrong = text.encode().decode(encoding, "ignore")
    assert find_code(f"<mam>{wrong}。", question) == "server_residue"
    assert find_code(f"<mam>{text}。", question) != "server_residue"


@each_case(
    ("text", "found"),
    [
        ("<mam> stands in front of a whiteboard with three headings: TODO, DOING and DONE.", None),
        ("<mam> is filling in a form whose boxes are filled with N/A.", None),
        ("<mam>身后的白板上有三栏：TODO、DOING和DONE。", None),
        ("<mam> wears TODO.", "server_residue"),
        ("<mam> whiteboard: TODO.", "server_residue"),
        ("<mam> stands next to a red bus, colour TBD.", "server_residue"),
        ("<mam>表格：N/A", "server_residue"),
    ],
)
def test_empty_values_as_headings(text: str, found: str | None) -> None:
    question = "<mam>身后有什么？" if "的" in text or "表" in text else "What is behind <mam>?"
    assert find_code(text, question) == found
