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
