"""Loops at the end, and what programs leave within an answer: more examples of each, and honest near-misses."""

from __future__ import annotations

from tests.answers.helpers import find_code
from tests.support.cases import each_case

DOING, WEARING = "What is <mam> doing?", "What is <mam> wearing?"


@each_case(
    ("question", "text", "is_loop"),
    [
        ("ماذا يفعل <mam>؟", "<mam> يركض يركض يركض يركض يركض يركض", True),
        ("Welche Schuhe trägt <mam>?", "<mam> trägt Stiefel, Stiefel, Stiefel, Stiefel, Stiefel", True),
        ("<mam>은 무슨 색인가요?", "<mam>은 보라색 보라색 보라색 보라색 보라색.", True),
        (WEARING, "<mam> wears a jacket jacket jacket jacket jacket.", True),
        ("<mam>穿着什么？", "<mam>穿着红色红色红色红色红色", True),
        ("<mam>穿着什么？", "<mam>穿着外套，外套，外套，外套，外套。", True),
        (DOING, "<mam> cheers: Goal goal goal goal goal!", False),
        (DOING, "<mam> beats the drum, boom boom boom boom boom boom.", False),
        (DOING, "<mam> smiles a very, very, very, very big smile.", False),
        (DOING, '<mam> sings "Happy happy happy happy happy happy".', False),
        (DOING, "<mam> holds a sign that reads Peace peace peace peace peace", False),
        ("<mam>在做什么？", "<mam>看着钟，滴答滴答滴答滴答滴答滴答", False),
        ("<mam>在做什么？", "<mam>在看台上喊加油加油加油加油加油！", False),
    ],
)
def test_a_word_that_is_repeated_at_the_end(question: str, text: str, is_loop: bool) -> None:
    assert find_code(text, question) == ("loop" if is_loop else None)


@each_case(
    ("question", "text", "code"),
    [
        (
            "O que <mam> faz?",
            "<mam> urllib3.exceptions.ConnectTimeout: Connection failed.",
            "server_residue",
        ),
        (DOING, "<mam> openai.APIConnectionError", "server_residue"),
        (DOING, "<mam> ClientResponse(status=503, reason=None)", "server_residue"),
        (DOING, "<mam> is running. finish_reason=length", "server_residue"),
        (DOING, "<mam> connection closed unexpectedly, retry 1 of 3", "server_residue"),
        (DOING, "<mam> Retrying (2/5)", "server_residue"),
        ("<mam>在做什么？", "<mam>在跑步。stop_reason=end_turn", "server_residue"),
        (DOING, "<mam> returned a ball on attempt 2 of 5 and closed the gate before completion of the game.", None),
        (DOING, "<mam> looks at a terminal that shows requests.exceptions.ReadTimeout in red.", None),
        (DOING, '<mam> holds a sign that reads "finish_reason=stop".', None),
        (DOING, "<mam> reads a log with the line finish_reason=stop.", None),
        # Code.
        (DOING, "<mam> def describe(image):\n    return None", "server_residue"),
        ("Que tient <mam> ?", "<mam> tient ```js\nlet a = 1\n```", "server_residue"),
        (DOING, "<mam> const answer = 1", "server_residue"),
        (DOING, "<mam> is running console.log(answer)", "server_residue"),
        (DOING, "<mam> explains def main(): to a class, on a whiteboard.", None),
        ("What is on <mam>'s screen?", "<mam> has written print('hello') and a loop.", None),
        (DOING, "<mam> let go of the rope.", None),
        # Filler text.
        (WEARING, "<mam> wears lorem ipsum dolor sit amet.", "server_residue"),
        ("<mam>在做什么？", "<mam>正在lorem ipsum dolor sit amet。", "server_residue"),
        ("Was macht <mam>?", "<mam> steht dolor sit amet, consectetur adipiscing elit.", "server_residue"),
        (DOING, "<mam> is laying out a page of lorem ipsum dolor sit amet.", None),
        # Turns within a line.
        ("<mam>在等谁？", "<mam>用户：继续 助手：好的。", "echo"),
        (DOING, "<mam> User: what is it? Assistant: a dog", "echo"),
        ("Was macht <mam>?", "<mam> Antwort: Er schläft.", "not_a_sentence"),
        ("Que fait <mam> ?", "<mam> Assistant : bien sûr", "echo"),
        (DOING, "<mam> smiles at the laptop, where User: hi and Assistant: hello can be seen.", None),
        ("<mam>在做什么？", "<mam>正在帮助用户：一位老人。", None),
        # Places in rare brackets.
        ("На чём сидит <mam>?", "<mam> сидит на ⟦предмет⟧.", "placeholder"),
        ("¿Qué lleva <mam>?", "<mam> lleva ⟨prenda de vestir⟩.", "placeholder"),
        ("<mam>穿着什么？", "<mam>穿着❬颜色❭的衣服。", "placeholder"),
        ("<mam>在看什么？", "<mam>在看〖红楼梦〗。", None),
    ],
)
def test_traces_of_programs(question: str, text: str, code: str | None) -> None:
    assert find_code(text, question) == code


