#!/usr/bin/env python3
"""Measures how a package's code is laid out, and prints one figure per line.

usage: structure.py [FOLDER] [--list]     FOLDER is a package; default: this checkout's persqa_client

The source is parsed and never imported, so any checkout can be measured. ``--list`` adds the places that are counted.

modules             all ``.py`` files, ``__init__.py`` and ``__main__.py`` included
one importer        one module of the package imports the file, at any place in it, ``if TYPE_CHECKING`` included;
                    names that are loaded by a string are not counted, and ``__init__.py`` is left out
one name            a module-level function without a leading underscore, defined in two or more modules
one-word name       a module-level function whose name, leading and trailing underscores aside, has no underscore
docstring words     whitespace-separated words of all strings that stand as statements: docstrings of modules, classes
                    and functions, and strings under attributes and constants
non-blank lines     comments and docstrings included; code lines are those that are neither
parameter list      parameters of a function or method without ``self`` and ``cls``, ``*args`` and ``**kwargs``
                    included. Left out: all in ``cli``, ``dataflow``, ``api`` and ``ray/dataset.py``, and the
                    constructors of the classes in the package's ``__all__``. Fields of dataclasses are a figure of
                    their own
import cycle        a group of modules that reach each other by imports that run when a module is loaded
function lines      from ``def`` to the last line; nested functions count by themselves, too
README bytes        of the ``README.md`` beside the package
"""

from __future__ import annotations

import argparse
import ast
import io
import statistics
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "persqa_client"
SMALL_FILE_LINES = 90
LONG_FUNCTION_LINES = 60
WIDE_PARTS = {"cli", "dataflow", "api"}
# What users call beside the api, with its keyword arguments.
WIDE_FILES = {"ray/dataset.py"}
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """A parsed source file; ``name`` is dotted and starts with the package's name, ``path`` is relative to it."""

    name: str
    path: str
    text: str
    tree: ast.Module

    @property
    def line_count(self) -> int:
        return len(self.text.splitlines())


@dataclass(frozen=True)
class Figure:
    """One line of the table, with the places that it counts."""

    label: str
    value: str
    places: Sequence[str] = ()


def read_modules(package: Path) -> dict[str, Module]:
    modules = {}
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = file.read_text(encoding="utf-8")
        modules[name] = Module(name, file.relative_to(package).as_posix(), text, ast.parse(text))
    return modules


