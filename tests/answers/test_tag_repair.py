"""The tag is restored in whatever form it comes, and only where it was named."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persqa_client.answers.tag_repair import repair_tag
from persqa_client.questions.tags import can_repair_bare_name
from tests.support.cases import each_case

TAGS = st.sampled_from(["<mam>", "<bo>", "<小满>", "<bo-2>", "<mr.krab>", "<2bo>", "<Anya>"])
PIECES = st.sampled_from(
    [
        "mam",
        "Mam",
        "MAM",
        "<",
        ">",
        "/",
        "&lt;",
        "&gt;",
        "&amp;",
        "＜",
        "＞",
        "《",
        "》",
        "「",
        "」",
        "[",
        "]",
        "{",
        "}",
        "*",
        "**",
        "_",
        "`",
        "\\",
        " ",
        "'s",
        '"',
        "“",
        "”",
        "<mam>",
        "</mam>",
        ":",
        "的",
        "写着",
        "the ",
        "-",
        ".",
    ]
)
MIXED = st.lists(PIECES | st.text(max_size=3), max_size=16).map("".join)


@each_case(
    ("text", "repaired"),
    [
        ("<mam> met <Mam>.", "<mam> met <mam>."),
        ("<mam>和＜mam＞的狗", "<mam>和<mam>的狗"),
        ("the &lt;mam&gt; of R&amp;B", "the <mam> of R&amp;B"),
        ("_<mam>_ and ***<mam>***", "<mam> and <mam>"),
        ("`<mam>`'s hat", "<mam>'s hat"),
        ("<mam>** wears a hat.", "<mam> wears a hat."),
        ("《mam》、【mam】、〈mam〉", "<mam>、<mam>、<mam>"),
        ("⟨mam⟩ and ◁mam▷", "<mam> and <mam>"),
        ("<mam>mam</mam>", "<mam>"),
        ("&lt;mam&gt;&lt;/mam&gt; runs", "<mam> runs"),
        ("＜ Mam ＞ runs", "<mam> runs"),
        ("**mam** runs to mam.", "<mam> runs to <mam>."),
        ("Mam's hat. Mam is tall; (Mam)", "<mam>'s hat. <mam> is tall; (<mam>)"),
        ("mam的狗和mam。", "<mam>的狗和<mam>。"),
        ("<mam/>'s hat", "<mam>'s hat"),
        ("<mam> mam wears a hat.", "<mam> wears a hat."),
        ("<mam>: Mam's hat", "<mam>'s hat"),
        ("<mam> mam穿着外套。", "<mam>穿着外套。"),
        ("mam>'s hat和mam>的狗", "<mam>'s hat和<mam>的狗"),
    ],
)
def test_each_form_is_restored_anywhere(text: str, repaired: str) -> None:
    assert repair_tag(text, "<mam>")[0] == repaired


@each_case(
    "text",
    [
        "The man wears a hat.",
        "Mammals and mams",
        "a mam-shaped thing",
        "her mam and the mam",
        "with mam的狗，mam。",
        "<mam> is parked beside another Mam",
        "<mam> eats green mam",
        "<mam>'s mam sits with Mam and Dad",
        "<mam> reads 《Mam》 and presses [mam]",
        "<mam> holds a card that reads “<MAM> wins”",
        "Mam Gilmore smiles",
        "Mam 3 is parked outside",
        "MAM on a mug",
        'a sign "mam" and “Mam”',
        "写着「mam」的杯子",
        "mam.jpg, @mam, www.mam.com, mam_1 and /mam/",
        "<mammal> and </mam>",
        "<mam>The man runs.</mam>",
        "a **red** <mam> and *old* men",
        "if mam-x > 3",
        "<mam>的红色**外套**",
    ],
)
def test_what_may_not_be_the_tag_stays(text: str) -> None:
    assert repair_tag(text, "<mam>") == (text, ())


@pytest.mark.parametrize("tag", ["<bo>", "<a>", "<bear>", "<欧阳小满>"])
def test_an_ambiguous_name_needs_its_brackets(tag: str) -> None:
    name = tag[1:-1]
    assert not can_repair_bare_name(tag)
    for text in (f"{name} cubs play by {name.capitalize()}.", f"By {name}, a man stands."):
        assert repair_tag(text, tag, bare_name=False) == (text, ())
    assert repair_tag(f"＜{name}＞ stands.", tag, bare_name=False)[0] == f"{tag} stands."
    assert repair_tag(f"<{name} stands.", tag, bare_name=False)[0] == f"{tag} stands."


@settings(deadline=None)
@given(MIXED, TAGS, st.booleans())
def test_repairing_twice_changes_nothing_more(text: str, tag: str, bare: bool) -> None:
    once, _ = repair_tag(text.replace("mam", tag[1:-1]), tag, bare_name=bare)
    assert repair_tag(once, tag, bare_name=bare) == (once, ())


@settings(deadline=None)
@given(MIXED.filter(lambda text: "mam" not in text.lower()))
def test_a_text_without_the_name_never_gets_the_tag(text: str) -> None:
    repaired, steps = repair_tag(text, "<mam>")
    assert "<mam>" not in repaired
    assert steps == ()


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="*_`~<>\\:："), max_size=60), TAGS)
def test_what_follows_an_intact_tag_stays(text: str, tag: str) -> None:
    if tag[1:-1].lower() not in text.lower():
        sound = f"{tag} {text}."
        assert repair_tag(sound, tag) == (sound, ())
