"""Rules that look at the structure of an answer: more examples of each, and honest answers that resemble them."""

from __future__ import annotations

from tests.answers.helpers import find_code
from tests.support.cases import each_case

ENGLISH = "What is <mam> doing?"
WEARING = "What is <mam> wearing?"


@each_case(
    ("question", "text"),
    [
        # An indirect question.
        ("<mam>在做什么？", "<mam>低着头，看不出在做什么。"),
        ("<mam>在看什么？", "<mam>望着窗外，不知道在看什么，似乎在发呆。"),
        ("<mam>手里拿着什么？", "<mam>手里拿着什么东西看不清楚，像是一把钥匙。"),
        ("<mam>穿着什么？", "<mam>站在雾里，几乎看不清穿着什么。"),
        ("<mam>在哪里？", "<mam>靠着墙，很难说究竟在哪里。"),
        # Lines about parts.
        ("Describe <mam>.", "<mam> is a ginger cat.\nFur: <mam>'s coat is short.\nEyes: <mam>'s eyes are green."),
        ("Describe <mam>.", "<mam> is a red car.\n\n**Wheels:** <mam> has steel rims.\n**Roof:** <mam> is open."),
        ("Décris <mam>.", "<mam> est un chien.\nPoil : <mam> est roux.\nOreilles : <mam> a des oreilles longues."),
        ("Beschreibe <mam>.", "<mam> ist ein Hund.\nFell: <mam> ist braun.\nOhren: <mam> hat lange Schlappohren."),
        # Speech and thoughts behind a colon.
        ("¿Qué hace <mam>?", "<mam> parece preguntarse: ¿qué hay de cenar?"),
        ("Was macht <mam>?", "<mam> fragt sich wohl: Wo ist mein Ball?"),
        ("Que fait <mam> ?", "<mam> lève les yeux, l'air de demander : où est ma gamelle ?"),
        ("O que <mam> está fazendo?", "<mam> parece perguntar: cadê minha bola?"),
        ("<mam>は何が得意ですか？", "<mam>は走るのは得意ですが、泳ぐのは苦手そうにしています。"),
        ("<mam>は何が得意ですか？", "<mam>は歌うのは好きだが、踊るのは避けています。"),
        # Sentences that differ in more than a negation.
        (WEARING, "<mam> wears a hat. <mam> does not wear a scarf."),
        (ENGLISH, "<mam> sits on the bed. <mam> doesn't sit at the table."),
        ("<mam>穿着什么？", "<mam>戴着帽子。<mam>没有戴手套。"),
        (ENGLISH, "<mam> feeds the cat, the dog and the horse, the goat and the hen."),
    ],
)
def test_honest_structures(question: str, text: str) -> None:
    assert find_code(text, question) is None


@each_case(
    ("question", "text", "code"),
    [
        ("<mam>在做什么？", "<mam>在做什么呢", "echo"),
        ("<mam>穿着什么？", "<mam>穿着什么这个问题，需要结合图片才能判断。", "echo"),
        (
            WEARING,
            "<mam> wears a blue jacket.\nShorter: <mam> wears a jacket.\nLonger: <mam> wears a jacket, blue.",
            "echo",
        ),
        (WEARING, "<mam> wears a hat. <mam> does not wear a hat.", "about_the_task"),
        (WEARING, "<mam> has a beard. <mam> doesn't have a beard.", "about_the_task"),
        ("Was trägt <mam>?", "<mam> trägt einen Hut. <mam> trägt keinen Hut.", "about_the_task"),
        ("Que porte <mam> ?", "<mam> porte un chapeau. <mam> ne porte pas de chapeau.", "about_the_task"),
        ("<mam>穿着什么？", "<mam>戴着帽子。<mam>没有戴帽子。", "about_the_task"),
        (ENGLISH, "<mam> the dog the park the ball the grass the tree the sky.", "server_residue"),
        (ENGLISH, "<mam> sees a boy a kite a field a bench a cloud.", "server_residue"),
        ("Was macht <mam>?", "<mam> sieht der Hund die Wiese das Haus der Ball die Bank.", "server_residue"),
    ],
)
def test_bad_structures(question: str, text: str, code: str) -> None:
    assert find_code(text, question) == code
