"""The name without brackets becomes the tag where an answer begins with it, and only there."""

from __future__ import annotations

import pytest

from persqa_client.answers.parse import Answer, parse_answer
from persqa_client.questions.tags import can_repair_bare_name
from persqa_client.types import Completion
from tests.answers.helpers import make_task


def parse(tag: str, question: str, raw: str) -> str:
    task = make_task(question, f"<{tag}>", repair_bare_name=can_repair_bare_name(f"<{tag}>"))
    once = parse_answer(Completion(raw, "stop"), task).text
    assert parse_answer(Completion(once, "stop"), task) == Answer(once)
    return once


@pytest.mark.parametrize(
    ("tag", "question", "raw", "repaired"),
    [
        ("anya", "What is <anya> doing?", "Anya hugs Bond.", "<anya> hugs Bond."),
        ("bo", "What is <bo> doing?", "Bo is sleeping on a rug.", "<bo> is sleeping on a rug."),
        ("bo", "What is <bo> doing?", "Bo eats meat.", "<bo> eats meat."),
        ("bear", "What does <bear> eat?", "Bear eats honey.", "<bear> eats honey."),
        ("rose", "What is <rose> wearing?", "Rose is wearing a red dress.", "<rose> is wearing a red dress."),
        ("may", "What is <may> holding?", "May holds a book.", "<may> holds a book."),
        ("mochi", "What is <mochi> eating?", "Mochi eats green mochi.", "<mochi> eats green mochi."),
        (
            "tesla",
            "What is by <tesla>?",
            "Tesla is parked beside another Tesla.",
            "<tesla> is parked beside another Tesla.",
        ),
        ("mam", "Who is by <mam>?", "Mam sits with her mam.", "<mam> sits with her mam."),
        ("mam", "What is on <mam>?", "Mam wears a shirt that says Mam.", "<mam> wears a shirt that says Mam."),
        (
            "mam",
            "What is <mam> doing?",
            "In the picture, Mam is reading, and Mam's dog is asleep.",
            "<mam> is reading, and <mam>'s dog is asleep.",
        ),
        ("luna", "Where is <luna>?", "**Luna** is on the roof.", "<luna> is on the roof."),
        ("mr.krab", "What does <mr.krab> hold?", "Mr. Krab holds a coin.", "<mr.krab> holds a coin."),
        ("black-cat", "Where is <black-cat>?", "Black Cat is on the wall.", "<black-cat> is on the wall."),
        ("小明", "<小明>在做什么？", "小明在踢足球，小明的狗在旁边。", "<小明>在踢足球，<小明>的狗在旁边。"),
        ("小满", "<小满>在跑吗？", "小满在跑步。", "<小满>在跑步。"),
        ("年糕", "<年糕>在哪里？", "图中，年糕趴在沙发上。", "<年糕>趴在沙发上。"),
        ("豆豆", "<豆豆>戴着什么？", "是的，豆豆戴着红色的项圈。", "<豆豆>戴着红色的项圈。"),
        ("bo", "<bo>在哪里？", "Bo在草地上追球。", "<bo>在草地上追球。"),
        ("花子", "<花子>は何をしていますか？", "花子は本を読んでいます。", "<花子>は本を読んでいます。"),
        ("보리", "<보리>는 어디에 있나요?", "보리는 소파 위에서 자고 있습니다.", "<보리>는 소파 위에서 자고 있습니다."),
        ("mam", "<mam>은 무엇을 하나요?", "Mam은 책을 읽고 있습니다.", "<mam>은 책을 읽고 있습니다."),
        ("барсик", "Где <барсик>?", "Барсик сидит на окне.", "<барсик> сидит на окне."),
        ("bruno", "Was tut <bruno>?", "Bruno springt über eine Hürde.", "<bruno> springt über eine Hürde."),
        ("simsim", "ماذا يفعل <simsim>؟", "Simsim ينام على الوسادة.", "<simsim> ينام على الوسادة."),
        ("zoë", "What does <zoë> do?", "Zoë laughs.", "<zoë> laughs."),
        ("pixel", "What does <pixel> do?", '"Pixel" chases a ball.', "<pixel> chases a ball."),
        (
            "finn",
            "Who is <finn> with?",
            "Finn and Luna are running, and Finn carries a stick.",
            "<finn> and Luna are running, and <finn> carries a stick.",
        ),
        ("mam", "What is <mam> doing?", "**Answer:** Mam is cooking.", "<mam> is cooking."),
        ("mam", "What is <mam> doing?", "Answer: In the image, Mam is cooking.", "<mam> is cooking."),
        (
            "mam",
            "What is <mam> doing?",
            "Okay! Mam is cooking pasta. Let me know if you need more details.",
            "<mam> is cooking pasta.",
        ),
        ("mam", "What is <mam> doing?", "mam is cooking", "<mam> is cooking"),
        ("mam", "What is <mam> doing?", "Mam, who wears a hat, is cooking.", "<mam>, who wears a hat, is cooking."),
        ("mam", "What is <mam> doing?", "Mam’s hands are full.", "<mam>’s hands are full."),
        ("mam", "What is <mam> doing?", "Mam and Dad are cooking.", "<mam> and Dad are cooking."),
        (
            "toby",
            "Where is <toby>?",
            "Toby the dog lies on a mat; Toby’s tail is curled.",
            "<toby> the dog lies on a mat; <toby>’s tail is curled.",
        ),
        ("toby", "Where is <toby>?", "Toby's bowl says Toby.", "<toby>'s bowl says Toby."),
        (
            "coffee",
            "Where is <coffee>?",
            "Coffee is sleeping next to a cup of coffee.",
            "<coffee> is sleeping next to a cup of coffee.",
        ),
        ("cookie", "What is <cookie> eating?", "Cookie is eating a cookie.", "<cookie> is eating a cookie."),
        (
            "pepper",
            "What does <pepper> do?",
            "Pepper chases a ball across the lawn.",
            "<pepper> chases a ball across the lawn.",
        ),
        ("honey", "Where's <honey>?", "Honey sits under the table.", "<honey> sits under the table."),
        (
            "luna",
            "Where is <luna>?",
            "luna is on the chair, and luna is happy.",
            "<luna> is on the chair, and <luna> is happy.",
        ),
        (
            "luna",
            "Where is <luna>?",
            "Luna is at a table. Behind Luna there is a Luna Park sign.",
            "<luna> is at a table. Behind <luna> there is a Luna Park sign.",
        ),
        ("yuki", "<yuki>は何をしていますか？", "Yukiは公園で走っています。", "<yuki>は公園で走っています。"),
        ("さくら", "<さくら>は？", "さくらは本を読んでいます。", "<さくら>は本を読んでいます。"),
        (
            "민지",
            "<민지>는?",
            "민지가 웃고 있습니다. 민지의 모자는 빨갛습니다.",
            "<민지>가 웃고 있습니다. <민지>의 모자는 빨갛습니다.",
        ),
        (
            "小红",
            "<小红>穿着什么？",
            "小红穿着一条红裙子，小红的头发很长。",
            "<小红>穿着一条红裙子，<小红>的头发很长。",
        ),
        ("小红", "<小红>穿着什么？", "答案：小红穿着一条红裙子。", "<小红>穿着一条红裙子。"),
        ("大黄", "<大黄>在哪里？", "大黄趴在门口。", "<大黄>趴在门口。"),
        ("可乐", "<可乐>在哪里？", "可乐正趴在沙发上，旁边有一罐可乐。", "<可乐>正趴在沙发上，旁边有一罐可乐。"),
        ("豆包", "<豆包>在做什么？", "“豆包”正在睡觉。", "<豆包>正在睡觉。"),
        ("小明", "<小明>在做什么？", "小明和妈妈一起做饭，小明很开心。", "<小明>和妈妈一起做饭，<小明>很开心。"),
        ("小明", "What is <小明> doing?", "小明 is reading.", "<小明> is reading."),
        ("福宝", "<福宝>在做什么？", "**福宝**在吃竹子。", "<福宝>在吃竹子。"),
        ("福宝", "<福宝>在做什么？", "【福宝】在吃竹子。", "<福宝>在吃竹子。"),
        ("福宝", "<福宝>在做什么？", "福宝（大熊猫）在吃竹子。", "<福宝>（大熊猫）在吃竹子。"),
        ("福宝", "<福宝>在做什么？", "福宝今天在吃竹子。", "<福宝>今天在吃竹子。"),
        ("福宝", "<福宝>在做什么？", "福宝一边走一边吃竹子。", "<福宝>一边走一边吃竹子。"),
        ("福宝", "<福宝>在做什么？", "福宝独自坐着。", "<福宝>独自坐着。"),
        ("福宝", "<福宝>有多高？", "福宝大约一米高。", "<福宝>大约一米高。"),
        ("福宝", "<福宝>几岁？", "福宝三岁左右。", "<福宝>三岁左右。"),
        ("福宝", "<福宝>是什么颜色？", "福宝黑白相间。", "<福宝>黑白相间。"),
        ("福宝", "<福宝>在做什么？", "福宝认真地啃竹子。", "<福宝>认真地啃竹子。"),
        ("福宝", "<福宝>在做什么？", "福宝静静地睡着。", "<福宝>静静地睡着。"),
        ("阿福", "<阿福>在做什么？", "阿福吐着舌头。", "<阿福>吐着舌头。"),
        ("咪咪", "<咪咪>在做什么？", "咪咪蜷缩在沙发上。", "<咪咪>蜷缩在沙发上。"),
        ("سمسم", "ماذا يفعل <سمسم>؟", "سمسم ينام على الأريكة.", "<سمسم> ينام على الأريكة."),
        (
            "luna",
            "¿Dónde está <luna>?",
            "Luna está en el sofá, y Luna parece feliz.",
            "<luna> está en el sofá, y <luna> parece feliz.",
        ),
        ("filou", "Où est <filou> ?", "Oui, Filou dort sur le canapé.", "<filou> dort sur le canapé."),
        ("bear", "Wo ist <bear>?", "Bear liegt auf dem Sofa.", "<bear> liegt auf dem Sofa."),
        ("rex", "Где <rex>?", "Rex лежит на диване.", "<rex> лежит на диване."),
        ("mochi", "<mochi>はどこ？", "Mochiはソファの上で寝ています。", "<mochi>はソファの上で寝ています。"),
    ],
)
def test_an_answer_that_begins_with_the_name_is_about_the_tag(tag: str, question: str, raw: str, repaired: str) -> None:
    assert parse(tag, question, raw) == repaired


