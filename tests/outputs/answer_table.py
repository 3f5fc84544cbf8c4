"""What models say, and what is to come of it: raw answers with the text that counts, or the code of the refusal.

Each question stands here once, so that an endpoint can be told by the question which answer to give.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    id: str
    question: str
    raw: str
    finish_reason: str
    answer: str | None
    """The text as it will stand in the output; None where the answer is refused."""
    code: str | None
    names: tuple[str, ...] = ()
    """Real names that must not leak."""
    tag: str = "<mam>"


def good(id: str, question: str, raw: str, names: tuple[str, ...] = (), tag: str = "<mam>") -> Case:
    """Comes out as it went in."""
    return Case(id, question, raw, "stop", raw, None, names, tag)


def mended(id: str, question: str, raw: str, answer: str, tag: str = "<mam>") -> Case:
    """Can be made good."""
    return Case(id, question, raw, "stop", answer, None, (), tag)


def bad(
    id: str, question: str, raw: str, code: str, finish: str = "stop", names: tuple[str, ...] = (), tag: str = "<mam>"
) -> Case:
    return Case(id, question, raw, finish, None, code, names, tag)


GOOD_ENGLISH = (
    good("plain", "What is <mam> wearing?", "<mam> wears a blue jacket."),
    good("no-full-stop", "What is <mam> holding?", "<mam> holds a green umbrella"),
    good("possessive", "What colour is <mam>'s hat?", "<mam>'s hat is dark red."),
    good("curly-possessive", "What colour is <mam>'s scarf?", "<mam>’s scarf is grey with a white stripe."),
    good(
        "sentences",
        "Describe <mam> in some detail.",
        "<mam> has short curly hair. <mam> wears glasses; the frames are black. Behind <mam>, a door stands open.",
    ),
    good("paragraphs", "What is around <mam>?", "<mam> sits on a bench.\n\nTo the left there is a tree."),
    good(
        "list",
        "What are the clothes of <mam>?",
        "<mam> wears:\n- a red hat\n- a red scarf\n- a red coat\n- a red belt\n- red gloves\n- red boots",
    ),
    good(
        "enumeration",
        "Which things lie near <mam>?",
        "<mam> is next to one cup on the left, one cup on the right, one plate in the middle, one fork and one knife.",
    ),
    good("numbers", "How many buttons does <mam> have?", "<mam> has 12 buttons in 2 rows of 6."),
    good("inches", "How big is the screen of <mam>?", '<mam> is a screen of about 12"'),
    good(
        "comparison", "What is on the board behind <mam>?", "<mam> stands before a board with the sum 3 < 5 and 7 > 2."
    ),
    good("heart", "What is drawn on <mam>'s card?", "<mam> holds a card with a heart, written as <3 in black ink."),
    good("letters-compared", "What is the formula near <mam>?", "<mam> points at a<b and c>d on a sheet of paper."),
    good("sorry-sign", "What does the sign of <mam> say?", "<mam> holds a sign that says \"I'm sorry, I can't help\"."),
    good("sorry-look", "How does <mam> look?", "<mam> looks sorry about the broken cup."),
    good("can-help", "What is <mam> able to do?", "<mam> can help carrying the box, it seems."),
    good("ai-job", "What is the job of <mam>?", "<mam> works as an AI engineer at a desk."),
    good("says-cannot", "What does <mam> say?", "<mam> says: I cannot see you."),
    good("not-visible", "What shoes does <mam> wear?", "<mam>'s shoes can't be seen in the picture."),
    good(
        "hidden-eyes", "Are <mam>'s eyes visible?", "<mam> can't be seen clearly, because the sun is behind the head."
    ),
    good("unsure", "How old is <mam>?", "<mam> seems to be an adult, but the exact age can't be told."),
    good("sorry-later", "Why is <mam> holding flowers?", "<mam> holds flowers, perhaps to say sorry. It is raining."),
    good("chinese-sign", "What is written over <mam>?", "<mam> stands under a sign that reads “欢迎光临，请勿吸烟”."),
    good("chinese-dress", "What does <mam> wear at the feast?", "<mam> wears a red 旗袍 with gold flowers."),
    good(
        "russian-sign", "What does the poster by <mam> say?", "<mam> is near a poster with the word «Добро пожаловать»."
    ),
    good("accents", "Where does <mam> sit?", "<mam> sits in a café near the façade of a château, eating crème brûlée."),
    good("word-image", "What is <mam> looking at?", "<mam> looks at an image of a lighthouse on a tablet."),
    good("word-answer", "What is <mam> writing?", "<mam> writes the answer to a question on a blackboard."),
    good("mug", "What is on <mam>'s mug?", '<mam> holds a mug with the word "mam" on it.'),
    good("mug-capitals", "What do the letters near <mam> say?", "<mam> sits next to large letters: MAM."),
    good("mam-shaped", "What shape has the cake of <mam>?", "<mam> cuts a mam-shaped cake."),
    good("her-mam", "Who is with <mam>?", "<mam> walks with her mam and a small dog."),
    good("mammal", "What animal is near <mam>?", "<mam> strokes a large mammal, probably a cow. Mammals are warm."),
    good("file-name", "Which file is open before <mam>?", "<mam> looks at a screen with the file mam.jpg open."),
    good("html-on-screen", "What is on the screen of <mam>?", '<mam> types "<html>" into an editor.'),
    good("ampersand", "Which shop is behind <mam>?", "<mam> stands before a shop called R&amp;B &lt;music&gt;."),
    good("brackets", "What is near <mam>?", "<mam> (on the left) holds a ball [blue] and a {curly} straw sculpture."),
    good("bold-inside", "What stands out on <mam>?", "<mam> wears a **red** hat and *very* large glasses."),
    good("code-inside", "What does <mam> type?", "<mam> types `ls -la` in a terminal."),
    good("two-tags", "What is <mam> doing with <bo>?", "<mam> holds the hand of <bo> on a beach."),
    good("laughing", "How does <mam> laugh?", "<mam> laughs: ha ha ha ha!"),
    good("very", "How tall is <mam>?", "<mam> is very, very, very tall."),
    good("semicolons", "What is left and right of <mam>?", "<mam>: on the left a lamp; on the right a plant."),
    good("starts-with-comma", "What else does <mam> have?", "<mam>, on the right, has a red bag."),
    good("is-question", "Is <mam> outdoors?", "<mam> is outdoors, in a park?"),
    good("ends-in-quote", "What does the shirt of <mam> say?", '<mam> wears a shirt that reads "Stay wild".'),
    good("starts-and-ends-quoted", "What do <mam>'s two signs say?", '<mam> has a sign "Go" and another one "Stop"'),
    good("url", "Which address is on <mam>'s bag?", "<mam> has a bag with www.mam.com printed on it."),
    good("smiley", "Which smiley is on <mam>'s shirt?", "<mam> has a smiley ^___^ on the shirt."),
    good("options", "Which keys has <mam>?", "<mam> has two keys on a pad:\nA: red\nB: green"),
    good(
        "red-list",
        "Which red things has <mam>?",
        "<mam> has a red hat, a red coat, a red bag, a red belt, a red scarf, a red shoe and a red sock.",
    ),
    good("nooo", "What does <mam> shout?", "<mam> shouts “noooooooooo” and ha ha ha ha ha."),
    good("chinese-dish", "What does <mam> order?", "<mam> orders 小笼包."),
    good("chinese-quote-in-question", "What is “你好世界欢迎光临” on <mam>'s hat?", "<mam>'s hat says hello."),
    good("chinese-tag-in-question", "Who is <欧阳小满>?", "<欧阳小满> runs.", tag="<欧阳小满>"),
    good("bare-chinese-name", "Who is with <欧阳>?", "<欧阳> sits by a man; the sign says 欧阳.", tag="<欧阳>"),
    good(
        "white-list",
        "Which animals does <mam> keep?",
        "<mam> keeps a small white cat with long fur, a small white dog with short fur, a small white horse with a "
        "long tail, a small white goat with short horns, a small brown cow with long horns, a large brown dog with "
        "long fur, a large brown horse with a short tail, a large brown goat with long horns, a small black cat with "
        "short fur and a large black cow with short horns, as well as two small white birds.",
    ),
    good("emoji", "What mood is <mam> in?", "<mam> looks happy 😀 and waves."),
    good("question-words", "What is the colour of <mam>", "<mam> is blue; so the colour of <mam> is blue."),
    good("name-inside-word", "What does <mam> celebrate?", "<mam> celebrates an anniversary.", ("Ann",)),
    good("let-me", "What does <mam>'s badge say?", "<mam> wears a badge: “Let me know if you need help”."),
    good(
        "long",
        "Tell all about <mam>.",
        "<mam> stands at the edge of a small harbour in the early evening, dressed in a yellow raincoat, dark trousers "
        "and rubber boots. In the right hand there is a bucket with three silver fish; the left hand holds a rope that "
        "leads to a blue boat. Behind <mam>, gulls circle above the pier, and a row of white houses catches the last "
        "light. The water is calm, and the sky is pink near the horizon and grey further up.",
    ),
    good("no-longer-sks", "What tool does <mam> carry?", "<mam> carries an axe, two masks and a flask."),
    good("size", "Which size is on <mam>'s label?", "<mam> wears a coat with the label XXL."),
    good("short-tag", "What is <bo> up to?", "<bo> chases a ball; bo is also written on the wall.", tag="<bo>"),
    good(
        "word-tag",
        "Who is behind <bear>?",
        "<bear> sits before a bear that is much larger. Bear cubs play.",
        tag="<bear>",
    ),
)

GOOD_CHINESE = (
    good("zh-plain", "<mam>穿着什么？", "<mam>穿着一件深蓝色外套。"),
    good("zh-no-full-stop", "<mam>手里拿着什么？", "<mam>手里拿着一把绿色的雨伞"),
    good("zh-possessive", "<mam>的帽子是什么颜色？", "<mam>的帽子是深红色的。"),
    good("zh-sentences", "请详细描述<mam>。", "<mam>留着短卷发。<mam>戴着黑框眼镜！身后的门开着。"),
    good(
        "zh-enumeration",
        "<mam>全身穿了哪些衣物？",
        "<mam>穿着一件红色的上衣、一件红色的外套、一件红色的背心、一件红色的毛衣和一件红色的雨衣。",
    ),
    good("zh-brands", "<mam>穿的是什么牌子？", "<mam>穿着Nike的T-shirt和Levi's牛仔裤，背着The North Face背包。"),
    good("zh-phone", "<mam>是什么手机？", "<mam>是iPhone 15 Pro Max。"),
    good(
        "zh-english-sign",
        "<mam>身后的牌子上写着什么？",
        "<mam>身后的牌子上写着“Welcome to the beautiful city of London”。",
    ),
    good("zh-sorry-look", "<mam>的神情如何？", "<mam>看起来很抱歉。"),
    good("zh-sorry-sign", "<mam>举的牌子写着什么？", "<mam>举着牌子，上面写着“对不起，我无法回答”。"),
    good("zh-cannot-see", "<mam>能看清远处吗？", "<mam>无法看清远处的字。"),
    good("zh-not-visible", "<mam>穿着什么鞋？", "<mam>的鞋子在图中看不到。"),
    good("zh-unclear", "<mam>多大年纪？", "<mam>看起来是成年人，但具体年龄无法判断。"),
    good("zh-numbers", "<mam>有几颗扣子？", "<mam>有12颗扣子，分成2排，每排6颗。"),
    good("zh-short", "<mam>是什么颜色？", "<mam>是红色。"),
    good("zh-book", "<mam>在看什么书？", "<mam>在看《红楼梦》和《Harry Potter》。"),
    good("zh-mug", "<mam>的杯子上写着什么？", "<mam>的杯子上写着「mam」。"),
    good("zh-quotes", "<mam>在说什么？", "<mam>说：“你好，我叫小明。”"),
    good("zh-corner-quotes", "<mam>的衣服上有什么字？", "<mam>的衣服上有「加油」二字。"),
    good("zh-comparison", "<mam>前面的黑板上写着什么？", "<mam>站在黑板前，上面写着3 < 5，7 > 2。"),
    good("zh-two-tags", "<mam>和<bo>在做什么？", "<mam>和<bo>在海边散步。"),
    good("zh-list", "<mam>旁边有什么？", "<mam>旁边有：\n1. 一个杯子\n2. 一个盘子\n3. 一把叉子"),
    good("zh-laugh", "<mam>笑得怎么样？", "<mam>哈哈哈哈地大笑着。"),
    good("zh-mixed", "<mam>在用什么软件？", "<mam>正在电脑上用Photoshop CC 2019修图。"),
    good("zh-wide-tag-in-question", "<mam>身边的＜小红＞在做什么？", "<mam>身边的＜小红＞在画画。"),
    good("zh-abstains", "<mam>的眼睛是什么颜色？", "<mam>闭着眼睛，因此看不出眼睛的颜色。"),
    good("zh-in-picture", "<mam>在图中的哪个位置？", "<mam>位于图片的左侧，靠近窗户。"),
    good("zh-tag", "<小满>在哪里？", "<小满>在厨房里，小满节气的日历挂在墙上。", tag="<小满>"),
    good("zh-tag-english", "Where is <小满>?", "<小满> is in the kitchen.", tag="<小满>"),
    good("zh-sign-in-english", "What does the sign “出口在左边” over <mam> mean?", "<mam> stands under an exit sign."),
    good(
        "zh-long",
        "请用几句话说明<mam>所在的环境。",
        "<mam>站在傍晚的小港口边，身穿黄色雨衣、深色长裤和胶靴，右手提着一个装有三条银色小鱼的水桶，左手拉着一根系在蓝色小船上的绳子。"
        "身后，海鸥在码头上空盘旋，一排白色的房子映着最后的阳光。水面平静，天边泛着粉色，高处渐渐变成灰色。",
    ),
)

MENDED_ENGLISH = (
    mended("thought", "What does <mam> do first?", "<think>A man…</think>\n<mam> reads.", "<mam> reads."),
    mended(
        "thought-end", "What does <mam> want?", "hmm, <mam> wants… </think>\n\n<mam> wants tea.", "<mam> wants tea."
    ),
    mended(
        "thinking", "What does <mam> think?", "<thinking>so</thinking><mam> seems to doubt.", "<mam> seems to doubt."
    ),
    mended(
        "kimi-thought", "What does <mam> hide?", "◁think▷Is it a bag?◁/think▷<mam> hides a bag.", "<mam> hides a bag."
    ),
    mended("im-end", "What does <mam> cook?", "<mam> cooks rice.<|im_end|>", "<mam> cooks rice."),
    mended("two-ends", "What does <mam> bake?", "<mam> bakes bread.</s>\n<|eot_id|>", "<mam> bakes bread."),
    mended("turn-start", "What does <mam> clean?", "<|im_start|>assistant\n<mam> cleans.", "<mam> cleans."),
    mended("answer-wrapper", "What does <mam> sell?", "<answer><mam> sells fruit.</answer>", "<mam> sells fruit."),
    mended("fence", "What does <mam> drink?", "```\n<mam> drinks tea.\n```", "<mam> drinks tea."),
    mended("fence-language", "What does <mam> eat?", "```text\n<mam> eats soup.\n```", "<mam> eats soup."),
    mended("json", "What does <mam> throw?", '{"answer": "<mam> throws a ball."}', "<mam> throws a ball."),
    mended("fenced-json", "What does <mam> kick?", '```json\n{"answer": "<mam> kicks it."}\n```', "<mam> kicks it."),
    mended("double-quotes", "What does <mam> pull?", '"<mam> pulls a cart."', "<mam> pulls a cart."),
    mended("curly-quotes", "What does <mam> push?", "“<mam> pushes a pram.”", "<mam> pushes a pram."),
    mended("single-quotes", "What is <mam>'s bag like?", "'<mam>'s bag is small.'", "<mam>'s bag is small."),
    mended("quotes-before-stop", "What does <mam> lift?", '"<mam> lifts a box".', "<mam> lifts a box."),
    mended("quotes-nested", "What does <mam> raise?", '"<mam> raises a sign "Go" up."', '<mam> raises a sign "Go" up.'),
    mended("half-quoted", "What does <mam> open?", '"<mam> opens a door.', "<mam> opens a door."),
    mended("label", "What does <mam> close?", "Answer: <mam> closes a window.", "<mam> closes a window."),
    mended("bold-label", "What does <mam> paint?", "**Answer:** <mam> paints a wall.", "<mam> paints a wall."),
    mended("bold-label-2", "What does <mam> draw?", "**Answer**: <mam> draws a tree.", "<mam> draws a tree."),
    mended("heading-label", "What does <mam> build?", "### Answer\n<mam> builds a hut.", "<mam> builds a hut."),
    mended("role-label", "What does <mam> dig?", "Assistant: <mam> digs a hole.", "<mam> digs a hole."),
    mended(
        "echo", "What does <mam> hang up?", "What does <mam> hang up? <mam> hangs up a coat.", "<mam> hangs up a coat."
    ),
    mended(
        "echo-labels",
        "What does <mam> put down?",
        "Question: What does <mam> put down?\nAnswer: <mam> puts down a cup.",
        "<mam> puts down a cup.",
    ),
    mended(
        "echo-bold",
        "What does <mam> take?",
        "**Question:** What does <mam> take?\n\n**Answer:** <mam> takes a pen.",
        "<mam> takes a pen.",
    ),
    mended(
        "echo-mangled",
        "What does <mam> look for?",
        "What does mam look for? Mam looks for a key.",
        "<mam> looks for a key.",
    ),
    mended(
        "echo-reworded",
        "What does <mam> bring?",
        "Question: What is brought?\nAnswer: <mam> brings a cake.",
        "<mam> brings a cake.",
    ),
    mended(
        "echo-prompt",
        "What does <mam> wash?",
        "The main character in the picture is called <mam>. <mam> washes a car.",
        "<mam> washes a car.",
    ),
    mended(
        "echo-all",
        "What does <mam> dry?",
        "The main character in the picture is called <mam>. Answer the question about <mam> in one or two sentences, "
        "and begin your answer with <mam>.\nQuestion: What does <mam> dry?\nAnswer: <mam> dries a plate.",
        "<mam> dries a plate.",
    ),
    mended("preamble", "What does <mam> fix?", "Sure, here's the answer: <mam> fixes a bike.", "<mam> fixes a bike."),
    mended(
        "preamble-personalised",
        "What does <mam> ride?",
        "Here's a personalised answer:\n\n<mam> rides a horse.",
        "<mam> rides a horse.",
    ),
    mended("preamble-picture", "What does <mam> feed?", "In the picture, <mam> feeds a duck.", "<mam> feeds a duck."),
    mended("preamble-based", "What does <mam> pet?", "Based on the image, <mam> pets a cat.", "<mam> pets a cat."),
    mended("preamble-yes", "Is <mam> on a boat?", "Yes, <mam> is on a boat.", "<mam> is on a boat."),
    mended("article", "What does <mam> chase?", "The <mam> chases a fly.", "<mam> chases a fly."),
    mended(
        "postamble",
        "What does <mam> plant?",
        "<mam> plants a tree.\n\nLet me know if you'd like more details!",
        "<mam> plants a tree.",
    ),
    mended("bullet", "What does <mam> cut?", "- <mam> cuts the grass.", "<mam> cuts the grass."),
    mended("html", "What does <mam> watch?", "&lt;mam&gt; watches a bird.", "<mam> watches a bird."),
    mended("html-twice", "What does <mam> hear?", "&amp;lt;mam&amp;gt; hears music.", "<mam> hears music."),
    mended("html-numbers", "What does <mam> smell?", "&#60;mam&#x3e; smells a rose.", "<mam> smells a rose."),
    mended(
        "html-rest-stays",
        "What does <mam> touch?",
        "&lt;mam&gt;&#39;s hand is on a box of &lt;b&gt; &amp; c.",
        "<mam>'s hand is on a box of &lt;b&gt; &amp; c.",
    ),
    mended("json-escapes", "What does <mam> taste?", "\\u003cmam\\u003e tastes jam.", "<mam> tastes jam."),
    mended("full-width", "What does <mam> shake?", "＜mam＞ shakes a tree.", "<mam> shakes a tree."),
    mended("bold", "What does <mam> roll?", "**<mam>** rolls a ball.", "<mam> rolls a ball."),
    mended("bold-possessive", "Whose shoes does <mam> have?", "**<mam>'s** shoes are new.", "<mam>'s shoes are new."),
    mended("bold-start", "What does <mam> hug?", "**<mam> hugs** a **soft** bear.", "<mam> hugs a **soft** bear."),
    mended("bold-all", "What does <mam> kiss?", "**<mam> kisses a frog.**", "<mam> kisses a frog."),
    mended("bold-behind", "What does <mam> wink at?", "<mam>** winks at a man.", "<mam> winks at a man."),
    mended("backticks", "What does <mam> write?", "`<mam>` writes a letter.", "<mam> writes a letter."),
    mended("backslashes", "What does <mam> read?", "\\<mam\\> reads a map.", "<mam> reads a map."),
    mended("quoted-tag", "What does <mam> turn?", '"<mam>" turns a wheel.', "<mam> turns a wheel."),
    mended("case", "What does <mam> wave?", "<Mam> waves a flag.", "<mam> waves a flag."),
    mended("upper-case", "What does <mam> swing?", "<MAM> swings a bat.", "<mam> swings a bat."),
    mended("spaces", "What does <mam> tie?", "< mam > ties a knot.", "<mam> ties a knot."),
    mended("doubled-brackets", "What does <mam> fold?", "<<mam>> folds a towel.", "<mam> folds a towel."),
    mended("doubled", "What does <mam> pour?", "<mam><mam> pours milk.", "<mam> pours milk."),
    mended("name-label", "What does <mam> stir?", "<mam>: <mam> stirs a pot.", "<mam> stirs a pot."),
    mended("self-closed", "What does <mam> peel?", "<mam/> peels an apple.", "<mam> peels an apple."),
    mended("closed", "What does <mam> squeeze?", "<mam></mam> squeezes a lemon.", "<mam> squeezes a lemon."),
    mended("closed-name", "What does <mam> grate?", "<mam>Mam</mam> grates cheese.", "<mam> grates cheese."),
    mended("possessive-within", "Whose cup has <mam>?", "<mam's> cup is chipped.", "<mam>'s cup is chipped."),
    mended("half-open", "What does <mam> fill?", "<mam fills a glass.", "<mam> fills a glass."),
    mended("square", "What does <mam> empty?", "[mam] empties a bin.", "<mam> empties a bin."),
    mended(
        "bare",
        "What does <mam> carry?",
        "Mam carries a bag, and Mam's bag is full.",
        "<mam> carries a bag, and <mam>'s bag is full.",
    ),
    mended("bare-small", "What does <mam> drop?", "mam drops a coin.", "<mam> drops a coin."),
    mended("bare-bold", "What does <mam> find?", "**Mam finds** a **gold** coin.", "<mam> finds a **gold** coin."),
    mended("bare-quoted", "What does <mam> lose?", '"mam" loses a glove.', "<mam> loses a glove."),
    mended(
        "everywhere",
        "What does <mam> do all day?",
        "<mam> sleeps. Then &lt;mam&gt; eats, <Mam> plays, **<mam>** runs and mam rests.",
        "<mam> sleeps. Then <mam> eats, <mam> plays, <mam> runs and <mam> rests.",
    ),
    mended(
        "everything",
        "What does <mam> need?",
        "Sure! Here is the answer:\n```\n**Answer:** **Mam**'s hat.\n```",
        "<mam>'s hat.",
    ),
    mended("short-tag-case", "What does <bo> see?", "<Bo> sees a hare.", "<bo> sees a hare.", tag="<bo>"),
)

MENDED_CHINESE = (
    mended("zh-thought", "<mam>先做什么？", "<think>看图……</think>\n<mam>在看书。", "<mam>在看书。"),
    mended("zh-im-end", "<mam>在煮什么？", "<mam>在煮饭。<|im_end|>", "<mam>在煮饭。"),
    mended("zh-fence", "<mam>在喝什么？", "```\n<mam>在喝茶。\n```", "<mam>在喝茶。"),
    mended("zh-json", "<mam>在扔什么？", '{"回答": "<mam>在扔球。"}', "<mam>在扔球。"),
    mended("zh-label", "<mam>在关什么？", "回答：<mam>在关窗。", "<mam>在关窗。"),
    mended("zh-bold-label", "<mam>在开什么？", "**答案：**<mam>在开门。", "<mam>在开门。"),
    mended("zh-curly-quotes", "<mam>在推什么？", "“<mam>在推车。”", "<mam>在推车。"),
    mended("zh-corner-quotes-all", "<mam>在拉什么？", "「<mam>在拉车。」", "<mam>在拉车。"),
    mended("zh-white-quotes", "<mam>在搬什么？", "『<mam>在搬箱子』。", "<mam>在搬箱子。"),
    mended("zh-echo", "<mam>在挂什么？", "<mam>在挂什么？<mam>在挂外套。", "<mam>在挂外套。"),
    mended("zh-echo-labels", "<mam>在放什么？", "问题：<mam>在放什么？\n回答：<mam>在放杯子。", "<mam>在放杯子。"),
    mended("zh-echo-mangled", "<mam>在找什么？", "问题：mam在找什么？\n答：mam在找钥匙。", "<mam>在找钥匙。"),
    mended("zh-echo-prompt", "<mam>在洗什么？", "图中的主角叫做<mam>。<mam>在洗车。", "<mam>在洗车。"),
    mended("zh-preamble", "<mam>在修什么？", "好的，以下是回答：<mam>在修自行车。", "<mam>在修自行车。"),
    mended("zh-preamble-picture", "<mam>在喂什么？", "图中，<mam>在喂鸭子。", "<mam>在喂鸭子。"),
    mended("zh-preamble-based", "<mam>在摸什么？", "根据图片，<mam>在摸猫。", "<mam>在摸猫。"),
    mended("zh-preamble-of", "<mam>在骑什么？", "图片中的<mam>在骑马。", "<mam>在骑马。"),
    mended("zh-yes", "<mam>在船上吗？", "是的，<mam>在船上。", "<mam>在船上。"),
    mended("zh-no", "<mam>戴眼镜吗？", "没有，<mam>没有戴眼镜。", "<mam>没有戴眼镜。"),
    mended("zh-postamble", "<mam>在种什么？", "<mam>在种树。\n\n希望这个回答能帮到您！", "<mam>在种树。"),
    mended("zh-html", "<mam>在看什么？", "&lt;mam&gt;在看鸟。", "<mam>在看鸟。"),
    mended("zh-full-width", "<mam>在摇什么？", "＜mam＞在摇树。", "<mam>在摇树。"),
    mended("zh-mixed-width", "<mam>在听什么？", "＜mam>在听歌，<mam＞很开心。", "<mam>在听歌，<mam>很开心。"),
    mended(
        "zh-book-marks", "<mam>戴着什么？", "《mam》戴着帽子，《mam》的帽子很大。", "<mam>戴着帽子，<mam>的帽子很大。"
    ),
    mended("zh-angle", "<mam>在滚什么？", "〈mam〉在滚球。", "<mam>在滚球。"),
    mended("zh-corner", "<mam>在抱什么？", "「mam」抱着熊。", "<mam>抱着熊。"),
    mended("zh-lenticular", "<mam>在亲什么？", "【mam】在亲青蛙。", "<mam>在亲青蛙。"),
    mended("zh-book-marks-around", "<mam>在写什么？", "《<mam>》在写信。", "<mam>在写信。"),
    mended("zh-bold", "<mam>在挥什么？", "**<mam>**在挥旗。", "<mam>在挥旗。"),
    mended("zh-case", "<mam>在系什么？", "<Mam>在系绳子。", "<mam>在系绳子。"),
    mended("zh-spaces", "<mam>在叠什么？", "< mam >在叠毛巾。", "<mam>在叠毛巾。"),
    mended("zh-doubled", "<mam>在倒什么？", "<mam> <mam>在倒牛奶。", "<mam>在倒牛奶。"),
    mended("zh-closed", "<mam>在挤什么？", "<mam></mam>在挤柠檬。", "<mam>在挤柠檬。"),
    mended("zh-half-open", "<mam>在装什么？", "<mam在装水。", "<mam>在装水。"),
    mended("zh-bare", "<mam>在提什么？", "mam提着包，旁边是mam的狗。", "<mam>提着包，旁边是<mam>的狗。"),
    mended("zh-bare-capital", "<mam>在丢什么？", "Mam丢了一枚硬币。", "<mam>丢了一枚硬币。"),
    mended("zh-name-wide", "<小满>在吃什么？", "＜小满＞在吃面。", "<小满>在吃面。", tag="<小满>"),
    mended("zh-name-html", "<小满>在喝水吗？", "&lt;小满&gt;在喝水。", "<小满>在喝水。", tag="<小满>"),
)

BAD_ENGLISH = (
    bad("empty", "What could <mam> say?", "", "empty"),
    bad("dots", "What might <mam> say?", " … ", "empty"),
    bad("refusal", "Who is <mam>?", "I'm sorry, but I can't help with identifying people.", "refusal"),
    bad("refusal-curly", "What is <mam>'s name?", "I’m sorry, but I can’t identify people.", "refusal"),
    bad("refusal-dash", "Who might <mam> be?", "Sorry — I can't help identify who a person in an image is.", "refusal"),
    bad("refusal-behind-tag", "Which person is <mam>?", "<mam> I cannot identify this person.", "refusal"),
    bad(
        "refusal-later",
        "Whose face has <mam>?",
        "<mam> wears a hat. I'm sorry, but I can't identify anybody.",
        "refusal",
    ),
    bad("refusal-but", "Who exactly is <mam>?", "<mam> wears a hat, but I can’t identify who it is.", "refusal"),
    bad("refusal-unable", "Say who <mam> is.", "Unfortunately, I am unable to say.", "refusal"),
    bad("refusal-ai", "Name <mam>.", "As an AI language model, I cannot see pictures.", "refusal"),
    bad("refusal-sees-none", "What is in front of <mam>?", "<mam> I can't see any person.", "refusal"),
    bad("refusal-quoted", "What is over <mam>?", "\"I'm sorry, I can't help with that.\"", "refusal"),
    bad("pronoun", "What does <mam> do now?", "She reads a book.", "pronoun_only"),
    bad("pronoun-contracted", "What is <mam> up to?", "He's reading a book.", "pronoun_only"),
    bad("subject-phrase", "What does the man called <mam> wear?", "The man wears a hat.", "pronoun_only"),
    bad("subject-phrase-2", "What does <mam> put on?", "The main character puts on a hat.", "pronoun_only"),
    bad("subject-phrase-3", "What does <mam> take off?", "The young woman takes off a hat.", "pronoun_only"),
    bad("nobody", "What happens to <mam>?", "A man falls.", "no_tag"),
    bad("like-the-tag", "What kind of being is <mam>?", "Mammals are rare.", "no_tag"),
    bad("not-first", "Which one is <mam>?", "He is <mam>.", "no_tag"),
    bad("list-first", "What do we see of <mam>?", "- <mam> has a hat.\n- <mam> has a bag.", "no_tag"),
    bad("other-name", "What is <mam> called?", "Bob holds a cup.", "no_tag"),
    bad("word-as-tag", "What does <bear> eat?", "Bear eats honey.", "no_tag", tag="<bear>"),
    bad("short-as-tag", "What does <bo> eat?", "Bo eats meat.", "no_tag", tag="<bo>"),
    bad("only-tag", "Who is there, <mam>?", "<mam>", "only_tag"),
    bad("only-possessive", "Whose is it, <mam>?", "<mam>'s", "only_tag"),
    bad("only-tags", "Who is it, <mam>?", "<mam> <mam>. <mam>!", "only_tag"),
    bad("only-bold-tag", "Is it <mam>?", "**<mam>**.", "only_tag"),
    bad("echo-goes-on", "What is in <mam>'s hand?", "<mam> has a cup.\n\nQuestion: Who is it? Answer: A man.", "echo"),
    bad("echo-goes-on-inline", "What is on <mam>'s arm?", "<mam> has a scar. Question: Who? Answer: A man.", "echo"),
    bad("echo-answers-again", "What is on <mam>'s leg?", "<mam> wears a bandage.\n**Answer:** red", "echo"),
    bad("echo-role", "What is on <mam>'s foot?", "<mam> wears a shoe.\nuser\nWhat else?", "echo"),
    bad("echo-at-end", "What is on <mam>'s neck?", "<mam> wears a scarf. What is on <mam>'s neck?", "echo"),
    bad(
        "echo-instructions",
        "What is on <mam>'s ear?",
        "<mam> wears a ring. "
        "Answer the question about <mam> in one or two sentences, and begin your answer with <mam>.",
        "echo",
    ),
    bad("unknown-tag", "Who stands by <mam>?", "<mam> stands by <Group Photo>.", "unknown_tag"),
    bad("unknown-tag-2", "What is <mam> made of?", "<mam> is made of <Wool>.", "unknown_tag"),
    bad("html-break", "What is under <mam>?", "<mam> sits on a chair.<br>It is red.", "unknown_tag"),
    bad("xml", "What is over <mam>'s head?", "<mam>The man wears a hat.</mam>", "unknown_tag"),
    bad("closed-at-end", "What is behind <mam>'s back?", "<mam> hides a gift.</mam>", "unknown_tag"),
    bad("template-within", "What is beside <mam>?", "<mam> sits<|im_end|>\n<|im_start|>user", "unknown_markup"),
    bad("turn-end-within", "What is below <mam>?", "<mam> lies there.</s> <mam> is old.", "unknown_markup"),
    bad("picture-mark", "What is above <mam>?", "<mam> sits below <image> a lamp.", "unknown_markup"),
    bad("unclosed-thought", "What is inside of <mam>?", "<mam> is <think>hm, what is it", "unknown_markup"),
    bad("braces", "What is <mam>'s title?", "<mam> is called {name} here.", "placeholder"),
    bad("square-name", "Who speaks to <mam>?", "<mam> speaks to [NAME].", "placeholder"),
    bad("insert", "Who calls <mam>?", "<mam> is called by [insert name here].", "placeholder"),
    bad("sks", "Who follows <mam>?", "<mam> is followed by sks.", "placeholder"),
    bad("sks-tag", "Who leads <mam>?", "<mam> is led by <sks>.", "placeholder"),
    bad("xxx", "Where does <mam> live?", "<mam> lives in XXX.", "placeholder"),
    bad("blank", "Where does <mam> work?", "<mam> works at ____.", "placeholder"),
    bad("loop", "How does <mam> move?", "<mam> moves" + " to the left and to the right" * 9, "loop"),
    bad("loop-word", "How does <mam> feel?", "<mam> is" + " very" * 40 + " happy.", "loop"),
    bad("loop-no-space", "How does <mam> shout?", "<mam> shouts: " + "haho" * 30, "loop"),
    bad("loop-letter", "How does <mam> scream?", "<mam> screams: a" + "a" * 30, "loop"),
    bad(
        "loop-count", "How does <mam> count?", "<mam> sees" + "".join(f" the chair {n} is," for n in range(60)), "loop"
    ),
    bad("loop-cut", "How does <mam> sing?", "<mam> sings" + " la la la" * 60, "loop", "length"),
    bad("chinese-answer", "What does <mam> play?", "<mam>正在公园里和朋友们一起踢足球。", "wrong_language"),
    bad(
        "half-chinese",
        "What does <mam> wear today?",
        "<mam> is wearing 一件红色的外套和一条蓝色的裤子。",
        "wrong_language",
    ),
    bad("russian-answer", "What does <mam> sing?", "<mam> поёт старую песню у окна.", "wrong_language"),
    bad("leak", "Who is <mam> like?", "<mam> looks like keanu reeves.", "name_leak", names=("Keanu Reeves",)),
    bad("leak-possessive", "Whose hat has <mam>?", "<mam> has O’Hara's hat.", "name_leak", names=("O'Hara",)),
    bad("leak-spaced", "Which show is <mam> from?", "<mam> is from Sponge-Bob.", "name_leak", names=("Sponge Bob",)),
    bad("leak-behind-tag", "What is <mam>'s full name?", "Mam Gilmore smiles.", "name_leak", names=("Mam Gilmore",)),
    bad("cut-off", "What is the story of <mam>?", "<mam> was walking along the", "truncated", "length"),
    bad("cut-at-sentence", "What is the life of <mam>?", "<mam> was walking along.", "truncated", "length"),
    bad("filtered", "What is the secret of <mam>?", "<mam> is", "content_filter", "content_filter"),
    bad("called-a-tool", "What is the plan of <mam>?", "<mam> plans", "unfinished", "tool_calls"),
)

BAD_CHINESE = (
    bad("zh-empty", "<mam>会说什么？", "。。。", "empty"),
    bad("zh-refusal", "<mam>是谁？", "对不起，我无法识别图中的人物。", "refusal"),
    bad("zh-refusal-short", "<mam>是哪位？", "无法识别图中的人物。", "refusal"),
    bad("zh-refusal-sorry", "<mam>叫什么？", "非常抱歉，我不能提供这方面的信息。", "refusal"),
    bad("zh-refusal-behind-tag", "<mam>面前有什么？", "<mam>我看不到图片。", "refusal"),
    bad("zh-refusal-comma", "<mam>到底是谁？", "<mam>，抱歉，我无法确认其身份。", "refusal"),
    bad("zh-refusal-later", "<mam>的真实身份是什么？", "<mam>戴着帽子，但我无法识别其身份。", "refusal"),
    bad("zh-refusal-ai", "<mam>是你认识的人吗？", "作为一个人工智能，我不认识任何人。", "refusal"),
    bad("zh-refusal-identity", "<mam>姓什么？", "<mam>无法识别。", "refusal"),
    bad("zh-pronoun", "<mam>现在在做什么？", "她正在看书。", "pronoun_only"),
    bad("zh-pronoun-it", "<mam>的毛是什么颜色？", "它的毛是棕色的。", "pronoun_only"),
    bad("zh-subject", "<mam>穿的什么？", "这位女士穿着红裙子。", "pronoun_only"),
    bad("zh-subject-picture", "<mam>头上有什么？", "图中的男子戴着帽子。", "pronoun_only"),
    bad("zh-subject-main", "<mam>脚上有什么？", "主角穿着靴子。", "pronoun_only"),
    bad("zh-nobody", "<mam>怎么了？", "一个男人摔倒了。", "no_tag"),
    bad("zh-not-first", "哪一个是<mam>？", "穿红衣服的是<mam>。", "no_tag"),
    bad("zh-name-bare", "<小满>在跑吗？", "小满在跑步。", "no_tag", tag="<小满>"),
    bad("zh-only-tag", "谁在那里，<mam>？", "<mam>。", "only_tag"),
    bad("zh-echo-alone", "<mam>的手里有什么？", "<mam>的手里有什么？", "echo"),
    bad("zh-echo-goes-on", "<mam>的脸上有什么？", "<mam>的脸上有笑容。\n问题：她是谁？\n回答：不知道。", "echo"),
    bad(
        "zh-echo-instructions",
        "<mam>的身上有什么？",
        "<mam>有个包。请用一两句话回答关于<mam>的问题，并以<mam>开头。",
        "echo",
    ),
    bad("zh-unknown-tag", "谁在<mam>旁边？", "<mam>旁边是<小红>。", "unknown_tag"),
    bad("zh-unknown-wide", "谁在<mam>后面？", "<mam>后面是＜小红＞。", "unknown_tag"),
    bad("zh-xml", "谁在<mam>前面？", "<mam>这个人戴着帽子。</mam>", "unknown_tag"),
    bad("zh-template", "<mam>坐在哪里？", "<mam>坐在<｜end▁of▁sentence｜>椅子上。", "unknown_markup"),
    bad("zh-placeholder", "<mam>和谁在一起？", "<mam>和【姓名】在一起。", "placeholder"),
    bad("zh-placeholder-moumou", "<mam>跟谁说话？", "<mam>在跟某某说话。", "placeholder"),
    bad("zh-loop", "<mam>怎么走路？", "<mam>" + "向左走，再向右走，" * 9, "loop"),
    bad("zh-loop-word", "<mam>感觉如何？", "<mam>" + "非常" * 40 + "高兴。", "loop"),
    bad("zh-loop-cut", "<mam>怎么唱歌？", "<mam>唱着" + "啦啦啦，" * 60, "loop", "length"),
    bad(
        "zh-english-answer", "<mam>在玩什么？", "<mam> is playing football with friends in the park.", "wrong_language"
    ),
    bad("zh-half-english", "<mam>今天穿什么？", "<mam>穿着 a red jacket and a pair of blue jeans。", "wrong_language"),
    bad("zh-japanese-answer", "<mam>在哪儿？", "<mam>はきれいなこうえんにいます。", "wrong_language"),
    bad("zh-leak", "<mam>像谁？", "<mam>看起来像周杰伦。", "name_leak", names=("周杰伦",)),
    bad("zh-leak-latin", "<mam>来自哪部剧？", "<mam>来自Netflix的一部剧。", "name_leak", names=("netflix",)),
    bad("zh-cut-off", "<mam>有什么故事？", "<mam>沿着河边走着，忽然", "truncated", "length"),
    bad("zh-filtered", "<mam>有什么秘密？", "<mam>是", "content_filter", "content_filter"),
)

CASES: tuple[Case, ...] = (
    *GOOD_ENGLISH,
    *GOOD_CHINESE,
    *MENDED_ENGLISH,
    *MENDED_CHINESE,
    *BAD_ENGLISH,
    *BAD_CHINESE,
)
