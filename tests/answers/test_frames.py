"""Phrases around an answer are removed, unless they belong to the tag, or to a text in the picture."""

from __future__ import annotations

import pytest

from persqa_client.answers.frames import any_phrase, languages_with_tables
from persqa_client.answers.parse import Answer
from persqa_client.answers.phrases import load_table
from tests.answers.helpers import QUESTION, find_code, parse_text

LANGUAGES = ("ar", "de", "en", "es", "fr", "ja", "ko", "pt", "ru", "zh")


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        ("No, <mam> is not here.", "<mam> is not here."),
        ("不是，<mam>在做饭。", "<mam>在做饭。"),
        ("The <mam> is blue.", "<mam> is blue."),
        ("Certainly! Based on the image you provided, <mam> wears a hat.", "<mam> wears a hat."),
        ("Sure! Here is the answer: <mam> wears a hat.", "<mam> wears a hat."),
        ("From what I can see, <mam> wears a hat.", "<mam> wears a hat."),
        ("Looking at the photo, <mam> wears a hat.", "<mam> wears a hat."),
        ("In this black-and-white photo, <mam> wears a hat.", "<mam> wears a hat."),
        ("はい、<mam>は笑っています。", "<mam>は笑っています。"),
        ("画像では、<mam>は赤い帽子をかぶっています。", "<mam>は赤い帽子をかぶっています。"),
        ("この写真には<mam>は写っていません。", "<mam>は写っていません。"),
        ("네, <mam>은 웃고 있습니다.", "<mam>은 웃고 있습니다."),
        ("사진 속 <mam>은 모자를 쓰고 있습니다.", "<mam>은 모자를 쓰고 있습니다."),
        ("Claro, <mam> lleva un sombrero.", "<mam> lleva un sombrero."),
        ("En la imagen, <mam> lleva un sombrero.", "<mam> lleva un sombrero."),
        ("Bien sûr : <mam> porte un chapeau.", "<mam> porte un chapeau."),
        ("Sur cette photo, <mam> porte un chapeau.", "<mam> porte un chapeau."),
        ("Auf dem Bild: <mam> trägt einen Hut.", "<mam> trägt einen Hut."),
        ("Ja, <mam> trägt einen Hut.", "<mam> trägt einen Hut."),
        ("Да, <mam> в шляпе.", "<mam> в шляпе."),
        ("Claro! <mam> usa um chapéu.", "<mam> usa um chapéu."),
        ("Na imagem, <mam> usa um chapéu.", "<mam> usa um chapéu."),
        ("نعم، <mam> يرتدي قبعة.", "<mam> يرتدي قبعة."),
        ("في هذه الصورة، <mam> يرتدي قبعة.", "<mam> يرتدي قبعة."),
        ("Yes! In this photo, <mam> is smiling.", "<mam> is smiling."),
        ("No. <mam> is indoors.", "<mam> is indoors."),
        ("Okay, let me take a look at the picture: <mam> is indoors.", "<mam> is indoors."),
        ("Here is a personalized caption for the query image:\n<mam> is indoors.", "<mam> is indoors."),
        ('Here\'s my description:\n\n"<mam> is indoors."', "<mam> is indoors."),
        ("Well, <mam> is indoors.", "<mam> is indoors."),
        ("好的！根据您提供的图片，<mam>穿着红色外套。", "<mam>穿着红色外套。"),
        ("从图片来看，<mam>穿着红色外套。", "<mam>穿着红色外套。"),
        ("在图片中，<mam>没有戴帽子。", "<mam>没有戴帽子。"),
        ("不，<mam>没戴眼镜。", "<mam>没戴眼镜。"),
        ("いいえ、<mam>は帽子をかぶっていません。", "<mam>は帽子をかぶっていません。"),
        ("では、お答えします。<mam>は座っています。", "<mam>は座っています。"),
        ("Natürlich! Hier ist die Antwort: <mam> sitzt.", "<mam> sitzt."),
        ("D'après la photo, <mam> est assis.", "<mam> est assis."),
        ("Sim, <mam> está sentado.", "<mam> está sentado."),
        ("Ответ: <mam> сидит.", "<mam> сидит."),
        ("아니요, <mam>은 앉아 있지 않습니다.", "<mam>은 앉아 있지 않습니다."),
        ("بالتأكيد! <mam> يجلس.", "<mam> يجلس."),
    ],
)
def test_a_closed_preamble_is_removed(raw: str, answer: str) -> None:
    assert parse_text(raw).text == answer


