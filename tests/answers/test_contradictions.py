"""Answers that affirm and deny the same predicate, and honest answers that deny something else."""

from __future__ import annotations

from persqa_client.answers.contradictions import affirms_and_denies
from persqa_client.answers.sentence_pairs import contradicts_sentence
from tests.answers.helpers import find_code
from tests.support.cases import each_case

DOING = "What is <mam> doing?"


@each_case(
    ("question", "text"),
    [
        (DOING, "<mam> is dancing wildly and is not dancing at all."),
        (DOING, "<mam> is sleeping on the sofa, and <mam> is not sleeping."),
        (DOING, "<mam> waves at the camera. At the same time, <mam> does not wave."),
        ("Was macht <mam>?", "<mam> sitzt auf der Bank. Zugleich sitzt <mam> nicht, sondern steht."),
        ("Wo ist <mam>?", "<mam> ist draußen im Hof und ist nicht draußen."),
        ("Onde <mam> está?", "<mam> está sentado na cadeira, sem estar sentado."),
        ("¿Qué hace <mam>?", "<mam> corre por el parque y no corre en absoluto."),
        ("<mam>在哭吗？", "<mam>正在大声哭，并且完全没有哭。"),
        ("<mam>在跑吗？", "<mam>正在奔跑，而且根本没有跑。"),
        ("<mam>は何を着ていますか？", "<mam>はコートを着ていて、コートは全く着ていません。"),
        ("<mam>は何を持っていますか？", "<mam>は傘を持っています。同時に<mam>は傘を持っていません。"),
        ("<mam>은 무엇을 쓰고 있나요?", "<mam>은 모자를 쓰고 있고 모자를 전혀 쓰고 있지 않습니다."),
        # The denial first.
        (DOING, "<mam> is not smiling at all, and <mam> smiles broadly."),
        ("Was macht <mam>?", "<mam> läuft nicht und läuft schnell."),
        ("¿Qué hace <mam>?", "<mam> no está corriendo en absoluto y está corriendo."),
        ("<mam>在做什么？", "<mam>没有奔跑，同时正在奔跑。"),
        ("ماذا يفعل <mam>؟", "<mam> يجلس على كرسي ولا يجلس."),
        # Nothing at the place that the question asks about.
        ("¿Qué lleva <mam> en la cabeza?", "<mam> lleva un sombrero. <mam> no lleva nada en la cabeza."),
        ("What does <mam> hold in the hand?", "<mam> holds a red ball. <mam> holds nothing in the hand."),
        ("O que <mam> usa na cabeça?", "<mam> usa um boné. <mam> não usa nada na cabeça."),
        # Opposites.
        (DOING, "<mam> is sitting on a bench. In fact, <mam> is standing next to it."),
        ("Où est <mam> ?", "<mam> est dehors, au soleil. En même temps, <mam> est à l'intérieur."),
        ("<mam>在哪里？", "<mam>在室内。实际上，<mam>在室外的草地上。"),
        ("<mam>在睡觉吗？", "<mam>是在睡觉，眼睛睁得大大的，没有在睡觉。"),
        ("<mam>在看镜头吗？", "<mam>看着镜头，没有看镜头。"),
        ("<mam>开心吗？", "<mam>很开心，一点也不开心。"),
    ],
)
def test_a_predicate_that_is_affirmed_and_denied(question: str, text: str) -> None:
    assert affirms_and_denies(text, "<mam>", question)


