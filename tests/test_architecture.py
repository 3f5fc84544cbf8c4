"""The structure of the package: each room imports from itself and from the rooms below it only."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import persqa_client

PACKAGE = Path(persqa_client.__file__).parent
README = (PACKAGE / "README.md").read_text(encoding="utf-8")
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))

ROOT_MODULES = frozenset(
    (
        "addresses.py",
        "argument_names.py",
        "config.py",
        "errors.py",
        "extras.py",
        "function_words.py",
        "json_members.py",
        "jsonl.py",
        "keys.py",
        "language.py",
        "lazy_pattern.py",
        "outcomes.py",
        "quotations.py",
        "task_groups.py",
        "suggestions.py",
        "terminals.py",
        "types.py",
        "urls.py",
        "validation.py",
        "word_search.py",
    )
)
MAY_IMPORT: dict[str, frozenset[str]] = {
    "root": frozenset(),
    "answers": frozenset({"root"}),
    "stores": frozenset({"root"}),
    "images": frozenset({"root", "stores"}),
    "questions": frozenset({"root", "images"}),
    "inputs": frozenset({"root", "questions", "images", "stores"}),
    "storage": frozenset({"root", "answers"}),
    "limits": frozenset({"root", "images"}),
    "client": frozenset({"root", "images", "limits"}),
    "endpoints": frozenset({"root", "images", "limits", "client"}),
    "fetching": frozenset({"root", "images", "client", "stores"}),
    "probing": frozenset({"root", "images", "limits", "client", "endpoints"}),
    "engines": frozenset({"root", "inputs", "storage"}),
    "vllm_server": frozenset({"root", "endpoints"}),
    "simulator": frozenset({"root"}),
}
LOWER = frozenset(MAY_IMPORT)
MAY_IMPORT["run"] = LOWER - {"simulator"}
MAY_IMPORT["api"] = MAY_IMPORT["run"] | {"run", "report", "formats"}
MAY_IMPORT["report"] = frozenset({"root", "images", "inputs", "storage", "run"})
MAY_IMPORT["records"] = frozenset({"root", "storage", "run", "report"})
MAY_IMPORT["formats"] = frozenset({"root", "images", "inputs", "storage", "records", "stores"})
MAY_IMPORT["dataflow"] = MAY_IMPORT["run"] | {"run", "api"}
MAY_IMPORT["ray"] = MAY_IMPORT["run"] | {"run", "api"}
MAY_IMPORT["cli"] = LOWER | {"run", "api", "report", "formats", "ray"}
MAY_IMPORT["entry"] = MAY_IMPORT["cli"] | {"cli", "dataflow"}


def room_of(module: str) -> str:
    folder, _, name = module.rpartition("/")
    if folder:
        return folder.split("/")[0]
    if name in ROOT_MODULES:
        return "root"
    return "entry" if name.startswith("__") else name.removesuffix(".py")


def imported_modules(module: str) -> set[str]:
    """Modules of the package that a module imports when it is loaded, by path."""
    found: set[str] = set()
    for node in ast.parse((PACKAGE / module).read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("persqa_client"):
            path = (node.module or "").removeprefix("persqa_client").strip(".").replace(".", "/")
            names = [f"{path}.py"] if path else ["__init__.py"]
            names += [f"{path}/{alias.name}.py".lstrip("/") for alias in node.names]
            found |= {name for name in names if name in MODULES}
    return found


def test_rooms_import_downhill_only() -> None:
    offenders = [
        f"{module} imports {other}"
        for module in MODULES
        for other in imported_modules(module)
        if other != "__init__.py"
        and room_of(other) != room_of(module)
        and room_of(other) not in MAY_IMPORT[room_of(module)]
    ]
    assert offenders == []


def test_the_readme_says_what_each_room_imports() -> None:
    rows = re.findall(r"^\| (?:\[)?`(\w+)/?`[^|]*\|[^|]*\| ?([^|]*)\|$", README, re.MULTILINE)
    stated = {room: imports for room, imports in rows if room in MAY_IMPORT}
    assert stated.keys() == MAY_IMPORT.keys() - {"root", "entry"}
    run = MAY_IMPORT["run"]
    for room, imports in stated.items():
        if room == "run":
            assert imports.strip() == "all folders above but `simulator`"
            continue
        named = frozenset(re.findall(r"`(\w+)`", imports)) | {"root"} | (run | {"run"} if "run's" in imports else set())
        assert named == MAY_IMPORT[room], room


def test_every_module_has_a_docstring() -> None:
    assert [module for module in MODULES if not ast.get_docstring(ast.parse((PACKAGE / module).read_text()))] == []


def test_there_is_no_import_cycle() -> None:
    graph = {module: imported_modules(module) - {"__init__.py"} for module in MODULES}
    done: set[str] = set()
    cycles: list[str] = []

    def visit(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            cycles.append(" -> ".join((*path[path.index(module) :], module)))
        elif module not in done:
            for other in sorted(graph[module]):
                visit(other, (*path, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())
    assert cycles == []