@pytest.mark.parametrize(
    "raw",
    [
        "Not <mam> but a dog is on the sofa.",
        "It is <mam> who holds the bag.",
        "No <mam> is here.",
        "不是<mam>在做饭，是她妈妈。",
        "没有<mam>，只有一只狗。",
        "图中没有<mam>在跑步。",
        "Nobody but <mam> is smiling.",
        "The <mam> family is at the beach.",
        "Without <mam>, the room is empty.",
        "Next to <mam>, a dog sleeps.",
        "In the picture <mam> holds, a dog is visible.",
        "No <mam>, sino un perro lleva un sombrero.",
        "Kein <mam> ist zu sehen.",
        "Нет <mam> на этой фотографии.",
        "لا <mam> في الصورة.",
        "Never has <mam> looked better.",
        "Only <mam> wears a hat.",
        "Neither <mam> nor the dog is visible.",
        "There is no <mam> in the picture.",
        "If <mam> is the man, he wears a hat.",
        "Unlike <mam>, the man is tall.",
        "I see no hat, <mam> is bald.",
        "On the left is a dog, <mam> is on the right.",
        "The answer is <mam>.",
        "并非<mam>在跑步。",
        "除了<mam>，还有一只狗。",
        "只有<mam>戴着帽子。",
        "好的 <mam>穿着外套。",
        "Nicht <mam>, sondern ein Hund sitzt da.",
        "Ce n'est pas <mam> qui est assis.",
        "Sem <mam>, a sala está vazia.",
        "Не <mam>, а собака сидит.",
    ],
)
def test_words_that_belong_to_the_tag_stay(raw: str) -> None:
    assert parse_text(raw) == Answer(raw)
    assert find_code(raw) is not None


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        ("<mam> wears a hat. Is there anything else you would like me to describe?", "<mam> wears a hat."),
        ("<mam> wears a hat. If you have any further questions, feel free to ask! 😊", "<mam> wears a hat."),
        ("<mam> wears a hat. I hope this helps! Let me know if you need anything else.", "<mam> wears a hat."),
        ("<mam> wears a hat. Would you like me to describe the background?", "<mam> wears a hat."),
        ("<mam>戴着帽子。请问还有什么可以帮您？", "<mam>戴着帽子。"),
        ("<mam>戴着帽子。希望以上回答对您有帮助。", "<mam>戴着帽子。"),
        ("<mam>戴着帽子。如需更多信息，请随时告诉我！", "<mam>戴着帽子。"),
        ("<mam>は笑っています。他に何かご質問があればお知らせください。", "<mam>は笑っています。"),
        ("<mam> lleva un sombrero. Si necesitas algo más, no dudes en preguntar.", "<mam> lleva un sombrero."),
        ("<mam> porte un chapeau. N'hésitez pas à me demander plus de détails.", "<mam> porte un chapeau."),
        ("<mam> trägt einen Hut. Wenn Sie weitere Fragen haben, lassen Sie es mich wissen.", "<mam> trägt einen Hut."),
        ("<mam> в шляпе. Если у вас есть вопросы, обращайтесь!", "<mam> в шляпе."),
        ("<mam> usa um chapéu. Se precisar de mais detalhes, me avise!", "<mam> usa um chapéu."),
        ("<mam> sits in a cafe. I hope this answers your question.", "<mam> sits in a cafe."),
        ("<mam> sits in a cafe. (Let me know if you need more details.)", "<mam> sits in a cafe."),
        ("<mam> sits in a cafe.\n\nPlease let me know if you would like any changes.", "<mam> sits in a cafe."),
        ("<mam> sits in a cafe. Do you want to know more about the picture?", "<mam> sits in a cafe."),
        ("<mam>坐着。如果您有其他问题，欢迎继续提问。", "<mam>坐着。"),
        ("<mam> está sentado. Espero que esto te ayude.", "<mam> está sentado."),
        ("<mam>은 앉아 있습니다. 도움이 되었기를 바랍니다.", "<mam>은 앉아 있습니다."),
    ],
)
def test_a_postamble_is_removed(raw: str, answer: str) -> None:
    assert parse_text(raw) == Answer(answer, ("postamble",))


@pytest.mark.parametrize(
    "raw",
    [
        "<mam> wears a badge that reads: Hi there. Feel free to ask me anything.",
        "<mam> holds a letter. It ends with: I hope this helps you.",
        "<mam> stands by a sign: Closed. If you have any questions, please ask inside.",
        "<mam> reads a poster “Need help? Let me know if you have any questions.”",
        "<mam> looks up. If you have keen eyes, you can see a bird in the tree.",
        "<mam> smiles. I hope this means good news, the caption says.",
        "<mam>举着牌子，上面写着：欢迎光临。如果有问题，请联系我。",
        "<mam>身后的牌子上写着“请勿入内。如有疑问，请联系管理员。”",
        "<mam>は「ご不明な点はスタッフまでお知らせください。」という看板の前にいます。",
        "<mam> steht vor einem Schild: Vorsicht. Bei Fragen wenden Sie sich an uns.",
        "<mam> is at a desk. The screen shows the line Let me know if you need help.",
        '<mam> holds a phone. The message says: "Let me know if you need anything."',
        "<mam> holds up a card saying: Thank you. I hope this helps.",
        "<mam> sits in a cafe. If you look closely, you can see a cat.",
        "<mam> sits in a cafe. Feel free!",
        "<mam> says, “I hope this helps.”",
        "<mam>坐着。如果仔细看，可以看到一只猫。",
        "<mam>坐着。希望他一切顺利。",
        "<mam>拿着一张纸条：有事请告诉我。",
        "<mam>在看手机，屏幕上写着：您好。请问还有什么可以帮您？",
    ],
)
def test_what_the_picture_says_is_no_postamble(raw: str) -> None:
    assert parse_text(raw, QUESTION) == Answer(raw)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("kind", "place"), [("preamble", "closed"), ("preamble", "open"), ("postamble", "sentence")])
def test_each_language_has_its_phrases(language: str, kind: str, place: str) -> None:
    assert language in languages_with_tables()
    phrases = load_table(language)[kind][place]
    assert phrases
    assert all(phrase in any_phrase(kind, place) for phrase in phrases)
