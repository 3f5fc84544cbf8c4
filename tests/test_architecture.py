"""The picture of the package, held true: who may import whom."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import persqa_client

PACKAGE = Path(persqa_client.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))

LAYERS = [
    ("collector.py", "errors.py", "types.py", "jsonl.py", "language.py", "portal.py"),
    ("addresses.py",),
    ("config.py",),
    ("endpoints.py",),
    ("inputs", "chat", "outputs"),
    ("pipeline.py", "plan.py", "summary.py"),
    ("engines",),
    ("runs.py",),
    ("attending.py", "progress.py"),
    ("api.py", "serving"),
    ("cli", "dataflow", "__init__.py"),
    ("__main__.py",),
]
"""From the bottom up; a module imports from its own folder or from below."""

ALLOWED = {("plan.py", "pipeline.py")}
STRANGERS = ("inputs", "chat", "outputs")


def home(module: str) -> str:
    return module.split("/")[0]


def layer(module: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if home(module) in names)


def imports(module: str) -> set[str]:
    """Modules of the package that a module imports when it is loaded, by path."""
    found: set[str] = set()
    for node in ast.parse((PACKAGE / module).read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("persqa_client"):
            path = (node.module or "").removeprefix("persqa_client").strip(".").replace(".", "/")
            names = [f"{path}.py"] if path else []
            names += [f"{path}/{alias.name}.py".lstrip("/") for alias in node.names]
            found |= {name for name in names if name in MODULES}
    return found


@pytest.mark.parametrize("module", [name for name in MODULES if home(name) != "simulator"])
def test_imports_flow_downhill(module: str) -> None:
    for other in imports(module):
        same_home = home(other) == home(module)
        assert same_home or (module, other) in ALLOWED or layer(other) < layer(module), f"{module} imports {other}"


@pytest.mark.parametrize("module", [name for name in MODULES if home(name) in STRANGERS])
def test_the_three_acts_are_strangers(module: str) -> None:
    assert {home(other) for other in imports(module)} & set(STRANGERS) <= {home(module)}


@pytest.mark.parametrize("module", [name for name in MODULES if home(name) == "simulator"])
def test_the_simulator_knows_nothing_of_the_client(module: str) -> None:
    assert {home(other) for other in imports(module)} <= {"simulator", "errors.py"}


@pytest.mark.parametrize("module", MODULES)
def test_every_module_opens_with_what_it_does(module: str) -> None:
    assert ast.get_docstring(ast.parse((PACKAGE / module).read_text()))


def test_there_is_no_import_cycle() -> None:
    graph = {module: imports(module) for module in MODULES}
    done: set[str] = set()

    def walk(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for other in graph[module]:
                walk(other, (*path, module))
            done.add(module)

    for module in MODULES:
        walk(module, ())
