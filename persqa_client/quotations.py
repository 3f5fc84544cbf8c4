"""Finds the parts of an answer that are text of the picture: signs, books, screens, speech and code. They are no
evidence about the answer itself.
"""

from __future__ import annotations

import re
from functools import lru_cache

from persqa_client.lazy_pattern import compile_lazily
from persqa_client.word_search import search_words, split_at_blanks

# In quotation marks of all kinds, in code marks, or as a title. German quotations close with an English opening mark.
# The bounds keep the search of unclosed marks short. Each alternative begins with a literal: ``re`` skips to it.
QUOTATION = (
    r'„[^“”"\n]{0,400}[“”"]|"[^"\n]*"|“[^”\n]{0,400}”|「[^」\n]{0,400}」|『[^』\n]{0,400}』|«[^»\n]{0,400}»|»[^«»\n]{0,400}«|‹[^›\n]{0,400}›'
    r"|《[^》\n]{0,400}》|```[\s\S]{0,2000}?```|`[^`\n]*`"
    + "".join(
        # A Korean particle may follow directly.
        rf"|{opening}(?<![\w>].)[^'‘’\n]{{1,80}}['’](?![^\W\uac00-\ud7af])"
        for opening in "'‘"
    )
)
QUOTATIONS = compile_lazily(QUOTATION)

NO_INSCRIPTION = (
    r"(?! (?:on|in|is|are|that|which|you|count|was|were|does|do|has|have|provided|given|may|can"
    r"|nicht|wurde|wird|ist)\b)"
)
CLAUSE = r"(?:[^.!?。！？;；\n]|\.(?=\w))*"
# "Reads a book", "says to begin" are no inscriptions; "reads The End" is one.
# What follows these words is written on something, up to the end of the clause; after a colon, of the line. Right after
# the tag, they are what the character does: "<mam> reads a book".
THING = r"(?-i:an?|the|this|that|his|her|their|its|some|one|to|from|about|for|if|whether|aloud)\b|[\u3040-\u30ff]"
ON_THING = r"(?:on|across) (?:the|an?|his|her|their|its)\b"
ENGLISH_WORDS = "reads|says|said|saying|asks|asking|spells|inscribed|labell?ed|(?:en)?titled|captioned|written"
ENGLISH_NOUNS = "words?|letters|lettering|text|slogan|phrase|inscription|caption"
ENGLISH_INSCRIPTION = (
    rf"(?<!> )(?<!\w)(?:{ENGLISH_WORDS}|(?<!is )(?<!are )(?<!was )(?<!were )reading|printed with"
    rf"|(?:{ENGLISH_NOUNS}){NO_INSCRIPTION}) (?!by\b|in\b|of\b|{ON_THING}|{THING})" + CLAUSE
)
CHINESE_WORDS = (
    r"(?:[写寫印刻绣繡标標](?:着|著|有|的是|了|道)|[显顯]示(?:着|著|的是|为|為)?|唱着?|名[为為]|[题題][为為]|上[书書])"
)
CHINESE_INSCRIPTION = CHINESE_WORDS + r"[^。！？\n]*"
# Words of writing and speech that a colon may follow, in each language.
WRITING = (
    r"(?<!\w)(?:read|say|ask|shout|sa(?:id|ing)|wr(?:ite|itten|iting)|letter|word|text|sign|label|slogan"
    r"|dic(?:e|iendo)|deci[rn]|pregunt|piensa|pensar|pone|reza|lee|escrit|texto|frase|letrero|cartel"
    r"|lit|di(?:t|re|sant)\b|demande|(?<!je )pense|indique|écrit|inscription|texte|panneau|affiche"
    r"|steht|lautet|sag(?:t|en)\b|frag(?:t|en)\b|denkt|ruft|geschrieben|aufschrift|schild"
    r"|text|diz|pergunt|pensa|lê-se|escrev|placa|cartaz|(?<!i )thinks?|thinking|wonder|beg"
    r"|написано|надпись|гласит|говорит|спрашива|дума[ею]т|подумать|сказать|пишет"
    r"|مكتوب|كُتب|كتب|تقول|يقول|عبارة|يفكر|يتساءل|يسأل)"
    r"|[写寫印喊唱念]|[说說](?!明)|(?<=[\u4e00-\u9fff])[问問](?![题題])|(?<![我你您])想|字|書|と言|쓰여|적혀|적힌|쓰인|문구"
)
AFTER_COLON = rf"(?:{WRITING})[^.!?。！？:：\n]{{0,30}}[:：](?=\s*\S)[^\n]*"
# "Press the red button, it says." and "Back soon, says the note on the door."
SPEAKER = r"(?:it|(?:the|a) \w+(?: \w+)?) (?:says|reads)|(?:says|reads) (?:the|a) [^.!?\n]{0,200}"
ATTRIBUTED = rf"(?:(?<=[.!?]\s)|^)[^.!?\n]{{0,400}}, (?:{SPEAKER})(?=[.!?]|$)"
INSCRIPTIONS = compile_lazily(
    "|".join((AFTER_COLON, ENGLISH_INSCRIPTION, CHINESE_INSCRIPTION, ATTRIBUTED)), re.IGNORECASE
)
# An inscription has a colon, or one of these. English words end before a blank.
INSCRIPTION_WORDS = search_words(
    rf"(?<!\w)(?:{ENGLISH_WORDS}|reading|printed|{ENGLISH_NOUNS})(?!\S)|(?<!\S)(?:says|reads)"
)
CHINESE_INSCRIPTION_WORDS = compile_lazily(CHINESE_WORDS)
# In Japanese and Korean, the word of writing comes behind. Each alternative begins with a literal.
WORDS_BEHIND = compile_lazily(r"と(?:書|記|表示|印|描)|って(?:書|記|表示|印|描)|(?:이라고|라고) ?(?:쓰|적|표시|인쇄)")
BEFORE_WORD = compile_lazily(rf"[A-Za-z0-9][A-Za-z0-9 !?'&.,\-]{{0,80}}(?={WORDS_BEHIND.pattern})")


