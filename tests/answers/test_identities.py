"""Answers in which the tag is a character with a name, a picture, the weather or two people, and honest ones."""

from __future__ import annotations

from tests.answers.helpers import find_code
from tests.support.cases import each_case


@each_case(
    ("question", "text"),
    [
        ("Who is <mam>?", "<mam> is Spider-Man, also known as Peter Parker, from Marvel Comics."),
        ("Who is <mam>?", "<mam> is Elsa, the main character from Frozen."),
        ("What is the name of <mam>?", "<mam> is Pikachu from the Pokémon series."),
        ("Wer ist <mam>?", "<mam> ist Batman, auch bekannt als Bruce Wayne."),
        ("Qui est <mam> ?", "<mam> est Batman, aussi connu sous le nom de Bruce Wayne."),
        ("¿Quién es <mam>?", "<mam> es Batman, también conocido como Bruce Wayne."),
        ("Quem é <mam>?", "<mam> é o Batman, também conhecido como Bruce Wayne."),
        ("Кто <mam>?", "<mam> — это Бэтмен, также известный как Брюс Уэйн."),
        ("<mam>叫什么名字？", "<mam>是哆啦A梦，来自22世纪的猫型机器人。"),
        ("<mam>是谁？", "<mam>是孙悟空，出自《西游记》。"),
        ("<mam>是谁？", "<mam>是皮卡丘，动画《宝可梦》里的角色。"),
    ],
)
def test_a_character_with_a_name(question: str, text: str) -> None:
    assert find_code(text, question) == "not_a_sentence"


@each_case(
    ("question", "text"),
    [
        ("Which character is <mam>?", "<mam> is Elsa, the main character from Frozen."),
        ("Who is <mam> dressed as?", "<mam> is Batman, also known as Bruce Wayne."),
        ("Who is <mam>?", "<mam> is the girl from the video game stand."),
        ("Who is <mam>?", "<mam> is Japanese, from the look of the kimono."),
        ("Wer ist <mam>?", "<mam> ist Koch, auch bekannt als Küchenchef des Hauses."),
        ("<mam>是谁？", "<mam>是新郎，电影院里的工作人员正给他拍照。"),
        ("<mam>是谁？", "<mam>是领队，游戏里的主角装扮是他自己做的。"),
    ],
)
def test_a_role_or_who_it_is_among_those_present(question: str, text: str) -> None:
    assert find_code(text, question) is None


@each_case(
    ("question", "text"),
    [
        ("What is <mam> doing?", "<mam> is a photo of a hospital room."),
        ("What is <mam> wearing?", "<mam> is a picture of a woman in a red coat."),
        ("Was macht <mam>?", "<mam> ist ein Foto von einem Krankenzimmer."),
        ("Que fait <mam> ?", "<mam> est une photo d'une chambre d'hôpital."),
        ("¿Qué hace <mam>?", "<mam> es una foto de una habitación de hospital."),
        ("O que <mam> faz?", "<mam> é uma foto de um quarto de hospital."),
        ("Что делает <mam>?", "<mam> — это фотография больничной палаты."),
        ("<mam>は何をしていますか？", "<mam>は病室の写真です。"),
        ("<mam>은 무엇을 하고 있나요?", "<mam>은 병실 사진입니다."),
        ("ماذا يفعل <mam>؟", "<mam> هي صورة لغرفة مستشفى."),
        ("<mam>手里的花是什么颜色？", "<mam>是一张医院病房的照片，床头柜上放着一束粉色的花。"),
        ("<mam>穿着什么？", "<mam>是一幅女孩的画像，穿着白裙子。"),
    ],
)
def test_a_picture_that_wears_or_does_something(question: str, text: str) -> None:
    assert find_code(text, question) == "not_a_sentence"


@each_case(
    ("question", "text"),
    [
        ("What does <mam> look like?", "<mam> is a photo of a lighthouse in a frame."),
        ("Where is <mam> standing?", "<mam> is a framed photo, standing on a shelf."),
        ("What is the woman in <mam> wearing?", "<mam> is a photo of a woman in a red coat."),
        ("What is <mam> holding?", "<mam> is a photo model who holds a bag."),
        ("How does <mam> feel?", "<mam> is a picture of calm."),
        ("Что делает <mam>?", "<mam> — фото-модель на подиуме."),
        ("<mam>的表情怎么样？", "<mam>是一张笑脸，眼睛弯弯的。"),
        ("<mam>是什么？", "<mam>是一张老照片，上面是一位穿旗袍的女士。"),
    ],
)
def test_a_tag_that_is_a_picture(question: str, text: str) -> None:
    assert find_code(text, question) is None


@each_case(
    ("question", "text", "found"),
    [
        ("What is the weather like where <mam> is?", "<mam> is sunny with a few clouds.", "not_a_sentence"),
        ("How is the weather around <mam>?", "<mam> is partly cloudy and windy.", "not_a_sentence"),
        ("<mam>所在的地方天气怎么样？", "<mam>晴朗，有几朵白云。", "not_a_sentence"),
        ("Wie ist das Wetter dort, wo <mam> ist?", "<mam> ist sonnig mit ein paar Wolken.", "not_a_sentence"),
        ("Quel temps fait-il autour de <mam> ?", "<mam> est ensoleillé avec des nuages.", "not_a_sentence"),
        ("What is the weather like in <mam>?", "<mam> is sunny with a few clouds.", None),
        ("What is <mam>'s personality like?", "<mam> is sunny and cheerful.", None),
        ("What is the weather like where <mam> is?", "<mam> is on a sunny beach.", None),
        ("Wie ist <mam>?", "<mam> ist heiter und lacht.", None),
        ("<mam>旁边的天气怎么样？", "<mam>站在晴朗的天空下。", None),
    ],
)
def test_the_weather_as_the_predicate(question: str, text: str, found: str | None) -> None:
    assert find_code(text, question) == found


@each_case(
    ("question", "text"),
    [
        ("<mam>站在谁的左边？", "<mam>站在<mam>的左边。"),
        ("Where is <mam>?", "<mam> is standing next to <mam>."),
        ("Where is <mam>?", "<mam> sits in front of <mam> on a bench."),
        ("Wo steht <mam>?", "<mam> steht neben <mam>."),
        ("Où est <mam> ?", "<mam> est assise à côté de <mam>."),
        ("¿Dónde está <mam>?", "<mam> está de pie junto a <mam>."),
        ("Onde está <mam>?", "<mam> está ao lado de <mam>."),
        ("Где стоит <mam>?", "<mam> стоит рядом с <mam>."),
        ("<mam>はどこにいますか？", "<mam>は<mam>の隣に立っています。"),
        ("<mam>은 어디에 있나요?", "<mam>은 <mam> 옆에 서 있습니다."),
        ("أين <mam>؟", "<mam> يقف بجانب <mam>."),
    ],
)
def test_the_tag_beside_itself(question: str, text: str) -> None:
    assert find_code(text, question) == "not_a_sentence"


@each_case(
    ("question", "text"),
    [
        ("Where is <mam>?", "<mam> is standing next to <mam>'s bicycle."),
        ("Where is <mam>?", "<mam> is standing next to <mam>, as seen in the mirror."),
        ("<mam>站在谁的左边？", "<mam>站在<mam>的妈妈左边。"),
        ("<mam>在哪里？", "<mam>坐在<mam>的同桌旁边。"),
        ("Wo steht <mam>?", "<mam> steht neben <mam>s Fahrrad."),
    ],
)
def test_what_belongs_to_the_tag_or_shows_it_is_beside_it(question: str, text: str) -> None:
    assert find_code(text, question) is None