def walk_load_time(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes that run when the module is loaded."""
    for child in ast.iter_child_nodes(node):
        type_checking = isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
        if not isinstance(child, FunctionNode) and not type_checking:
            yield child
            yield from walk_load_time(child)


def imported_modules(module: Module, nodes: Iterator[ast.AST], modules: dict[str, Module]) -> set[str]:
    """The package's modules that the import statements among ``nodes`` name; relative imports are ignored."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules else str(node.module) for name in names}
    return (found & modules.keys()) - {module.name}


def find_cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach each other."""

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        pending = [start]
        while pending:
            found = graph[pending.pop()] - seen
            seen |= found
            pending += found
        return seen

    reach = {name: reachable(name) for name in graph}
    groups = {frozenset(other for other in reach[name] if name in reach[other]) for name in graph}
    return sorted(sorted(group) for group in groups if group)


def find_functions(module: Module) -> Iterator[tuple[str, FunctionNode, str]]:
    """Every function of a module, nested ones included: its name, its node, and the class of a method."""
    classes = [node for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)]
    owners = {item: node.name for node in classes for part in node.body for item in (part, *nested_statements(part))}
    for node in ast.walk(module.tree):
        if isinstance(node, FunctionNode):
            owner = owners.get(node, "")
            yield f"{owner}.{node.name}" if owner else node.name, node, owner


def nested_statements(part: ast.stmt) -> list[ast.stmt]:
    """The statements of a class under ``if TYPE_CHECKING``."""
    return [*part.body, *part.orelse] if isinstance(part, ast.If) else []


def count_parameters(function: FunctionNode, owner: str) -> int:
    count = sum(isinstance(node, ast.arg) for node in ast.iter_child_nodes(function.args))
    is_static = any(ast.unparse(decorator) == "staticmethod" for decorator in function.decorator_list)
    return count - (owner != "" and not is_static)


def count_dataclass_fields(node: ast.ClassDef) -> int:
    """How many fields a dataclass's constructor takes; 0 for other classes."""
    if not any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        return 0
    fields = [item for item in node.body if isinstance(item, ast.AnnAssign)]
    return sum("ClassVar" not in ast.unparse(f.annotation) and "init=False" not in ast.unparse(f) for f in fields)


def exported_names(root: Module) -> set[str]:
    """Strings of the constants in the package's ``__init__.py``: the names in ``__all__``, however it is made."""
    assignments = [node for node in root.tree.body if isinstance(node, ast.Assign)]
    constants = [node for assignment in assignments for node in ast.walk(assignment) if isinstance(node, ast.Constant)]
    return {str(node.value) for node in constants}


def count_all_parameters(modules: dict[str, Module]) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Parameters of functions and fields of dataclasses, each with its place, most first."""
    exported = exported_names(next(iter(modules.values())))
    functions, dataclasses = [], []
    for module in modules.values():
        if WIDE_PARTS & set(module.name.split(".")[1:2]) or str(module.path) in WIDE_FILES:
            continue
        for name, function, owner in find_functions(module):
            if not (owner in exported and function.name == "__init__"):
                functions.append((count_parameters(function, owner), f"{module.path} {name}"))
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef) and node.name not in exported:
                dataclasses.append((count_dataclass_fields(node), f"{module.path} {node.name}"))
    return sorted(functions, reverse=True), sorted(dataclasses, reverse=True)


def docstrings(module: Module) -> list[ast.Constant]:
    values = [node.value for node in ast.walk(module.tree) if isinstance(node, ast.Expr)]
    return [value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)]


def count_code_lines(module: Module) -> int:
    """Lines that are neither blank, nor only a comment, nor part of a docstring."""
    ignored = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type not in ignored:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in docstrings(module):
        lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def measure_files(modules: dict[str, Module], readme: Path) -> list[Figure]:
    files = modules.values()
    importers: dict[str, list[str]] = defaultdict(list)
    for module in files:
        for name in imported_modules(module, ast.walk(module.tree), modules):
            importers[name].append(module.path)
    lone = [m for m in files if len(importers[m.name]) == 1 and not m.path.endswith("__init__.py")]
    small = [f"{m.path} ({m.line_count}) <- {importers[m.name][0]}" for m in lone if m.line_count < SMALL_FILE_LINES]
    cycles = find_cycles({m.name: imported_modules(m, walk_load_time(m.tree), modules) for m in files})
    words = Counter({m.path: sum(len(str(text.value).split()) for text in docstrings(m)) for m in files})
    non_blank = sum(bool(line.strip()) for module in files for line in module.text.splitlines())
    code = sum(count_code_lines(module) for module in files)
    total = words.total()
    return [
        Figure("modules", str(len(files))),
        Figure("lines", str(sum(module.line_count for module in files))),
        Figure("code lines", str(code)),
        Figure("median lines of a file", f"{statistics.median(module.line_count for module in files):g}"),
        Figure(f"files under {SMALL_FILE_LINES} lines with one importer", str(len(small)), small),
        Figure("import cycles", str(len(cycles)), [" <-> ".join(cycle) for cycle in cycles]),
        Figure("docstring words", str(total), [f"{path}: {count}" for path, count in words.most_common(20)]),
        Figure("docstring words per 100 non-blank lines", f"{100 * total / non_blank:.0f}"),
        Figure("docstring words per 100 code lines", f"{100 * total / code:.0f}"),
        Figure("README bytes", str(readme.stat().st_size) if readme.is_file() else "none"),
    ]


def measure_functions(modules: dict[str, Module]) -> list[Figure]:
    top_level = [(n.name, m.path) for m in modules.values() for n in m.tree.body if isinstance(n, FunctionNode)]
    homes: dict[str, set[str]] = defaultdict(set)
    for name, path in top_level:
        if not name.startswith("_"):
            homes[name].add(path)
    shared = [f"{name}: {', '.join(sorted(paths))}" for name, paths in sorted(homes.items()) if len(paths) > 1]
    one_word = [f"{path} {name}" for name, path in top_level if "_" not in name.strip("_")]
    every = [(f"{m.path} {name}", node) for m in modules.values() for name, node, _ in find_functions(m)]
    nodes = [(place, node) for place, function in every for node in ast.walk(function)]
    inner_imports = [f"{at}, line {n.lineno}" for at, n in nodes if isinstance(n, ast.Import | ast.ImportFrom)]
    lengths = sorted(((1 + (n.end_lineno or n.lineno) - n.lineno, place) for place, n in every), reverse=True)
    long_ones = [f"{length} {place}" for length, place in lengths if length > LONG_FUNCTION_LINES]
    parameters, fields = count_all_parameters(modules)
    return [
        Figure("public functions under one name in several modules", str(len(shared)), shared),
        Figure("module-level functions", str(len(top_level))),
        Figure("of these, with a one-word name", f"{len(one_word) / max(1, len(top_level)):.0%}", one_word),
        Figure("longest parameter list", "{}  {}".format(*parameters[0]), [f"{n} {at}" for n, at in parameters[:10]]),
        Figure("most fields of a dataclass", "{}  {}".format(*fields[0]), [f"{n} {at}" for n, at in fields[:10]]),
        Figure("imports inside functions", str(len(inner_imports)), inner_imports),
        Figure("longest function", "{}  {}".format(*lengths[0])),
        Figure(f"functions over {LONG_FUNCTION_LINES} lines", str(len(long_ones)), long_ones),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures how a package's code is laid out.")
    parser.add_argument("folder", nargs="?", type=Path, default=PACKAGE, help="the package (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="list the places that each figure counts")
    options = parser.parse_args()
    package = options.folder.resolve()
    if not (package / "__init__.py").is_file():
        parser.error(f"{options.folder} is not a package: it has no __init__.py")
    modules = read_modules(package)
    for figure in measure_files(modules, package.parent / "README.md") + measure_functions(modules):
        print(f"{figure.label:<52}{figure.value}")
        for place in figure.places if options.list else ():
            print(f"    {place}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