@pytest.mark.parametrize(
    ("tag", "question", "raw"),
    [
        ("bear", "What does <bear> do?", "Bear cubs play in the river."),
        ("rose", "What is on the table by <rose>?", "Rose petals cover the table."),
        ("tesla", "Where is <tesla>?", "Tesla Model 3 is parked outside."),
        ("sponge", "What does <sponge> do?", "SpongeBob SquarePants waves."),
        ("anya", "What is <anya> doing?", "Anya Forger hugs a dog."),
        ("mam", "What is <mam> doing?", "MAM is printed on a mug."),
        ("小满", "<小满>在哪里？", "小满节气的日历挂在墙上。"),
        ("欧阳", "<欧阳>在做什么？", "欧阳娜娜在拉大提琴。"),
        ("tesla", "<tesla>停在哪里？", "Tesla Model Y停在路边。"),
        ("보리", "<보리>는 어디에 있나요?", "보리밭이 펼쳐져 있습니다."),
        ("will", "What is <will> doing?", "Will the man jump? It seems so."),
        ("toby", "Where is <toby>?", "This is Toby, a dog."),
        ("ginger", "What does <ginger> do?", "Ginger slices lie on a plate."),
        ("daisy", "Where's <daisy>?", "Daisies grow in the meadow."),
        ("it", "What is <it>?", "It is a dog."),
        ("a", "What is <a>?", "A man is running."),
        ("hope", "What is <hope> doing?", "Hope this helps!"),
        ("red", "What colour is <red>?", "Red and blue."),
        ("red", "What colour is <red>?", "Red."),
        ("mam", "What does <mam> say?", '"Mam" is written on the cup.'),
        ("luna", "Where is <luna>?", "Luna Park is closed."),
        ("luna", "Where is <luna>?", "luna-themed balloons float."),
        ("captain", "x <captain>?", "Captain America stands there."),
        ("ironman", "x <ironman>?", "Iron Man stands there."),
        ("さくら", "<さくら>は？", "さくらんぼがテーブルにあります。"),
        ("小红", "<小红>穿着什么？", "小红帽的书放在桌上。"),
        ("大黄", "<大黄>在哪里？", "大黄蜂停在花上。"),
        ("可乐", "<可乐>在哪里？", "可乐瓶放在桌上。"),
        ("豆包", "<豆包>在做什么？", "我是豆包，很高兴为您服务。"),
        ("小明", "<小明>在做什么？", "小明书店的招牌很大。"),
        ("bruno", "Wo ist <bruno>?", "Auf dem Bild liegt Bruno im Gras."),
        ("luna", "¿Dónde está <luna>?", "La luna brilla sobre el mar."),
    ],
)
def test_other_words_and_names_at_the_beginning_are_not_the_tag(tag: str, question: str, raw: str) -> None:
    assert f"<{tag}>" not in parse(tag, question, raw)


