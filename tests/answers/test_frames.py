"""Phrases around an answer are removed, unless they belong to the tag, or to a text in the picture."""

from __future__ import annotations

from persqa_client.answers.parse import Answer
from persqa_client.answers.phrases import any_phrase, list_languages, load_table
from tests.answers.helpers import QUESTION, find_code, parse_text
from tests.support.cases import each_case

LANGUAGES = ("ar", "de", "en", "es", "fr", "ja", "ko", "pt", "ru", "zh")


@each_case(
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


@each_case(
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
        "As an expert, I see that <mam> wears a hat.",
        "Hardly visible, <mam> stands in the fog.",
        "Behind the tree, <mam> hides.",
        "Maybe <mam> wears a hat.",
        "Perhaps, <mam> wears a hat.",
        "Yes, it is <mam> who wears a hat.",
        "No, not <mam> but a dog.",
        "可能<mam>在跑步。",
        "图片中有<mam>。",
    ],
)
def test_words_that_belong_to_the_tag_stay(raw: str) -> None:
    assert parse_text(raw) == Answer(raw)
    assert find_code(raw) is not None


@each_case(
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


@each_case(
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
        "<mam>,is cooking.",
        "<mam> stands at a reception desk; a screen asks whether visitors need help.",
        "<mam> looks at the man. Would you call that a smile?",
        "<mam> is happy to help an old man across the street.",
        "<mam> plays cards. What would you like to see, the dealer seems to ask.",
        '<mam> holds a box of tea: "Let me know!" is the brand.',
        "<mam> appears in three photos. In the image on the left, <mam> is smiling.",
        "<mam> steht an der Kasse. Auf dem Schild steht: Haben Sie noch Fragen? Fragen Sie gerne.",
        "<mam> sostiene un cartel que dice: Si necesitas ayuda, no dudes en preguntar.",
        "<mam> tient un panneau « Si vous avez des questions, n'hésitez pas. »",
        "<mam>看着海报。海报上写着：如果你有梦想，请告诉我。",
        "<mam>在帮老人提东西。老人很高兴。",
        "<mam>手里的纸条上写着“希望这对你有帮助”。",
        "<mam>问：还有什么可以帮您？",
        "<mam>站在咨询台旁。台上的屏幕显示：请问还有什么可以帮您？",
        "<mam>拿着一本名为《mam》的书。",
        "<mam> plays with a MAM brand bottle.",
        "<mam>在看一本写着Bo的书。",
        "<mam> says: 'Mam is here'.",
        "<mam> is in the photo. In the photo, Mam's dog is also visible.",
        "<mam>在跟店员说话。店员问还有什么需要。",
        "<mam> sits at a desk. If you have to guess, the book is a dictionary.",
    ],
)
def test_what_the_picture_says_is_no_postamble(raw: str) -> None:
    assert parse_text(raw, QUESTION) == Answer(raw)


