"""The file of real names."""

from __future__ import annotations

from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.questions.tags import read_real_names


def test_comments_blank_lines_and_duplicates_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes("\ufeffGrace Hopper\r\n# a\u2028comment\r\n\r\n  格蕾丝 \nGrace   Hopper\n".encode())
    assert read_real_names(path) == ("Grace Hopper", "格蕾丝")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", "has no names", id="empty"),
        pytest.param(b"# only this\n", "has no names", id="comments alone"),
        pytest.param(b"Grace\nG\n", "line 2, is a single letter", id="a single letter"),
        pytest.param(b"x" * 101, "line 1, is too long", id="too long"),
        pytest.param(b"\xff\xfeG\0", "is not UTF-8", id="UTF-16"),
    ],
)
def test_a_file_that_is_no_list_of_names(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "names.txt").write_bytes(data)
    with pytest.raises(SettingsError, match=words):
        read_real_names(tmp_path / "names.txt")


def test_a_file_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"does not exist"):
        read_real_names(tmp_path / "names.txt")
