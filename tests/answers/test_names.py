"""Real names are found in every spelling, and only as names."""

from __future__ import annotations

from persqa_client.answers.names import check_no_real_name
from tests.answers.helpers import make_task
from tests.support.cases import each_case


def leaks(text: str, *names: str) -> bool:
    return check_no_real_name(text, make_task(names=names)) is not None


@each_case(
    ("text", "name"),
    [
        ("Beyonce\u0301 sings", "Beyoncé"),
        ("J. K. Rowling reads", "J.K. Rowling"),
        ("JK Rowling reads", "J.K. Rowling"),
        ("J.K. Rowling reads", "JK Rowling"),
        ("J K Rowling", "JK Rowling"),
        ("met Jean\u2011Luc Picard", "Jean-Luc Picard"),
        ("Jean\u2013Luc Picard", "Jean Luc Picard"),
        ("JeanLuc Picard", "Jean-Luc Picard"),
        ("O`Hara's hat", "O'Hara"),
        ("O\u02bcHara", "O’Hara"),
        ("OHara's hat", "O'Hara"),
        ("O'Hara", "Ohara"),
        ("**Ann** **Lee** x", "Ann Lee"),
        ("A*nn* Lee", "Ann Lee"),
        ("An\u200bn Lee", "Ann Lee"),
        ("Ann\u200b\u200bLee", "Ann Lee"),
        ("김민수가 웃는다", "김민수"),
        ("김민수씨의 모자", "김민수"),
        ("Rihanna가 노래", "Rihanna"),
        ("克里斯·埃文斯在", "克里斯埃文斯"),
        ("克里斯\u2022埃文斯在", "克里斯·埃文斯"),
        ("克里斯埃文斯在", "克里斯·埃文斯"),
        ("ジョニー・デップは", "ジョニーデップ"),
        ("ジョニー デップは", "ジョニー・デップ"),
        ("周 杰 伦在", "周杰伦"),
        ("周**杰伦**在", "周杰伦"),
        ("周\u200b杰伦", "周杰伦"),
        ("ＡＮＮ\u3000ＬＥＥ x", "Ann Lee"),
        ("ANN LEE", "Ann Lee"),
        ("Ann_Lee", "Ann Lee"),
        ("Sponge Bob", "SpongeBob"),
        ("Sponge Bob", "Spongebob"),
        ("Sponge-Bob", "Sponge Bob"),
        ("是Rihanna的", "Rihanna"),
        ("Angelababy杨颖在", "angelababy 杨颖"),
        ("G.E.M.邓紫棋", "GEM邓紫棋"),
        ("GEM 邓紫棋", "G.E.M. 邓紫棋"),
        ("Robert Downey Jr. is", "Robert Downey, Jr."),
        ("Ann\nLee", "Ann Lee"),
        ("the Ann-like", "Ann"),
        ("Владимир Путин", "владимир путин"),
        ("ஆன் x", "ஆன்"),
        ("Ann.Lee", "Ann Lee"),
        ("Jay Z raps", "Jay-Z"),
        ("JAY-Z", "Jay Z"),
        ("Martin Luther King, Jr.", "Martin Luther King"),
        ("李小龙(Bruce Lee)", "Bruce Lee"),
        ("木村拓哉さん", "木村 拓哉"),
        ("Müller", "Mu\u0308ller"),
        ("MÜLLER", "Müller"),
        ("STRASSE", "Straße"),
        ("<mam> Gilmore", "Mam Gilmore"),
        ("Ann\xa0Lee", "Ann Lee"),
        ("ann’s", "Ann"),
        ("A.N.N", "Ann"),
        ("D’Angelo sings", "D'Angelo"),
        ("Mary\u2011Ann", "Mary Ann"),
        ("姚 明", "姚明"),
        ("𝐀𝐧𝐧 Lee", "Ann Lee"),
    ],
)
def test_a_name_is_found_in_another_spelling(text: str, name: str) -> None:
    assert leaks(text, name)
    assert leaks(text, "Zoltan Zay", name, "小明明")


@each_case(
    ("text", "name"),
    [
        ("an anniversary", "Ann"),
        ("she'll smile", "Shell"),
        ("an not her x", "Ann Other"),
        ("Jo. Lie down", "Jolie"),
        ("The hat. Lee smiles", "Hat Lee"),
        ("王，菲律宾", "王菲"),
        ("Rose <mam> Lee", "Rose Lee"),
        ("he walks, Ann", "Hewalks Ann Bo"),
        ("이수정역에서", "이수정"),
        ("a rose", "Rosé"),
        ("mam", "Mam Gilmore"),
        ("<mam> x", "Mam"),
        ("Annlee", "Ann"),
        ("红、黄", "红黄"),
        ("in ks", "Ink"),
        ("we're", "Were"),
        ("Ann and Lee", "Ann Lee"),
        ("Annie", "Ann"),
    ],
)
def test_parts_of_other_words_and_sentences_are_no_name(text: str, name: str) -> None:
    assert not leaks(text, name)


def test_among_thousands_of_names_the_right_one_is_found() -> None:
    names = tuple(f"Given{number} Family{number}" for number in range(10_000))
    assert leaks("<mam> stands by Given-4711 FAMILY4711.", *names)
    assert not leaks("<mam> stands by Given4711 Family4712.", *names)
