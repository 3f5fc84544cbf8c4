"""The forked programs of tests behave as those of ``python -c``."""

from __future__ import annotations

from pathlib import Path

from tests.support.commands import python


def test_a_program_has_only_what_it_imports(tmp_path: Path) -> None:
    result = python("print(sorted(name for name in globals() if name[:2] != '__')); json", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stdout == "[]\n"
    assert "NameError: name 'json' is not defined" in result.stderr


def test_a_program_finds_the_modules_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("WORD = 'here'\n")
    assert python("import beside; print(beside.WORD)", cwd=tmp_path).stdout == "here\n"