@each_case(
    ("question", "text", "code"),
    [
        ("Où est <mam> ?", "<mam> est assise au bord d'un", "not_a_sentence"),
        ("Que porte <mam> ?", "<mam> porte une veste ornée d'une", "not_a_sentence"),
        ("Que fait <mam> ?", "<mam> parle près d’un", "not_a_sentence"),
        ("Во что одет <mam>?", "<mam> сидит за столом, на котором находится", "not_a_sentence"),
        ("Где <mam>?", "<mam> стоит у дома, за которым виден", "not_a_sentence"),
        ("Где <mam>?", "<mam> стоит у стены, на которой едва видна", "not_a_sentence"),
        ("Que tient <mam> ?", "<mam> n'a pas qu'un ballon, mais plus d'un", None),
        ("Que fait <mam> ?", "<mam> parle à quelqu'un", None),
        ("Где <mam>?", "<mam> стоит у дома, который отсюда хорошо виден", None),
    ],
)
def test_ends_that_lack_a_noun(question: str, text: str, code: str | None) -> None:
    assert find_code(text, question) == code


@each_case(
    ("question", "text", "code"),
    [
        (DOING, '<mam> is running", "confidence": "high"}', "server_residue"),
        (DOING, '<mam> "action": "running", "place": "park".', "server_residue"),
        (DOING, "<mam>\n\n### Appearance\n- Brown hair", "server_residue"),
        (DOING, "<mam> is running.\n\n---\n\nPowered by a free gateway.", "server_residue"),
        (DOING, "<mam> is running.user What is he doing?assistant He runs.", "server_residue"),
        (DOING, '<mam> points at two signs, "open", "closed": both are red.', None),
    ],
)
def test_pieces_of_objects_pages_and_chats(question: str, text: str, code: str | None) -> None:
    assert find_code(text, question) == code


@each_case(
    ("text", "code"),
    [
        ("<mam> sits a at table by window coffee and with.", "server_residue"),
        ("<mam> is the holding of a in umbrella red the street walking.", "server_residue"),
        ("<mam> is showing an A in maths and a B in history.", None),
        ("<mam> has painted the fence red the way her neighbour did.", None),
    ],
)
def test_function_words_in_no_order(text: str, code: str | None) -> None:
    assert find_code(text, DOING) == code


@each_case(
    ("text", "code"),
    [
        ("<mam>在正公园里了跑步着的一个。", "server_residue"),
        ("<mam>站在站在的旁边一个了和的女人树在把着。", "server_residue"),
        ("<mam>站在正中间，手里拿着的是红色的那一个。", None),
        ("<mam>穿着浅色的jeans，搭配white sneakers，look很casual。", "wrong_language"),
        ("<mam>穿着一件oversize的hoodie，搭配legging和boots。", None),
    ],
)
def test_chinese_in_no_order_and_with_many_english_words(text: str, code: str | None) -> None:
    assert find_code(text, "<mam>在做什么？") == code


@each_case(
    ("text", "code"),
    [
        ("<mam> is in the park in the park in the park.", "loop"),
        ("<mam> jumps up and down, up and down, up and down.", None),
        ("<mam> laughs: ha ha ha ha ha ha ha ha ha!", None),
        ("<mam> is sitting on the mapStateToProps bench.", "server_residue"),
        ("<mam> is running in the park.FunctionFlags", "server_residue"),
        ("<mam> is playing a game on a PlayStation with an iPhone beside it.", None),
        ("<mam> is reading a book로부터 in bed.", "server_residue"),
        ("<mam> is running (<mam>正在跑步).", "wrong_language"),
        ("<mam> is eating jianbing (煎饼).", None),
    ],
)
def test_copies_names_of_code_and_other_scripts(text: str, code: str | None) -> None:
    assert find_code(text, DOING) == code
