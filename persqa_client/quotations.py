"""Text that an answer quotes: signs, books, screens and speech. It is not the answer's own."""

from __future__ import annotations

import re

QUOTATION = (
    r'"[^"\n]*"|“[^”\n]*”|„[^“”\n]*[“”]|「[^」\n]*」|『[^』\n]*』|«[^»\n]*»|`[^`\n]*`'
    # A Korean particle may follow directly.
    r"|(?<![\w>])['‘][^'‘’\n]{1,80}['’](?![^\W\uac00-\ud7af])"
)
QUOTATIONS = re.compile(QUOTATION)


def remove_quotations(text: str) -> str:
    return QUOTATIONS.sub(" ", text)