def remove_marked(text: str) -> str:
    """The text without what stands in quotation or code marks."""
    return QUOTATIONS.sub(" ", text)


@lru_cache(maxsize=256)
def remove_quotations(text: str) -> str:
    """The text without the picture's words."""
    return remove_inscriptions(remove_marked(text))


def remove_inscriptions(text: str) -> str:
    """The text without what words of writing and speech introduce."""
    if may_have_inscription(text):
        text = INSCRIPTIONS.sub(" ", text)
    return BEFORE_WORD.sub(" ", text) if not text.isascii() and WORDS_BEHIND.search(text) else text


def may_have_inscription(text: str) -> bool:
    if ":" in text or "：" in text or (" " in text and INSCRIPTION_WORDS.is_in(split_at_blanks(text))):
        return True
    return not text.isascii() and CHINESE_INSCRIPTION_WORDS.search(text) is not None


# Words of sentences about source code, keys and screens, where <div> and <Enter> are the picture's words.
CODE_CONTEXT = compile_lazily(
    r"(?<!\w)(?:html|xml|css|api|code|coding|source|editor|terminal|program\w*|script|markup|element|screens?|monitor|laptop"
    r"|web ?page|tags|keys?|keyboard|press(?:es|ed|ing)?|type[sd]?|typing|quellcode|bildschirm|taste\w*|tippt|drückt"
    r"|touche|écran|balises?|appuie|código|tecla\w*|pantalla|tela|etiquetas?|pulsa|код\w*|тег\w*|клавиш\w*|экран\w*"
    r"|монитор\w*)(?!\w)"
    r"|代码|代碼|程式|程序|屏幕|螢幕|编辑器|标签|網頁|网页|键|鍵|按下|按了|コード|画面|キー|タグ|코드|화면|키를|키보드|태그|شاشة|وسم|وسوم|برمج|مفتاح|شيفرة|كود",
    re.IGNORECASE,
)


def is_about_code(text: str) -> bool:
    return CODE_CONTEXT.search(text) is not None
