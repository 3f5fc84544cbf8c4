"""The names that a package defines, read from its source, and those that a README mentions."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from tests.support.readmes import FENCE, INLINE_CODE

DOTTED_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
FILE_SUFFIXES = frozenset(("csv", "jpg", "json", "jsonl", "log", "md", "parquet", "py", "sh", "toml", "txt"))


def dotted_names_in(text: str) -> set[str]:
    """``module.function`` and the like in backquotes, without arguments; not the names of files."""
    codes = (match[2].partition("(")[0] for match in INLINE_CODE.finditer(FENCE.sub("", text)))
    names = {code for code in codes if DOTTED_NAME.fullmatch(code)}
    return {name for name in names if name.rpartition(".")[2] not in FILE_SUFFIXES}


class PackageNames:
    """Modules by their dotted name below the package, such as ``images.loader``."""

    def __init__(self, package: Path) -> None:
        self._package = package
        self._modules = {
            ".".join(path.relative_to(package).with_suffix("").parts).removesuffix(".__init__"): path
            for path in package.rglob("*.py")
        }
        self._classes: defaultdict[str, set[str]] = defaultdict(set)
        self._top = {name: set(self._read(path)) for name, path in self._modules.items()}

    def _read(self, path: Path) -> Iterator[str]:
        """The names at the top of a module. Its classes are read on the way."""
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for node in body:
            if isinstance(node, ast.ClassDef):
                self._classes[node.name] |= set(members_of(node))
            yield from names_bound_by(node)

    @cached_property
    def _by_last_part(self) -> dict[str, list[str]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for name in self._modules:
            found[name.rpartition(".")[2]].append(name)
        return found

    def has(self, name: str) -> bool:
        """Whether a module, a name in it or a member of a class has this name; a module may lack its folder."""
        parts = name.removeprefix(f"{self._package.name}.").split(".")
        for length in range(len(parts), 0, -1):
            module, rest = ".".join(parts[:length]), parts[length:]
            candidates = [module] if module in self._modules else self._by_last_part.get(module, [])
            if any(not rest or (rest[0] in self._top[each] and self._has_member(rest)) for each in candidates):
                return True
        return parts[0] in self._classes and self._has_member(parts)

    def _has_member(self, parts: list[str]) -> bool:
        return len(parts) == 1 or (len(parts) == 2 and parts[1] in self._classes.get(parts[0], ()))


def names_bound_by(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Assign(targets=targets):
            yield from names_in_targets(targets)
        case ast.AnnAssign(target=target):
            yield from names_in_targets([target])
        case ast.ImportFrom(names=names) | ast.Import(names=names):
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in names)


def members_of(node: ast.ClassDef) -> Iterator[str]:
    for each in node.body:
        yield from names_bound_by(each)
    for child in ast.walk(node):
        if isinstance(child, ast.Attribute) and isinstance(child.ctx, ast.Store):
            yield child.attr


def names_in_targets(targets: Iterable[ast.expr]) -> Iterator[str]:
    for target in targets:
        yield from (child.id for child in ast.walk(target) if isinstance(child, ast.Name))