@pytest.mark.parametrize(
    ("tag", "question", "raw", "repaired"),
    [
        (
            "harry",
            "What are <harry> and <ron> doing?",
            "Harry holds a wand while Ron looks at Harry.",
            "<harry> holds a wand while <ron> looks at <harry>.",
        ),
        (
            "harry",
            "What are <harry> and <ron> doing?",
            "<harry> plays chess with <Ron>.",
            "<harry> plays chess with <ron>.",
        ),
        ("harry", "What are <harry> and <ron> doing?", "<harry> sits by Ron Weasley.", "<harry> sits by Ron Weasley."),
        ("cat", "Are <cat> and <dog> friends?", "<cat> sleeps next to Dog.", "<cat> sleeps next to <dog>."),
        ("小明", "<小明>和<小红>谁更高？", "<小明>比小红高。", "<小明>比<小红>高。"),
        ("mam", "Who is taller, <mam> or <bo>?", "<mam> is taller than bo.", "<mam> is taller than <bo>."),
        ("mam", "Who is taller, <mam> or <bo>?", "<mam> is taller than &lt;bo&gt;.", "<mam> is taller than <bo>."),
        ("mam", "What are <mam> and <mam2> doing?", "<mam> holds mam2's hand.", "<mam> holds <mam2>'s hand."),
        ("anya", "What are <anya> and <bond> doing?", "Anya hugs Bond.", "<anya> hugs <bond>."),
        (
            "anya",
            "What are <anya> and <bond> doing?",
            "<anya> hugs Bond on the sofa.",
            "<anya> hugs <bond> on the sofa.",
        ),
        (
            "thor",
            "What are <thor> and <loki> doing?",
            "Thor and Loki stand side by side.",
            "<thor> and <loki> stand side by side.",
        ),
        ("小明", "<小明>和<小红>在做什么？", "小明和小红在看书。", "<小明>和<小红>在看书。"),
        ("anya", "What are <anya> and <bond> doing?", "<anya> hugs <Bond>.", "<anya> hugs <bond>."),
        ("max", "x <max> and <ruby>?", "<max> gives Ruby a ruby ring.", "<max> gives <ruby> a ruby ring."),
        ("sam", "x <sam> and <pam>?", "Sam, Pam and a dog are on a bench.", "<sam>, <pam> and a dog are on a bench."),
    ],
)
def test_the_other_tags_of_a_question_are_restored(tag: str, question: str, raw: str, repaired: str) -> None:
    assert parse(tag, question, raw) == repaired


