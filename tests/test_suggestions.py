"""A missing image whose name exists in another form."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from persqa_client import suggestions
from persqa_client.errors import RowError
from persqa_client.images.references import read_reference
from persqa_client.suggestions import find_similar_name, find_similar_path, suggest_path

NFC, NFD = (unicodedata.normalize(form, "été.jpg") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("given", "names", "similar"),
    [
        ("hooman", ["human", "animal"], "human"),
        ("tga", ["tag", "question"], "tag"),
        ("Max_Token", ["max-tokens", "max-tokens-total", "max-wall"], "max-tokens"),
        ("--jsn", ["--json", "--to"], "--json"),
        ("english", ["en", "zh"], "en"),
        ("price", ["price-in", "price-out"], None),
        ("teeth", ["text", "hair"], None),
        ("red", ["drawn", "cropped"], None),
        ("run", ["dry-run"], None),
        ("x", ["s"], None),
        ("  ", ["en"], None),
    ],
)
def test_only_a_name_with_few_slips_is_suggested(given: str, names: list[str], similar: str | None) -> None:
    assert find_similar_name(given, names) == similar


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"picture")
    return path


@pytest.mark.parametrize(
    ("given", "existing"),
    [
        ("Photos/A.JPG", "photos/a.jpg"),
        ("photos\\a.jpg", "photos/a.jpg"),
        ("photos/a.jpg ", "photos/a.jpg"),
        (" photos/a.jpg", "photos/a.jpg"),
        ("photos/a.jpg", "photos/a.jpg "),
        ("photos/a%20b.jpg", "photos/a b.jpg"),
        ("photos/a b.jpg", "photos/a%20b.jpg"),
        (f"Photos/{NFD}", f"photos/{NFC}"),
    ],
)
def test_the_message_names_the_other_form(given: str, existing: str, tmp_path: Path) -> None:
    write(tmp_path / existing)
    with pytest.raises(RowError) as caught:
        read_reference(given, [tmp_path / "nowhere", tmp_path])
    assert caught.value.code == "image_missing"
    assert caught.value.message.endswith(f", but '{tmp_path / existing}' does; correct the path.")
    with pytest.raises(RowError, match="does not exist, but '"):
        read_reference(str(tmp_path / given), [])


@pytest.mark.parametrize(
    ("given", "similar"),
    [
        ("phots", "photos/"),
        ("phtos/cats", "photos/cats/"),
        ("photos/cts", "photos/cats/"),
        ("phots/cts", None),
        ("set.json", "set.jsonl"),
        ("ste.jsonl", "set.jsonl"),
        ("set", "set.jsonl"),
        ("set.run.jso", "set.run.json"),
        ("none.jsonl", None),
        ("set-1.jsonl", None),
        ("part-3.jsonl", None),
        ("hidden.jsonl", None),
        ("photos", None),
        ("broken.jsonl", None),
        ("nothing.jsonl", None),
        ("not", None),
    ],
)
def test_a_mistyped_path_is_one_with_few_slips(given: str, similar: str | None, tmp_path: Path) -> None:
    names = ("photos/cats/a.jpg", "set.jsonl", "set.run.json", "torn.jsonl", "part-2.jsonl", ".hidden.jsonl", "no/b")
    for name in names:
        write(tmp_path / name)
    (tmp_path / "broken.jsonl").symlink_to("gone.jsonl")
    meant = "" if similar is None else f" (did you mean {tmp_path}/{similar}?)"
    assert suggest_path(tmp_path / given) == meant


def test_several_forms_or_none_give_no_hint(tmp_path: Path) -> None:
    write(tmp_path / "a.JPG")
    write(tmp_path / "A.jpg")
    for given in ("a.jpg", "b.jpg", "x/y/z.jpg", "\0.jpg", "a.JPG/b"):
        assert find_similar_path(f"{tmp_path}/{given}") is None, given


def test_a_composed_name_is_the_decomposed_one(tmp_path: Path) -> None:
    write(tmp_path / "old" / NFD)
    write(tmp_path / "new" / NFC)
    assert read_reference(f"old/{NFC}", [tmp_path]) == b"picture"
    assert read_reference(f"new/{NFD}", [tmp_path]) == b"picture"
    (tmp_path / "new" / NFD).write_bytes(b"exact")
    assert read_reference(f"new/{NFD}", [tmp_path]) == b"exact"


def test_the_home_folder_is_meant_by_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    write(tmp_path / "home" / "a.jpg")
    assert read_reference("~/a.jpg", [tmp_path]) == b"picture"
    (write(tmp_path / "~" / "a.jpg")).write_bytes(b"exact")
    assert read_reference("~/a.jpg", [tmp_path]) == b"exact"


def test_a_folder_is_read_once_for_many_missing_files(tmp_path: Path) -> None:
    write(tmp_path / "photos" / "a.jpg")
    suggestions.list_folded_names.cache_clear()
    for number in range(50):
        assert find_similar_path(f"{tmp_path}/photos/{number}.jpg") is None
    assert suggestions.list_folded_names.cache_info().misses == 1
    write(tmp_path / "photos" / "7.JPG")
    assert find_similar_path(f"{tmp_path}/photos/7.jpg") == f"{tmp_path}/photos/7.JPG"


def test_a_huge_folder_is_not_read(memory_path: Path) -> None:
    for number in range(suggestions.MAX_ENTRIES + 1):
        os.mknod(memory_path / f"{number}.jpg")
    assert suggestions.list_folded_names(str(memory_path), 0) == {}
