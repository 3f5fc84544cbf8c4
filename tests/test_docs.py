"""The READMEs are true: their links, flags, sizes, names of the code, and the commands and programs that they show."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from persqa_client.cli.main import app
from persqa_client.inputs.rows import parse_line
from persqa_client.simulator.server import SimSettings, run_simulator
from persqa_client.types import Row
from tests.goldens.surfaces import iterate_commands
from tests.support.code_names import PackageNames, dotted_names_in
from tests.support.commands import make_program, python
from tests.support.readmes import (
    anchors_of,
    blocks_of,
    broken_links,
    broken_table_rows,
    commands_in,
    find_readmes,
    flags_in,
)

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "persqa_client" / "samples"
READMES = find_readmes(ROOT)
TOP_README_MAX_BYTES = 12_288

# What the READMEs say of other people's commands.
VLLM_FLAGS = {
    "--allowed-local-media-path",
    "--enforce-eager",
    "--max-num-seqs",
    "--served-model-name",
    "--trust-request-mm-kwargs",
}
OTHER_FLAGS = {"--head", "--depth", "--upgrade", "--help", "--version", "--install-completion", "--show-completion"}

# Names of hosts, of fields in files, and of other people's code.
OTHER_NAMES = {
    "FinishReason.STOP",
    "PIL.Image.fromarray",
    "api.openai.com",
    "asyncio.run",
    "counts.doubtful",
    "counts.doubts",
    "counts.verification",
    "datasets.Image",
    "datasets.yaml",
    "error.metadata.raw",
    "ray.data.llm",
    "line.encode",
    "serving.failures",
}
# Begins the names of the files in the examples.
EXAMPLE_OUTPUT = "qa."

README_ADDRESS = "http://127.0.0.1:8000/v1"
README_MODEL = "Qwen/Qwen2.5-VL-3B-Instruct"


def read(readme: Path) -> str:
    return (ROOT / readme).read_text(encoding="utf-8")


def test_the_top_readme_is_short() -> None:
    assert (ROOT / "README.md").stat().st_size <= TOP_README_MAX_BYTES


def test_the_chinese_page_has_the_content_of_the_readme() -> None:
    english, chinese = read(Path("README.md")), read(Path("persqa_client/README.zh.md"))
    for pattern in (r"^#+ ", r"^\| ", r"^```", r"^- "):
        assert len(re.findall(pattern, chinese, re.MULTILINE)) == len(re.findall(pattern, english, re.MULTILINE)), (
            pattern
        )
    assert flags_in(chinese) == flags_in(english)
    for language in ("bash", "text", "json"):
        fences = [re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL) for text in (english, chinese)]
        without_comments = [[re.sub(r"\s*#.*", "", fence) for fence in found] for found in fences]
        assert without_comments[0] == without_comments[1]


@pytest.mark.parametrize("readme", ["README.md", "persqa_client/README.zh.md"])
def test_the_rows_of_the_input_section_are_rows(readme: str) -> None:
    section = next(
        block for block in re.findall(r"```json\n(.*?)```", read(Path(readme)), re.DOTALL) if "./a.jpg" in block
    )
    for number, line in enumerate(section.strip().splitlines(), 1):
        assert isinstance(parse_line(number, line.encode(), image_key="image", output_key="pers_qa"), Row)


def command_flags() -> dict[str, list[set[str]]]:
    """For each command of ``persqa``, its options, each with all its spellings."""
    commands = dict(iterate_commands("", typer.main.get_command(app)))
    options = {name: [{*p.opts, *p.secondary_opts} for p in command.params] for name, command in commands.items()}
    return {
        name: [*(spellings for spellings in every if min(spellings)[0] == "-"), {"--help"}]
        for name, every in options.items()
    }


@pytest.mark.parametrize("readme", ["README.md", "persqa_client/README.zh.md"])
def test_the_table_of_flags_has_their_variables(readme: str) -> None:
    """A flag that may come from the environment is not required."""
    command = dict(iterate_commands("", typer.main.get_command(app)))["run"]
    rows = [line for line in read(Path(readme)).splitlines() if line.startswith("| `-")]
    variables = {p.opts[0]: p.envvar for p in command.params if isinstance(getattr(p, "envvar", None), str)}
    named = {flag: row for row in rows for flag in variables if f"`{flag} " in row.split(" | ")[0]}
    assert named.keys() == variables.keys()
    assert not [flag for flag, row in named.items() if f"`{variables[flag]}`" not in row.split(" | ")[1]]


def script_flags() -> set[str]:
    scripts = [path for folder in ("scripts", "tests/answers", "tests/live") for path in (ROOT / folder).rglob("*.*")]
    return set().union(*(flags_in(path.read_text()) for path in scripts if path.suffix in {".sh", ".py"}))


def test_links_lead_somewhere() -> None:
    assert not [link for readme in READMES for link in broken_links(ROOT, readme)]


def test_rows_of_tables_are_whole() -> None:
    rows = {str(page): broken_table_rows(read(page)) for page in find_readmes(ROOT, "*.md")}
    assert not {page: numbers for page, numbers in rows.items() if numbers}


def test_a_row_that_breaks_its_table_is_found() -> None:
    table = """