@each_case(
    ("question", "text"),
    [
        (DOING, "<mam> is smiling and is not wearing a hat."),
        (DOING, "<mam> is running fast and is not running out of breath."),
        (DOING, "<mam> is a toy dog and not a dog."),
        (DOING, "<mam> is smiling, but not smiling with the eyes."),
        (DOING, "<mam> was dancing before and is not dancing now."),
        (DOING, "<mam>'s friend is sitting and <mam> is not sitting."),
        (DOING, "<mam> looks as if smiling and is not smiling."),
        (DOING, "<mam> is sitting indoors. At the same time, <mam> looks outside."),
        (DOING, "<mam> seems to be sleeping. In fact, <mam> is awake."),
        ("¿Qué lleva <mam>?", "<mam> lleva una gorra. <mam> no lleva nada en las manos."),
        ("¿Qué lleva <mam> en la cabeza?", "<mam> lleva una taza en la mano. <mam> no lleva nada en la cabeza."),
        ("Onde está <mam>?", "<mam> está no sofá e está no sofá da sala."),
        ("Was macht <mam>?", "<mam> lacht und weint nicht."),
        ("<mam>在笑吗？", "<mam>看起来在笑，其实完全没有笑。"),
        ("<mam>在笑吗？", "<mam>在笑，并且没有戴帽子。"),
        ("<mam>は何を着ていますか？", "<mam>はコートを着ていて、帽子はかぶっていません。"),
        ("<mam>은 무엇을 쓰고 있나요?", "<mam>은 모자를 쓰고 있고 안경은 쓰고 있지 않습니다."),
        # Another subject, behind its verb or before it.
        ("¿Qué hace <mam>?", "<mam> no canta, canta la mujer a su lado."),
        ("Что делает <mam>?", "<mam> не поёт, поёт женщина рядом."),
        ("Was macht <mam>?", "<mam> singt nicht, es singt die Frau daneben."),
        ("<mam>在做什么？", "<mam>没在跑，同时狗在跑。"),
        ("<mam>は何をしていますか？", "<mam>は座っていて、座っていない人に手を振っています。"),
        ("<mam>은 무엇을 하고 있나요?", "<mam>은 의자에 앉아 있고 앉아 있지 않은 친구와 이야기합니다."),
        ("ماذا يفعل <mam>؟", "<mam> يقرأ كتابًا، والرجل لا يقرأ."),
        (DOING, "<mam> isn't eating and eats nothing."),
    ],
)
def test_what_is_denied_is_something_else(question: str, text: str) -> None:
    assert not affirms_and_denies(text, "<mam>", question)


@each_case(
    ("text", "found"),
    [
        ("<mam> is alone, surrounded by a crowd of friends.", True),
        ("<mam> is alone, surrounded by empty chairs.", False),
        ("<mam> is barefoot and is wearing white sneakers.", True),
        ("<mam> is barefoot and is carrying her sneakers.", False),
        ("<mam> is fast asleep, wide awake and staring.", True),
        ("<mam> is asleep, and the baby is wide awake.", False),
        ("<mam> is indoors, standing outside on the lawn.", True),
        ("<mam> is indoors, looking outside through a window.", False),
        ("<mam> is wearing a red dress, and her dress is completely blue.", True),
        ("<mam> is wearing a red dress that is white at the cuffs.", False),
    ],
)
def test_clauses_about_the_tag_contradict_each_other(text: str, found: bool) -> None:
    assert contradicts_sentence(text, "<mam>", DOING) == found


@each_case(
    ("text", "found"),
    [
        ("<mam>独自一人，身边围满了朋友。", True),
        ("<mam>独自一人坐着，身边摆满了书。", False),
        ("<mam>戴着帽子，头上什么也没戴。", True),
        ("<mam>戴着帽子，脖子上什么也没戴。", False),
        ("<mam>在睡觉，一点也没睡。", True),
        ("<mam>在睡觉，旁边的婴儿却醒着。", False),
        ("<mam>穿着红色的裙子，这条裙子是纯蓝色的。", True),
        ("<mam>穿着红色的上衣，裙子是蓝色的。", False),
        ("<mam>一动不动地站着，正在飞快地奔跑。", True),
        ("<mam>坐在椅子上，笔直地站着。", True),
    ],
)
def test_chinese_clauses_about_the_tag_contradict_each_other(text: str, found: bool) -> None:
    assert contradicts_sentence(text, "<mam>", "<mam>在做什么？") == found


@each_case(
    ("text", "found"),
    [
        ("<mam> is not cold and is shivering because it is very cold.", "about_the_task"),
        ("<mam> is not tired and is yawning because she is so tired.", "about_the_task"),
        ("<mam> isn't sad and is crying because he is sad.", "about_the_task"),
        ("<mam> is not cold and is very cold.", "about_the_task"),
        ("<mam> is not cold and is wearing a coat because it is cold outside.", None),
        ("<mam> is not hot and is drinking tea because it is hot.", None),
        ("<mam> is not cold and is shivering because it is scared.", None),
        ("<mam> is not happy and is smiling because the child is happy.", None),
        ("<mam> is not tall and is very slim.", None),
    ],
)
def test_a_feeling_that_is_denied_and_shown(text: str, found: str | None) -> None:
    assert find_code(text, "Is <mam> cold?") == found


@each_case(
    ("text", "found"),
    [
        ("<mam>不冷，正在发抖，因为很冷。", "about_the_task"),
        ("<mam>不冷，穿着厚外套，因为天气很冷。", None),
        ("<mam>不冷，正在发抖，因为很怕。", None),
    ],
)
def test_a_feeling_that_is_denied_and_shown_in_chinese(text: str, found: str | None) -> None:
    assert find_code(text, "<mam>冷吗？") == found
