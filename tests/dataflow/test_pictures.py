"""Frames that hold their pictures themselves, as bytes or decoded: what becomes of them, and of a run over them."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import pandas
import pybase64
import pytest
from PIL import Image

from persqa_client.dataflow import FileStorage, OpenAIVLMServing, PersQAGenerator
from persqa_client.dataflow.cells import ImageFolder, make_data_uri, read_image_bytes, resolve_references, value_to_text
from persqa_client.errors import RowError, StorageError
from persqa_client.simulator.server import Simulator
from tests.dataflow.conftest import MODEL, HeldStorage


def png(colour: str, size: tuple[int, int] = (40, 30)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def serving(server: Simulator) -> OpenAIVLMServing:
    return OpenAIVLMServing(server.base_url, model_name=MODEL)


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "cell",
    [
        pytest.param({"bytes": png("red"), "path": "red.png"}, id="datasets, bytes"),
        pytest.param({"bytes": None, "path": "red.png"}, id="datasets, path"),
        pytest.param([{"bytes": png("red"), "path": None}], id="datasets, list"),
        pytest.param(png("red"), id="bytes"),
        pytest.param(bytearray(png("red")), id="bytearray"),
        pytest.param(Image.new("RGB", (40, 30), "red"), id="Pillow"),
        pytest.param(Image.new("CMYK", (40, 30), (0, 255, 255, 0)), id="Pillow, CMYK"),
        pytest.param({"bytes": make_data_uri(png("red")), "path": None}, id="as our JSON holds it"),
    ],
)
def test_a_picture_is_asked_about_in_whatever_form_a_cell_has_it(folder: Path, simulator: Simulator, cell: Any) -> None:
    storage = HeldStorage(pandas.DataFrame({"image": [cell]}))
    PersQAGenerator(serving(simulator)).run(storage)
    assert "red" in storage.frame["output"][0]
    assert storage.frame["image"][0] is cell
    (answer,) = serving(simulator).generate_from_input(["What colour is it?"], image_inputs=[cell])
    assert "red" in str(answer)


@pytest.mark.parametrize("cache_type", ["parquet", "pickle", "jsonl", "json", "csv"])
def test_a_frame_of_datasets_is_continued_and_keeps_its_pictures(
    folder: Path, simulator: Simulator, cache_type: Any
) -> None:
    held = [{"bytes": png(colour), "path": f"{colour}.png"} for colour in ("red", "blue", "red")]
    pandas.DataFrame({"image": held, "n": [1, 2, 3]}).to_parquet("in.parquet")

    def run() -> pandas.DataFrame:
        storage = FileStorage("in.parquet", "cache", "qa", cache_type)
        PersQAGenerator(serving(simulator)).run(storage.step())
        return storage.step().read()

    frame = run()
    kept = files_in(Path("cache/persqa_runs/pictures"))
    assert sorted(kept.values()) == sorted({png("red"), png("blue")})
    assert all(name.endswith(".png") for name in kept)
    assert ["red" in frame["output"][number] for number in range(3)] == [True, False, True]
    asked = simulator.stats()["requests"]
    assert list(run()["output"]) == list(frame["output"])
    assert simulator.stats()["requests"] == asked
    assert not any(png("red") in path.read_bytes() for path in Path("cache/persqa_runs").glob("qa*/*"))
    # What was written is itself a frame to ask about.
    assert [held_again(cell) for cell in frame["image"]] == [held_again(cell) for cell in held]


def held_again(cell: Any) -> bytes:
    (reference,) = resolve_references(cell, make_data_uri)
    return pybase64.b64decode(reference.partition(",")[2])


def test_the_questions_do_not_depend_on_where_the_pictures_are_kept(folder: Path, simulator: Simulator) -> None:
    pandas.DataFrame({"image": [png(colour) for colour in ("red", "blue", "green", "white")]}).to_parquet("in.parquet")
    for cache in ("here", "there"):
        PersQAGenerator(serving(simulator)).run(FileStorage("in.parquet", cache, "qa").step())
    assert Path("here/qa_step1.jsonl").read_bytes() == Path("there/qa_step1.jsonl").read_bytes()


def test_a_storage_in_memory_leaves_no_picture_behind(
    folder: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp"))
    storage = HeldStorage(pandas.DataFrame({"image": [png("red")]}))
    PersQAGenerator(serving(simulator)).run(storage)
    assert storage.frame["output"][0]
    assert not list((folder / "tmp").iterdir())


def test_a_damaged_picture_fails_its_row_alone(folder: Path, simulator: Simulator) -> None:
    cells = [Image.open(io.BytesIO(png("red", (400, 300))[:150])), png("red")[:60], b"", b"<html></html>", png("blue")]
    storage = HeldStorage(pandas.DataFrame({"image": cells}))
    PersQAGenerator(serving(simulator)).run(storage)
    codes = [error and error.partition(":")[0] for error in storage.frame["output_error"]]
    assert codes == ["image_unreadable", "image_truncated", "image_empty", "image_not_a_picture", None]


def test_a_picture_is_written_once_and_again_only_where_it_was_cut_off(tmp_path: Path) -> None:
    folder = ImageFolder(tmp_path / "pictures")
    assert not folder.roots
    name = folder.store(png("red"))
    assert folder.roots == (tmp_path / "pictures",)
    path = tmp_path / "pictures" / name
    before = path.stat()
    assert ImageFolder(tmp_path / "pictures").store(png("red")) == name
    assert path.stat() == before
    path.write_bytes(b"")
    assert folder.store(png("red")) == name
    assert files_in(tmp_path / "pictures") == {name: png("red")}
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="can't be stored"):
        ImageFolder(tmp_path / "file").store(png("red"))


def test_a_picture_of_pillows_goes_out_upright() -> None:
    lying = Image.new("RGB", (40, 30), "red")
    exif = lying.getexif()
    exif[0x0112] = 6
    out = io.BytesIO()
    lying.save(out, "JPEG", exif=exif)
    assert Image.open(io.BytesIO(read_image_bytes(Image.open(out)))).size == (30, 40)


def test_what_is_no_picture_is_refused_and_has_its_own_text() -> None:
    with pytest.raises(RowError) as caught:
        read_image_bytes(7)
    assert caught.value.code == "bad_image_field"
    assert value_to_text(pandas.Timestamp("2024-01-01")) == "2024-01-01 00:00:00"
    assert value_to_text(png("red")).startswith("data:image/png;base64,")
    assert make_data_uri(b"?").startswith("data:application/octet-stream;base64,")