1. A table in a list

   | a | b |
   | --- | :-: |
   | `x \\| y` | z |
   | over two
   lines | z |
   | `x | y` | z |
   | x |

| a | b | c |
| --- | --- |
no header, so

| no | table |

```text
| nothing
```
"""
    assert broken_table_rows(table) == [7, 8, 9, 10, 12, 14, 16]


def test_flags_exist() -> None:
    ours = {spelling for options in command_flags().values() for spellings in options for spelling in spellings}
    known = ours | script_flags() | VLLM_FLAGS | OTHER_FLAGS
    unknown = {str(readme): sorted(flags_in(read(readme)) - known) for readme in READMES}
    assert not {readme: flags for readme, flags in unknown.items() if flags}


def test_commands_take_the_flags_that_are_shown_with_them() -> None:
    known = {name: set().union(*options) for name, options in command_flags().items()}
    wrong = [
        f"{readme}: persqa {' '.join(words)}"
        for readme in READMES
        for words in filter(None, commands_in(read(readme)))
        for name in (words[0], " ".join(words[:2]))
        if name in known
        for word in words[1:]
        if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in known[name]
    ]
    assert not wrong


def test_every_flag_of_a_run_is_documented() -> None:
    text = "\n".join(read(readme) for readme in READMES)
    words = set(re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*", text))
    assert not [sorted(spellings) for spellings in command_flags()["run"] if not spellings & (words | {"--help"})]


def test_names_of_the_code_exist() -> None:
    names = PackageNames(ROOT / "persqa_client")
    unknown = {
        str(readme): sorted(
            name
            for name in dotted_names_in(read(readme)) - OTHER_NAMES
            if not name.startswith(EXAMPLE_OUTPUT) and not names.has(name)
        )
        for readme in READMES
        if readme.parts[0] == "persqa_client"
    }
    assert not {readme: found for readme, found in unknown.items() if found}


def test_a_name_that_is_gone_is_found(tmp_path: Path) -> None:
    text = (
        "`a.b`, `sub.mod.Thing.act(1)`, `mod.old`, `Thing.gone`, `Thing.size`, `mod.act`, `qa.jsonl`\n```\nc.d\n```\n"
    )
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "mod.py").write_text(
        "class Thing:\n    def __init__(self): self.size = 1\n    def act(self): pass\n\nasync def act(): pass\n"
    )
    found = dotted_names_in(text)
    names = PackageNames(tmp_path)
    assert found == {"a.b", "sub.mod.Thing.act", "mod.old", "Thing.gone", "Thing.size", "mod.act"}
    assert {name for name in found if not names.has(name)} == {"a.b", "mod.old", "Thing.gone"}


def make_workplace(folder: Path) -> tuple[dict[str, str], int]:
    """What a reader has before the first command: photos, a file of rows, and ``persqa`` on the PATH.

    Returns the environment, and a descriptor that the commands inherit.
    """
    photos, programs = folder / "photos", folder / "bin"
    photos.mkdir()
    programs.mkdir()
    for number, name in enumerate(("astronaut.jpg", "photographer.jpg", "cat.jpg"), 1):
        shutil.copy(SAMPLES / name, photos / f"{number}.jpg")
    shutil.copy(SAMPLES / "astronaut.jpg", folder / "photo.jpg")
    (folder / "rows.jsonl").write_text('{"image": ["photos/1.jpg"]}\n{"image": ["photos/2.jpg"]}\n')
    descriptor = make_program(programs / "persqa")
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}, descriptor


def run_blocks(text: str, folder: Path) -> list[str]:
    """Runs the marked blocks of a README one after the other in one folder; gives what each printed.

    The README's address is replaced by that of a simulator, which serves every model that the blocks name.
    """
    blocks = [block for block in blocks_of(text) if block.runs]
    named = re.findall(r"--model[ =]([^\s\"']+)|model=\"([^\"…]+)\"", "\n".join(block.text for block in blocks))
    outputs = []
    models = {README_MODEL, *("".join(groups) for groups in named)}
    with run_simulator(SimSettings(models=tuple(sorted(models)))) as simulator:
        environment, descriptor = make_workplace(folder)
        for block in blocks:
            script = folder / f"block-{block.line}"
            text = block.text.replace(README_ADDRESS, simulator.base_url)
            script.write_text(text, encoding="utf-8")
            if block.language == "python":
                done = python(text, cwd=folder)
            else:
                assert block.language == "bash"
                command = ["bash", "-euo", "pipefail", str(script)]
                done = subprocess.run(
                    command,
                    cwd=folder,
                    env=environment,
                    pass_fds=[descriptor],
                    capture_output=True,
                    text=True,
                    timeout=120,
                )
            assert done.returncode == 0, f"line {block.line}: exit {done.returncode}\n{done.stdout}{done.stderr}"
            outputs.append(done.stdout + done.stderr)
    return outputs


@pytest.mark.parametrize(
    "readme",
    [
        # The README is what newcomers run; the others take as long together as a third of all tests.
        pytest.param(name, id=str(name), marks=[] if str(name) == "README.md" else [pytest.mark.slow])
        for name in READMES
        if any(block.runs for block in blocks_of(read(name)))
    ],
)
def test_marked_blocks_run(readme: Path, tmp_path: Path) -> None:
    """The blocks of the Chinese page are those of the README."""
    run_blocks(read(readme), tmp_path)


EXAMPLE = """
# An `example`: of all

