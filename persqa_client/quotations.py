"""Text that an answer quotes: signs, books, screens and speech. It is not the answer's own."""

from __future__ import annotations

import re

QUOTATION = (
    r'"[^"\n]*"|“[^”\n]*”|「[^」\n]*」|『[^』\n]*』|«[^»\n]*»|`[^`\n]*`|(?<![\w>])[\'‘][^\'‘’\n]{1,80}[\'’](?!\w)'
)
QUOTATIONS = re.compile(QUOTATION)


def remove_quotations(text: str) -> str:
    return QUOTATIONS.sub(" ", text)