@each_case(
    ("question", "raw", "answer"),
    [
        ("What is <mam> doing?", "\\boxed{<mam> is cooking.}", "<mam> is cooking."),
        ("What is <mam> doing?", "„<mam> is cooking.“", "<mam> is cooking."),
        ("What is <mam> doing?", "« <mam> is cooking. »", "<mam> is cooking."),
        ("What is <mam> doing?", "Final Answer: <mam> is cooking.", "<mam> is cooking."),
        ("What is <mam> doing?", "*<mam> is cooking.*", "<mam> is cooking."),
        ("What is <mam> doing?", "# <mam> is cooking.", "<mam> is cooking."),
        ("What is <mam> doing?", '{"response": "Mam is cooking."}', "<mam> is cooking."),
        ("What is <mam> doing?", "A: <mam> is cooking.", "<mam> is cooking."),
        ("What is <mam> doing?", "<answer>Mam is cooking.</answer>", "<mam> is cooking."),
        ("What is <mam> doing?", "Sure!\n\n> <mam> is cooking.", "<mam> is cooking."),
        ("What is <mam> doing?", "Sure! **<mam> is cooking.**", "<mam> is cooking."),
        ("What is <mam> doing?", 'Caption: "<mam> is cooking."', "<mam> is cooking."),
        ("What is <mam> doing?", "< MAM > is cooking.", "<mam> is cooking."),
        ("What is <mam> doing?", "<mam>’s cooking <Mam>'s soup.", "<mam>’s cooking <mam>'s soup."),
        ("What is <mam> doing?", "⟨mam⟩ is cooking.", "<mam> is cooking."),
        ("What is <mam> doing?", "{mam} is cooking.", "<mam> is cooking."),
        ("What is <mam> doing?", "(mam) is cooking.", "<mam> is cooking."),
        ("What is <mam> doing?", "`mam` is cooking.", "<mam> is cooking."),
        ("What is <mam> doing?", "__Mam__ is cooking.", "<mam> is cooking."),
        ("<mam>在做什么？", "＜MAM＞在做饭。", "<mam>在做饭。"),
        ("<mam>在做什么？", "『<mam>在做饭。』", "<mam>在做饭。"),
        ("<mam>在做什么？", "【回答】<mam>在做饭。", "<mam>在做饭。"),
        ("<mam>在做什么？", "回答如下：\n<mam>在做饭。", "<mam>在做饭。"),
        ("<mam>在做什么？", "《Mam》在做饭。", "<mam>在做饭。"),
        ("<mam>在做什么？", "mam 在做饭，旁边是 mam 的狗。", "<mam> 在做饭，旁边是 <mam> 的狗。"),
        ("<mam>在做什么？", "MAM在做饭。", "<mam>在做饭。"),
        ("ماذا تفعل <mam>؟", "Mam تقرأ كتابًا.", "<mam> تقرأ كتابًا."),
        ("<mam>は何をしていますか？", "回答：<mam>は料理をしています。", "<mam>は料理をしています。"),
        ("<mam>は何をしていますか？", "画像の<mam>は料理をしています。", "<mam>は料理をしています。"),
        (
            "<mam>は何をしていますか？",
            "承知しました。<mam>は料理をしています。ご参考になれば幸いです。",
            "<mam>は料理をしています。",
        ),
        ("¿Qué hace <mam>?", "Respuesta: **<mam>** cocina.", "<mam> cocina."),
        ("Was macht <mam>?", "Antwort: <mam> kocht.", "<mam> kocht."),
        (
            "Was macht <mam>?",
            "Gerne! Auf dem Foto: <mam> kocht. Falls du weitere Fragen hast, sag einfach Bescheid.",
            "<mam> kocht.",
        ),
        (
            "Que fait <mam> ?",
            "Réponse : <mam> cuisine. Si vous avez d'autres questions, n'hésitez pas à me les poser.",
            "<mam> cuisine.",
        ),
        ("O que <mam> faz?", "Claro! Na foto, <mam> cozinha. Espero ter ajudado!", "<mam> cozinha."),
        ("Что делает <mam>?", "Конечно! Вот ответ: <mam> готовит. Надеюсь, это поможет!", "<mam> готовит."),
        ("<mam>은 뭐 해요?", "네, 알겠습니다. <mam>은 요리하고 있습니다.", "<mam>은 요리하고 있습니다."),
        ("ماذا تفعل <mam>؟", "بالطبع! إليك الإجابة: <mam> تطبخ. هل تريد أن أصف شيئًا آخر؟", "<mam> تطبخ."),
        ("What does <mam> wear?", "Mam wears a 'Mam' badge.", "<mam> wears a 'Mam' badge."),
        (
            "What does <mam> wear?",
            "Mam is holding a photo of Mam as a child.",
            "<mam> is holding a photo of <mam> as a child.",
        ),
        ("<mam>和<bo>在做什么？", "mam和bo在海边散步。", "<mam>和<bo>在海边散步。"),
        ("x <mam>?", "Hello! <mam> wears a hat.", "<mam> wears a hat."),
        ("x <mam>?", "Hi there, <mam> wears a hat.", "<mam> wears a hat."),
        ("x <mam>?", "Alright. Looking at the image provided: <mam> wears a hat.", "<mam> wears a hat."),
        ("<mam>？", "您好！<mam>穿着外套。", "<mam>穿着外套。"),
        ("<mam>？", "这张照片里的<mam>没有笑。", "<mam>没有笑。"),
        ("<mam>？", "不,<mam>没有笑。", "<mam>没有笑。"),
        ("<mam>？", "是，<mam>在笑。", "<mam>在笑。"),
        ("<mam>？", "<mam>在笑。您还想了解这张图片的哪些方面？", "<mam>在笑。"),
        ("<mam>？", "<mam>在笑。请问您还有其他问题吗？", "<mam>在笑。"),
        ("<mam>？", "<mam>在笑。有什么问题可以随时问我哦~", "<mam>在笑。"),
        ("<mam>？", "<mam>在笑。\n\n如果您需要更详细的描述，请告诉我。", "<mam>在笑。"),
        ("x <mam>?", "<mam> wears a hat. Anything else you'd like to know?", "<mam> wears a hat."),
        ("x <mam>?", "<mam> wears a hat. How can I help you further?", "<mam> wears a hat."),
        ("x <mam>?", "<mam> wears a hat. Can I help you with anything else?", "<mam> wears a hat."),
        ("x <mam>?", "<mam> wears a hat. Just let me know!", "<mam> wears a hat."),
        ("x <mam>?", "<mam> wears a hat. Thanks for asking!", "<mam> wears a hat."),
    ],
)
def test_what_is_around_an_answer_is_removed(question: str, raw: str, answer: str) -> None:
    assert parse_text(raw, question).text == answer
    assert parse_text(answer, question) == Answer(answer)


@each_case("language", LANGUAGES)
@each_case(("kind", "place"), [("preamble", "closed"), ("preamble", "open"), ("postamble", "sentence")])
def test_each_language_has_its_phrases(language: str, kind: str, place: str) -> None:
    assert language in sorted(list_languages())
    phrases = load_table(language)[kind][place]
    assert phrases
    assert all(phrase in any_phrase(kind, place) for phrase in phrases)
