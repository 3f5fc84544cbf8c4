"""Rules that look at the structure of an answer: more examples of each, and honest answers that resemble them."""

from __future__ import annotations

from persqa_client.questions.prompts import build_reask_prompt
from persqa_client.types import Completion
from tests.answers.helpers import find_code, find_problem, make_task
from tests.support.cases import each_case

ENGLISH = "What is <mam> doing?"
KEY = "".join(f"{7919 * number % 10007:x}" for number in range(40))
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
        # What the picture shows.
        ("What is <mam> holding?", "<mam> holds a placard reading #FridaysForFuture #ClimateStrike"),
        ("What is <mam> holding?", "<mam> holds a poster with the link https://www.savethebees.org below a bee."),
        ("What is <mam> holding?", "<mam> is holding a receipt that shows (a) milk, (b) bread and (c) eggs."),
        ("What is <mam> holding?", "<mam> is holding a form (to be filled in by hand)."),
        ("What is on <mam>'s screen?", '<mam> edits a file; one line reads {"name": "demo", "version": "1.0"}.'),
        (ENGLISH, "<mam> reads a note that says Thanks, model A."),
        (ENGLISH, "<mam> is at the finish line. The sign above says END"),
        # Names, dishes and loans of another language.
        ("What is <mam> eating?", "<mam> is eating tacos al pastor y de lengua."),
        ("What is <mam> eating?", "<mam> is eating たこ焼き at すき家."),
        ("What is <mam> eating?", "<mam> shares 和牛 and 正宗 noodles near 新天地, a mall."),
        (WEARING, "<mam> wears a 和服 and a sash with 我是冠军 on it."),
        (WEARING, "<mam> wears a T-shirt with ありがとう printed on it."),
        ("Wo ist <mam>?", "<mam> steht vor dem Restaurant 一蘭 in Tokio."),
        ("Что делает <mam>?", "<mam> занимается stretching на коврике."),
        ("Что делает <mam>?", "<mam> листает ленту instagramа, а потом facebookом пользуется."),
        ("ماذا ترتدي <mam>؟", "<mam> ترتدي legging أسود وحذاء رياضي."),
        ("<mam>은 무엇을 하고 있나요?", "<mam>은 running 앱을 보고 있어요."),
        ("<mam>穿着什么？", "<mam>穿着 the north face 的羽绒服。"),
        ("Was trägt <mam>?", "<mam> trägt ein Hemd in black and white."),
        ("Que fait <mam> ?", "<mam> me sourit."),
        ("Was macht <mam>?", "<mam> will schlafen."),
        ("What is <mam> eating?", "<mam> cooks pasta al dente."),
        # Short answers to closed questions, and attributes that stand for their noun.
        ("Is <mam> standing?", "<mam> is."),
        ("Does <mam> wear glasses?", "<mam> does."),
        ("Has <mam> a beard?", "<mam> has."),
        ("Which jacket does <mam> wear?", "<mam> is wearing a dark blue"),
        ("<mam>穿着什么颜色的衣服？", "<mam>穿着一件蓝色的"),
        ("Was für eine Jacke trägt <mam>?", "<mam> trägt eine blaue"),
        (ENGLISH, "<mam>'s eyes are a deep blue"),
        ("<mam>在做什么？", "<mam>大概是在等人吧？"),
        (ENGLISH, f"<mam> looks at a laptop whose screen shows the key {KEY}."),
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
        (ENGLISH, "<mam> sees a boy a kite a field a bench a cloud a hill.", "server_residue"),
        ("Was macht <mam>?", "<mam> sieht der Hund die Wiese das Haus der Ball die Bank der Baum.", "server_residue"),
        # Last lines of programs.
        (ENGLISH, "<mam> is playing soccer.assistant", "server_residue"),
        (ENGLISH, "<mam> is playing soccer. END", "server_residue"),
        (ENGLISH, "<mam> is playing soccer. ###", "server_residue"),
        (ENGLISH, "<mam> is playing soccer.\n```", "server_residue"),
        (ENGLISH, "<mam> is playing soccer. BLEU: 0.87", "server_residue"),
        (ENGLISH, "<mam> is playing soccer. Correct answer: B", "server_residue"),
        (ENGLISH, "<mam> is playing soccer.\n\n*Generated by LLaVA-1.6*", "server_residue"),
        ("Was macht <mam>?", "<mam> spielt Fußball. CIDEr = 1.24", "server_residue"),
        ("<mam>在做什么？", "<mam>在踢足球。user", "server_residue"),
        (WEARING, f"<mam> wears a red jacket and {'qwertzuiop' * 12}.", "server_residue"),
        ("¿Qué lleva <mam>?", f"<mam> lleva una chaqueta {'aB3dE6gH9' * 15}.", "server_residue"),
        ("<mam>穿着什么？", f"<mam>穿着红色的衣服，{'mnbvcxya' * 20}", "server_residue"),
        # Short answers in another language.
        ("Que fait <mam> ?", "<mam> looks happy.", "wrong_language"),
        ("Que porte <mam> ?", "<mam> wears a blue jacket.", "wrong_language"),
        ("¿Qué hace <mam>?", "<mam> is outdoors.", "wrong_language"),
        ("Was macht <mam>?", "<mam> looks about 30 years old.", "wrong_language"),
        ("O que <mam> está fazendo?", "<mam> sits outside.", "wrong_language"),
        (ENGLISH, "<mam> speelt voetbal in het park.", "wrong_language"),
        (ENGLISH, "<mam> gioca nel parco con gli amici.", "wrong_language"),
        (ENGLISH, "<mam> spielt mit Freunden Fußball.", "wrong_language"),
        ("Was trägt <mam>?", "<mam> trägt eine blaue Jacke and black trousers.", "wrong_language"),
        (ENGLISH, "<mam> is sitting 座っています in the park.", "wrong_language"),
        ("Что делает <mam>?", "<mam> стоит у двери wearing красную куртку.", "wrong_language"),
        # Cut off, or a question that says nothing.
        (WEARING, "<mam> is wearing a dark blue", "not_a_sentence"),
        (ENGLISH, "<mam> is standing next to a large wooden", "not_a_sentence"),
        (ENGLISH, "<mam> is holding a bright red", "not_a_sentence"),
        ("Was trägt <mam>?", "<mam> trägt eine blaue", "not_a_sentence"),
        ("<mam>穿着什么？", "<mam>穿着一件蓝色的", "not_a_sentence"),
        ("<mam>は何を着ていますか？", "<mam>は青いジャケットを着て", "not_a_sentence"),
        ("<mam>は何をしていますか？", "<mam>は公園でサッカーをし", "not_a_sentence"),
        ("<mam>은 무엇을 하고 있나요?", "<mam>은 공원에서 축구를 하", "not_a_sentence"),
        (WEARING, "<mam> coat?", "not_a_sentence"),
        (WEARING, "<mam> and coat?", "not_a_sentence"),
        ("Que porte <mam> ?", "<mam> et manteau ?", "not_a_sentence"),
        (ENGLISH, '{"error": "<mam> was not found in the image."}', "no_tag"),
        (ENGLISH, '{"Question": "<mam> is doing what in the picture"}', "no_tag"),
        (WEARING, '<mam> wears a shirt with {"label": "logo", "score": 1}.', "server_residue"),
    ],
)
def test_bad_structures(question: str, text: str, code: str) -> None:
    assert find_code(text, question) == code


def test_words_in_no_order_have_a_message_and_a_reason_of_their_own() -> None:
    task = make_task("<mam>은 무엇을 하고 있나요?")
    problem = find_problem(Completion("<mam>은 공원 를 걷다 나무를 본다 하늘 를 난다 바람이 불다 새가", "stop"), task)
    assert problem is not None
    assert (problem.code, problem.variant) == ("server_residue", "words")
    assert problem.message.startswith("words that make no sentence (")
    assert len(problem.found) < 50
    assert "some of its words make no sentence" in build_reask_prompt(task, "…", problem)[1].text
