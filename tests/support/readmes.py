"""Reads the repository's READMEs: links, anchors, tables, the flags they name, and the blocks that can be run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL)
RUN_MARK = re.compile(r"<!-- run -->\s*\Z")
HTML_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
INLINE_CODE = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
HEADING = re.compile(r"^#{1,6} +(.+?) *#* *$", re.MULTILINE)
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s*(\S+)|(?:href|src|srcset)=\"([^\"]+)\"", re.MULTILINE)
HTML_ANCHOR = re.compile(r"<\w+[^>]*\b(?:id|name)=\"([^\"]+)\"")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
TABLE_DELIMITER = re.compile(r"\|(?: *:?-+:? *\|)+")
# Also within code, where Markdown of GitHub ends a cell, too.
CELL_END = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Block:
    """A fenced block. ``line`` is that of its fence; ``runs``: the comment ``<!-- run -->`` stands right before it."""

    language: str
    text: str
    line: int
    runs: bool


def find_readmes(root: Path, pattern: str = "README*.md") -> list[Path]:
    """All such files of the repository, outside folders that begin with a dot."""
    paths = (path.relative_to(root) for path in root.rglob(pattern))
    hidden_or_built = ("build", "dist", "node_modules")
    return sorted(p for p in paths if not any(part[0] == "." or part in hidden_or_built for part in p.parts))


def blocks_of(text: str) -> list[Block]:
    return [
        Block(
            language=match["language"],
            text=re.sub(f"^{match['indent']}", "", match["text"], flags=re.MULTILINE),
            line=text.count("\n", 0, match.start()) + 1,
            runs=RUN_MARK.search(text, 0, match.start()) is not None,
        )
        for match in FENCE.finditer(text)
    ]


def without_code(text: str) -> str:
    return INLINE_CODE.sub("", FENCE.sub("", HTML_COMMENT.sub("", text)))


def anchors_of(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings, and those written as HTML."""
    anchors = set(HTML_ANCHOR.findall(text))
    seen: dict[str, int] = {}
    for heading in HEADING.findall(FENCE.sub("", HTML_COMMENT.sub("", text))):
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
        anchor = re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")
        number = seen.get(anchor, 0)
        seen[anchor] = number + 1
        anchors.add(f"{anchor}-{number}" if number else anchor)
    return anchors


def broken_links(root: Path, readme: Path) -> list[str]:
    """Relative links of a README that lead to no file of the repository, or to no heading of it."""
    text = (root / readme).read_text(encoding="utf-8")
    broken = []
    for groups in LINK.findall(without_code(text)):
        link = "".join(groups)
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (root / readme.parent / name).resolve() if name else root / readme
        if not target.exists() or not target.is_relative_to(root.resolve()):
            broken.append(f"{readme}: {link} (no such file)")
        elif anchor and (target.suffix != ".md" or anchor not in anchors_of(target.read_text(encoding="utf-8"))):
            broken.append(f"{readme}: {link} (no such heading)")
    return broken


def broken_table_rows(text: str) -> list[int]:
    """The numbers of the lines in tables that are not a whole row: in one line, and with the cells of the table."""
    without_blocks = FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)
    lines = ["", *map(str.strip, without_blocks.splitlines()), ""]
    broken, ends = [], 0  # the number of marks in a row of the table; 0 outside of tables
    for number, line in enumerate(lines[:-1]):
        if not line:
            ends = 0
        elif not ends and TABLE_DELIMITER.fullmatch(lines[number + 1]):
            ends = len(CELL_END.findall(lines[number + 1]))
        if line and (ends or line[0] == "|"):
            is_row = line[0] == line[-1] == "|" and len(CELL_END.findall(line)) == ends
            broken += [] if is_row else [number]
    return broken


def flags_in(text: str) -> set[str]:
    return set(FLAG.findall(HTML_COMMENT.sub("", text)))


def commands_in(text: str) -> Iterator[list[str]]:
    """The words of each ``persqa …`` command in code, inline or in a block; words in quotes are one word."""
    code = [block.text for block in blocks_of(text) if block.language in {"bash", "sh", "console", ""}]
    code += [match[1] for match in INLINE_CODE.findall(FENCE.sub("", HTML_COMMENT.sub("", text)))]
    for snippet in code:
        for line in re.sub(r"\\\n", " ", snippet).splitlines():
            try:
                words = shlex.split(line, comments=True)
            except ValueError:
                continue
            for place, word in enumerate(words):
                if Path(word).name == "persqa":
                    yield words[place + 1 :]
