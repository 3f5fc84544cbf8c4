"""An answer is in the language of its question, where that is sure."""

from __future__ import annotations

from persqa_client.answers.answer_language import check_language
from tests.answers.helpers import make_task
from tests.support.cases import each_case

QUESTIONS = {
    "en": "What is <mam> doing?",
    "zh": "<mam>在做什么？",
    "ja": "<mam>は何をしていますか？",
    "ko": "<mam>은 무엇을 하고 있나요?",
    "es": "¿Qué hace <mam>?",
    "fr": "Que fait <mam> ?",
    "de": "Was macht <mam>?",
    "ru": "Что делает <mam>?",
    "pt": "O que <mam> está fazendo?",
    "ar": "ماذا تفعل <mam>؟",
}
# Other languages, and mixtures of two.
WRONG = (
    ("en", "<mam> porte un manteau rouge et des bottes noires."),
    ("en", "<mam> está sentada en un banco."),
    ("en", "<mam> liest ein Buch."),
    ("en", "<mam> está usando um chapéu."),
    ("en", "<mam> はベンチに座っています。"),
    ("en", "<mam>은 책을 읽고 있습니다."),
    ("en", "<mam> читает."),
    ("en", "<mam> is wearing 一件蓝色的衬衫 and jeans."),
    ("en", "<mam> ترتدي معطفا."),
    ("en", "<mam> sta leggendo un libro in giardino."),
    ("zh", "<mam> is reading."),
    ("zh", "<mam>正在 reading a book。"),
    ("zh", "<mam>穿着 blue shirt 和 black shoes。"),
    ("zh", "<mam>は本を読んでいます。"),
    ("zh", "<mam>은 책을 읽습니다."),
    ("zh", "<mam> lit un livre dans le jardin."),
    ("ja", "<mam>正在看书。"),
    ("ja", "<mam> is reading a book."),
    ("ja", "<mam>은 책을 읽고 있습니다."),
    ("ja", "<mam>はbook を reading しています and smiling。"),
    ("ko", "<mam>は本を読んでいます。"),
    ("ko", "<mam> is reading."),
    ("ko", "<mam>正在看书，旁边有一只猫。"),
    ("es", "<mam> is reading a book in the garden."),
    ("es", "<mam> lit un livre dans le jardin avec son ami."),
    ("es", "<mam> está a ler um livro no jardim com o seu amigo e não olha."),
    ("es", "<mam>正在看书。"),
    ("fr", "<mam> is reading a book in the garden."),
    ("fr", "<mam> está leyendo un libro en el jardín."),
    ("de", "<mam> is reading a book."),
    ("de", "<mam> lit un livre dans le jardin."),
    ("ru", "<mam> is reading."),
    ("ru", "<mam> сидит and reads a book on the bench."),
    ("pt", "<mam> is reading a book."),
    ("pt", "<mam> está leyendo un libro en el jardín y no mira."),
    ("ar", "<mam> is reading."),
    ("ar", "<mam>正在看书。"),
)
# Names, dishes, brands, fashion, titles, commands, and text that is written somewhere.
RIGHT = (
    ("en", "<mam> is eating pho, banh mi and goi cuon."),
    ("en", "<mam> eats 麻婆豆腐 and rice."),
    ("en", "<mam> is listening to La Vie en Rose."),
    ("en", "<mam> holds a sign that says 我爱北京天安门."),
    ("en", "<mam> is practising calligraphy: 永和九年."),
    ("en", "<mam> drinks a caffè latte and eats a croissant au chocolat."),
    ("en", "<mam> wears Dolce & Gabbana."),
    ("en", "<mam> plays for FC Bayern München."),
    ("en", "<mam> visits Piazza del Popolo."),
    ("en", "<mam> dances."),
    ("en", "<mam> waves."),
    ("en", "<mam> sings Despacito by Luis Fonsi."),
    ("en", "<mam> is at the restaurant El Bulli de la Costa."),
    ("en", "<mam> walks along the Rue de la Paix in Paris."),
    ("en", "<mam> reads Die Zeit."),
    ("en", "<mam> sits in a café in São Paulo with a copy of Os Lusíadas."),
    ("en", "<mam> smiles, wearing a 旗袍."),
    ("zh", "<mam>穿着一条legging和一双Nike的sneaker。"),
    ("zh", "<mam>在玩Beauty and the Beast的拼图。"),
    ("zh", "<mam>在用iPhone拍vlog。"),
    ("zh", "<mam>在吃sushi和ramen套餐。"),
    ("zh", "<mam>在做PPT。"),
    ("zh", "<mam>的衣服上写着大きい。"),
    ("zh", "<mam>在跳K-pop的舞蹈。"),
    ("zh", "<mam>戴着一顶写有Make it happen字样的帽子。"),
    ("zh", "<mam>正在运行npm install命令。"),
    ("zh", "<mam>在「なんでも屋」门口。"),
    ("zh", "<mam>身高约175cm，体重60kg。"),
    ("zh", "<mam>穿着oversize卫衣。"),
    ("ja", "<mam>はTシャツを着てjogging中です。"),
    ("ja", "<mam>は東京都庁前にいる。"),
    ("ja", "<mam>は「我爱你」と書かれた紙を持っています。"),
    ("ja", "<mam>は看板に欢迎光临と書かれた店の前にいます。"),
    ("ja", "<mam>はPythonのprint文を書いています。"),
    ("ko", "<mam>은 NIKE 운동화를 신고 있습니다."),
    ("ko", "<mam>은 漢字가 적힌 종이를 들고 있습니다."),
    ("ko", "<mam>은 git commit 명령을 입력하고 있습니다."),
    ("es", "<mam> come sushi y ramen."),
    ("es", "<mam> lleva unas sneakers y un hoodie oversize."),
    ("es", "<mam> baila."),
    ("es", "<mam> escucha The Dark Side of the Moon."),
    ("es", "<mam> lee un cartel que dice welcome to the jungle."),
    ("fr", "<mam> fait du shopping."),
    ("fr", "<mam> dort."),
    ("fr", "<mam> porte un sweat et des baskets."),
    ("de", "<mam> schläft."),
    ("de", "<mam> trägt ein T-Shirt mit der Aufschrift I am the best."),
    ("de", "<mam> isst Spaghetti alla carbonara."),
    ("de", "<mam> hört The Wall von Pink Floyd."),
    ("ru", "<mam> играет на iPhone."),
    ("ru", "<mam> носит футболку Nike Just Do It."),
    ("ru", "<mam> спит."),
    ("pt", "<mam> dorme."),
    ("pt", "<mam> faz jogging no parque."),
    ("pt", "<mam> come tacos."),
    ("ar", "<mam> تستخدم iPhone من Apple."),
    ("ar", "<mam> نائمة."),
)


@each_case(("asked", "text"), WRONG)
def test_answers_in_another_language(asked: str, text: str) -> None:
    problem = check_language(text, make_task(QUESTIONS[asked]))
    assert problem is not None
    assert problem.code == "wrong_language"


@each_case(("asked", "text"), RIGHT)
def test_foreign_words_that_prove_nothing(asked: str, text: str) -> None:
    assert check_language(text, make_task(QUESTIONS[asked])) is None


def test_nothing_is_sure_about_a_question_without_a_language() -> None:
    assert check_language("<mam> lit un livre.", make_task("<mam>?")) is None