[itself](README.md#an-example-of-all), [中文](#中文-说明), [twice](#twice-1), [gone](nowhere.md), [no](#heading)

## 中文 说明
## Twice
## Twice

<!-- run -->
```bash
persqa run photos/ -o qa.jsonl --base-url http://127.0.0.1:8000/v1 \\
  --model a-model --limit 2   # two rows
wc -l qa.jsonl
```

```bash
exit 9  # not marked
```

<!-- run -->

```python
import asyncio

from persqa_client import Endpoint, PersQAClient, generate

summary = generate("rows.jsonl", "out.jsonl", base_url="http://127.0.0.1:8000/v1", model="another")

async def main():
    async with PersQAClient(Endpoint(base_url="http://127.0.0.1:8000/v1", model="another")) as client:
        record = await client.ask("photo.jpg", question="What is <mam> doing?")
        print(record.answer)

asyncio.run(main())
```
"""


@pytest.mark.slow
def test_an_example_readme_is_read_and_run(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(EXAMPLE, encoding="utf-8")
    assert anchors_of(EXAMPLE) == {"an-example-of-all", "中文-说明", "twice", "twice-1"}
    assert broken_links(tmp_path, Path("README.md")) == [
        "README.md: nowhere.md (no such file)",
        "README.md: #heading (no such heading)",
    ]
    assert flags_in(EXAMPLE) == {"--base-url", "--model", "--limit"}
    assert [words[0] for words in commands_in(EXAMPLE)] == ["run"]
    counted, answered = run_blocks(EXAMPLE, tmp_path)
    assert "2 qa.jsonl" in counted
    assert "<mam>" in answered


def test_a_block_that_fails_is_reported_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="line 3: exit 9"):
        run_blocks("\n<!-- run -->\n```bash\nexit 9\n```\n", tmp_path)
