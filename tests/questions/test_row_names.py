"""What messages call a row."""

from __future__ import annotations

from pathlib import Path

import pytest

from persqa_client.questions.tasks import name_row, place_message
from persqa_client.types import Row


def test_a_row_is_its_line_or_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert name_row(7, "") == "Line 7"
    assert name_row(7, "", "row") == "Row 7"
    assert name_row(7, str(tmp_path / "trip" / "a\nb.jpg")) == "trip/a\\nb.jpg"
    assert name_row(7, "/elsewhere/a.jpg") == "/elsewhere/a.jpg"


def test_a_file_that_is_named_already_is_not_named_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = str(tmp_path / "a.jpg")
    row, listed = Row(3, b"", ("a.jpg",)), Row(3, b"", (file,), names=("a.jpg",))
    assert place_message(row, "a.jpg is no image") == "Line 3: a.jpg is no image"
    assert place_message(listed, "no question matches") == "a.jpg: no question matches"
    assert place_message(listed, f"{file} is no image") == "a.jpg is no image"
