"""The message about a missing image names where it was looked up."""

from __future__ import annotations

from pathlib import Path

import pytest

from persqa_client.images.references import missing_file_error


def test_a_folder_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to("in")
    monkeypatch.chdir(tmp_path)
    roots = [tmp_path / "in", Path("in"), Path("../") / tmp_path.name / "in", Path("link"), tmp_path, Path()]
    assert missing_file_error("a.jpg", roots).message == f"does not exist in {tmp_path}/in or the working directory."
    assert missing_file_error("a.jpg", [Path("in"), tmp_path / "in"]).message == "does not exist in in."
