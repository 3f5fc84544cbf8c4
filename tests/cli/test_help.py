"""The pages of ``--help``, as a terminal of 80 or 120 columns shows them."""

from __future__ import annotations

import os
import re
import termios
from collections.abc import Iterable, Iterator
from contextlib import redirect_stderr, suppress
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from persqa_client.cli.main import app
from persqa_client.cli.run_flags import EVERYDAY
from tests.goldens.surfaces import iterate_commands

COMMANDS = dict(iterate_commands("", typer.main.get_command(app)))
OPTIONS = COMMANDS["run"].params
FLAG = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")


def read_help(words: str, monkeypatch: pytest.MonkeyPatch, columns: int) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    result = CliRunner().invoke(app, [*words.split(), "--help"], prog_name="persqa")
    assert result.exit_code == 0, result.output
    return result.stdout


def flags_of(page: str) -> list[str]:
    """The flags in the first column."""
    return [flag for line in page.splitlines() if re.match(r" {2,6}-", line) for flag in FLAG.findall(line[:30])]


def spellings(options: Iterable[Any]) -> set[str]:
    return {each for option in options for each in option.opts if each[0] == "-"}


EVERYDAY_FLAGS = spellings(option for option in OPTIONS if option.name in EVERYDAY) | {"--help", "-h"}


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("words", ["", *COMMANDS, "run --help-all"])
def test_a_page_fits_and_has_no_types_of_the_program(words: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    page = read_help(words, monkeypatch, columns)
    assert page.startswith(f"Usage: persqa {words.removesuffix(' --help-all')}".rstrip())
    lines = page.splitlines()
    assert max(map(len, lines)) <= columns
    assert not [line for line in lines if re.search(r"<[^m]|\brange\b|[│╭]|\{INPUT", line)]
    assert not [line for line in lines if re.search(r"-$|\[(default|variable):$", line)], "a flag or a fact is broken"
    assert not [line for line in lines if line != line.rstrip()]


def test_the_help_of_a_run_has_the_everyday_options_and_names_the_page_with_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = read_help("run", monkeypatch, 80)
    assert set(flags_of(page)) == EVERYDAY_FLAGS
    assert page.rstrip().endswith("All options: persqa run --help-all")
    assert len(page.splitlines()) < 80


def test_the_full_help_has_all_options_with_the_everyday_ones_first_in_their_panels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = read_help("run --help-all", monkeypatch, 80)
    assert set(flags_of(page)) >= spellings(OPTIONS)
    sections = re.split(r"^(\S.*):$", page, flags=re.MULTILINE)
    panels = dict(zip(sections[1::2], map(flags_of, sections[2::2]), strict=True))
    assert [name for name, flags in panels.items() if flags] == [
        "Files", "Server", "Questions and answers", "Limits", "Budget", "Pictures by URL", "Several machines",
        "Other options",
    ]  # fmt: skip
    for flags in panels.values():
        known = [flag in EVERYDAY_FLAGS for flag in flags]
        assert known == sorted(known, reverse=True)
    assert "--max-inflight-mb" in panels["Limits"]


def test_defaults_are_shown_also_if_they_are_0_or_1(monkeypatch: pytest.MonkeyPatch) -> None:
    page = " ".join(read_help("run --help-all", monkeypatch, 80).split())
    assert "Seed of the questions and the requests. [default: 0]" in page
    assert "[default: 1800]" in page


def test_a_command_that_is_called_wrongly_shows_how_it_is_called() -> None:
    result = CliRunner().invoke(app, ["run", "photos", "--langauge", "en"], prog_name="persqa")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == "Usage: persqa run [OPTIONS] INPUT..."
    assert result.stderr.splitlines()[-1].startswith("Error: No such option: --langauge")
    assert "--language" in result.stderr


def read_terminal(reader: int) -> Iterator[str]:
    """All that was written until the other end was closed, which is an error here."""
    with suppress(OSError):
        while data := os.read(reader, 10_000):
            yield data.decode()
    os.close(reader)


def test_a_usage_error_breaks_no_word_of_a_terminal() -> None:
    reader, writer = os.openpty()
    with os.fdopen(writer, "w") as terminal:
        termios.tcsetwinsize(writer, (24, 40))
        with redirect_stderr(terminal), pytest.raises(SystemExit) as ended:
            app(["export", "qa.jsonl"], prog_name="persqa")
    shown = "".join(read_terminal(reader)).splitlines()
    assert ended.value.code == 2
    assert max(map(len, shown)) <= 40
    message = " ".join(shown).partition("Error: ")[2]
    assert message.startswith("The option --to FORMAT is missing; choose from llava, llamafactory, swift, trl, ")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("run photos \u2013o qa.jsonl", "\u2013o begins with another sign than a hyphen; type -o."),
        ("run photos \u2014output=qa.jsonl", "\u2014output begins with another sign than a hyphen; type --output."),
        ("run photos -\u2011model m", "-\u2011model begins with another sign than a hyphen; type --model."),
        ("run photos -output qa.jsonl", "-output begins with one hyphen; type --output."),
        ("run photos -tag=bo -o qa.jsonl", "-tag begins with one hyphen; type --tag."),
        ("run photos --api-key k", "No such option: --api-key. Did you mean --api-key-env or --api-key-command?"),
        ("run photos --max x", "No such option: --max"),
        ("photos", "There is no command 'photos'. To ask about photos: persqa run photos …"),
        ("runs photos", "There is no command 'runs'. Did you mean persqa run?"),
        ("help run", "There is no command 'help'. Did you mean persqa --help?"),
        ("version", "There is no command 'version'. Did you mean persqa --version?"),
        ("bank human", "There is no command 'human'; choose from list, show, check."),
    ],
)
def test_what_was_probably_meant_is_named(
    words: str, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, words.split(), prog_name="persqa")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == f"Error: {error}"