@pytest.mark.parametrize(
    ("tag", "question", "raw"),
    [
        ("mam", "What is <mam> reading?", "<mam> is reading 《Mam》 on the sofa."),
        ("mam", "What key is <mam> pressing?", "<mam> presses a key labelled [mam]."),
        ("bond", "Who is <bond>?", "<bond> stands next to a poster of James Bond."),
        ("apple", "What does <apple> eat?", "<apple> eats an Apple-shaped cookie and an apple."),
        ("mam", "What sign?", "<mam> holds a sign with the word Mam and a sign with MAM."),
        ("mam", "What sign?", '<mam> holds a card that reads "<MAM> wins".'),
        ("anya", "What are <anya> and <bond> doing?", "<anya> watches a James Bond film with <bond>."),
        (
            "anya",
            "What are <anya> and <bond> doing?",
            "<anya> and <bond> look at a savings bond and a poster that says Bond.",
        ),
        ("anya", "What are <anya> and <bond> doing?", "<anya> holds a sign that says “Bond”."),
        ("anya", "What are <anya> and <tesla> doing?", "<anya> leans on a white Tesla."),
        ("cola", "<cola>在喝什么？", "<cola>在喝一罐Coca-Cola，旁边放着另一罐cola。"),
        ("豆豆", "<豆豆>在吃什么？", "<豆豆>在吃豆豆糖。"),
        ("小满", "<小满>在看什么？", "<小满>在看写着小满的日历。"),
        ("mam", "Wo ist <mam>?", "<mam> sitzt neben ihrer Mam auf dem Sofa."),
        ("mam", "¿Dónde está <mam>?", "<mam> mira un cartel de Mam y Papá."),
        ("mam", "x <mam>?", "<mam> wears a cap; the cap has “Mam” on it."),
        ("apple", "x <apple>?", "<apple> is a red apple on an Apple laptop."),
        ("max", "x <max>?", "<max> wears Air Max shoes at max volume."),
        ("rose", "x <rose>?", "<rose> holds a rose. Rose petals lie around."),
        ("mam", "x <mam>?", "<mam>, also called Mam, smiles."),
        ("小满", "<小满>?", "<小满>在看一本叫小满的书。"),
        ("cat", "Are <cat> and <dog> friends?", "<cat> sleeps next to a dog."),
        ("小明", "<小明>和<小红>谁更高？", "<小明>站在写着“小红”的牌子旁。"),
        ("mam", "What are <mam> and <mam2> doing?", "<mam> holds <mam2>'s hand."),
        ("nike", "x <nike>?", "<nike> wears Nike shoes and a Nike cap."),
        ("lotus", "x <lotus>?", "<lotus> does yoga in the lotus position next to a Lotus."),
        ("sam", "x <sam> and <pam>?", "<sam> holds a cup labelled Pam."),
        ("小明", "<小明>和<可乐>在做什么？", "<小明>在喝可乐。"),
    ],
)
def test_an_answer_with_the_tag_keeps_the_bare_name(tag: str, question: str, raw: str) -> None:
    assert parse(tag, question, raw) == raw
