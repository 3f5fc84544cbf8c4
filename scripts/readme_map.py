#!/usr/bin/env python3
"""Keeps the README's map of files true: each module with the first sentence of its docstring.

usage: readme_map.py [--check]    writes the map, or only says (exit 1) that it is out of date
"""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PACKAGE = ROOT / "persqa_client"
BEGIN, END = "<!-- map: begin -->", "<!-- map: end -->"
FOLDERS = ["", "inputs", "chat", "outputs", "engines", "simulator", "serving", "cli"]


def first_sentence(path: Path) -> str:
    """The module's job, without the remark on what it touches."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(text.split("\n\n")[0].split())
    return paragraph.split(". ")[0].rstrip(".")


def section(folder: str) -> list[str]:
    place = PACKAGE / folder
    modules = sorted(path for path in place.glob("*.py") if path.name not in {"__init__.py", "__main__.py"})
    title = f"**`persqa_client/{folder}{'/' if folder else ''}`** {first_sentence(place / '__init__.py')}."
    return [title, "", *(f"- `{path.name}`: {first_sentence(path)}" for path in modules), ""]


def main() -> int:
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    lines = [line for folder in FOLDERS for line in section(folder)]
    fresh = f"{before}{BEGIN}\n" + "\n".join(lines) + f"{END}{after}"
    if fresh == text:
        return 0
    if "--check" in sys.argv:
        print("The README's map of files is out of date: run scripts/readme_map.py", file=sys.stderr)
        return 1
    README.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