@pytest.mark.parametrize(
    "words",
    ["-- \u2013o", "--serve-args --max-model-len --model m --", "--tag=--model", "--serve-args -tag", "-- -tag"],
)
def test_words_that_only_look_like_flags_are_values(words: str) -> None:
    """The last error is that of the missing input, or of the missing endpoint."""
    result = CliRunner().invoke(app, ["run", *words.split()], prog_name="persqa")
    assert "hyphen" not in result.stderr
    assert "needs a value" not in result.stderr


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("run photos --preview", "--preview needs a value: --preview N."),
        ("run photos --box", "--box needs a value: --box drawn|cropped."),
        ("run photos -o", "-o needs a value: -o FILE.jsonl."),
        ("run photos -o --model m", "-o needs a value: -o FILE.jsonl."),
        ("run photos --preview --base-url=u", "--preview needs a value: --preview N."),
        (
            "report qa.jsonl",
            "The option -o, --output FILE.html is missing. Example: persqa report qa.jsonl -o report.html",
        ),
        ("view", "Missing argument 'OUT...'. Example: persqa view qa.jsonl --open"),
        ("merge", "Missing argument 'OUT...'. Example: persqa merge part-*.jsonl -o qa.jsonl"),
        ("bank show", "Missing argument 'CATEGORY|FILE'. Example: persqa bank show "),
        ("export qa.jsonl", "The option --to FORMAT is missing; choose from llava, llamafactory, swift, "),
        ("export qa.jsonl --to", "--to needs a value: --to FORMAT; choose from llava, llamafactory, swift, "),
        ("run photos --quiet=yes", "Option '--quiet' does not take a value."),
    ],
)
def test_a_value_that_is_missing_is_named_as_in_the_help(words: str, error: str) -> None:
    result = CliRunner().invoke(app, words.split(), prog_name="persqa")
    assert result.exit_code == 2
    assert f"Error: {error}" in result.stderr
