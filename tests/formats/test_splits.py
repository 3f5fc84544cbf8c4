"""Splits: how the groups are assigned, and that no group and no picture is on two sides."""

from __future__ import annotations

import base64
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from persqa_client.errors import SettingsError
from persqa_client.formats.export import ExportReport, ExportSettings, export_runs
from persqa_client.formats.grouping import group_rows
from persqa_client.formats.splits import GroupBy, Groups, Part, Split, find_far_shares, parse_parts
from persqa_client.records.run_records import open_recorded_runs
from tests.formats.examples import draw_picture, make_rows, read_rows, write_run
from tests.report.runs import make_record

HALVES = parse_parts("train=0.5,val=0.5")


def test_parts_are_read_from_the_flag() -> None:
    assert parse_parts("train=0.9, val=.1") == (Part("train", 0.9), Part("val", 0.1))
    assert parse_parts("all=1") == (Part("all", 1.0),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train", "is not NAME=SHARE"),
        ("train=0.9,val=0.2", r"add up to 1\.1"),
        ("train=0.9", r"add up to 0\.9"),
        ("a=0.5,A=0.5", "twice"),
        ("a=x,b=1", "the share 'x'"),
        ("a=0,b=1", "the share '0'"),
        ("a=nan,b=1", "the share 'nan'"),
        ("../a=1", "is not NAME=SHARE"),
        ("", "is not NAME=SHARE"),
    ],
)
def test_wrong_parts_are_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_parts(text)


def test_shares_that_are_far_off_are_found() -> None:
    parts = parse_parts("train=0.8,val=0.2")
    assert find_far_shares(parts, {"train": 85, "val": 15}) == []
    assert find_far_shares(parts, {"train": 5, "val": 5}) == [(parts[0], 0.5), (parts[1], 0.5)]
    assert find_far_shares(parts, {"train": 3}) == [(parts[0], 1.0), (parts[1], 0.0)]
    assert find_far_shares(parts, {}) == []


@given(st.text(), st.integers())
def test_a_group_has_one_part(group: str, seed: int) -> None:
    split = Split(HALVES, seed=seed)
    assert split.choose_part(group) == split.choose_part(group) in ("train", "val")


def test_the_shares_are_those_of_many_groups() -> None:
    split = Split(parse_parts("train=0.8,val=0.15,test=0.05"))
    chosen = [split.choose_part(f"group {number}") for number in range(20_000)]
    for name, share in split.parts:
        assert abs(chosen.count(name) / 20_000 - share) < 0.01


def test_another_seed_is_another_split() -> None:
    groups = [str(number) for number in range(100)]
    one, other = ([Split(HALVES, seed=seed).choose_part(group) for group in groups] for seed in (0, 1))
    assert one != other


@given(st.lists(st.lists(st.integers(0, 20).map(str), min_size=1, max_size=3), max_size=12))
def test_keys_that_were_joined_in_any_way_have_the_name_of_the_first(rows: list[list[str]]) -> None:
    groups = Groups()
    for row in rows:
        groups.join(row)
    for row in rows:
        assert len({groups.find_name(key) for key in row}) == 1
    order = [key for row in rows for key in row]
    for key in order:
        name = groups.find_name(key)
        members = [each for each in order if groups.find_name(each) == name]
        assert members[0] == name


def split_run(
    output: Path, target: Path, by: GroupBy = "picture", seed: int = 0
) -> tuple[ExportReport, dict[str, str]]:
    """The report, and the part of each record by its id."""
    shutil.rmtree(target, ignore_errors=True)
    split = Split(HALVES, by)
    report = export_runs([output], ExportSettings("llava", target, split=split))
    return report, {row["id"]: part for part in ("train", "val") for row in read_rows(target / f"{part}.json")}


def test_rows_about_one_picture_stay_together(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"image": [f"{number % 8}.png"]} for number in range(24)]
    _, parts = split_run(write_run(tmp_path / "run", rows), tmp_path / "data")
    assert set(parts.values()) == {"train", "val"}
    for number in range(8):
        assert len({parts[f"qa-{number + 1 + step}"] for step in (0, 8, 16)}) == 1


def test_a_row_with_several_pictures_joins_their_groups(tmp_path: Path) -> None:
    rows = [*make_rows(12), {"image": [f"{number}.png" for number in range(1, 13)]}]
    _, parts = split_run(write_run(tmp_path / "run", rows), tmp_path / "data")
    assert len(set(parts.values())) == 1


def test_copies_and_near_duplicates_are_one_picture(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    names = []
    for number in range(1, 11):
        draw_picture(folder / f"{number}.png", number, (200, 150))
        shutil.copyfile(folder / f"{number}.png", folder / f"{number}-copy.png")
        with Image.open(folder / f"{number}.png") as image:
            image.save(folder / f"{number}-jpeg.jpg", quality=60)
            image.resize((100, 75)).save(folder / f"{number}-small.png")
        names += [f"{number}.png", f"{number}-copy.png", f"{number}-jpeg.jpg", f"{number}-small.png"]
    report, parts = split_run(write_run(folder, [{"image": name} for name in names]), tmp_path / "data")
    assert report.near_duplicates == 20
    for start in range(0, 40, 4):
        assert len({parts[f"qa-{start + 1 + step}"] for step in range(4)}) == 1
    assert set(parts.values()) == {"train", "val"}


@pytest.mark.parametrize("by", ["picture", "row", "folder", "tag"])
def test_added_rows_do_not_move_the_others(by: GroupBy, tmp_path: Path) -> None:
    rows = [{"image": f"{number % 5}/{number}.png"} for number in range(20)]
    _, before = split_run(write_run(tmp_path / "run", rows[:10]), tmp_path / "data", by)
    _, after = split_run(write_run(tmp_path / "run", rows), tmp_path / "data", by)
    assert before.items() <= after.items()


def test_rows_of_a_folder_of_a_row_or_of_a_tag_stay_together(tmp_path: Path) -> None:
    rows = [{"image": f"{number % 6}/{number}.png"} for number in range(24)]
    _, parts = split_run(write_run(tmp_path / "run", rows), tmp_path / "data", "folder")
    for folder in range(6):
        assert len({parts[f"qa-{number + 1}"] for number in range(folder, 24, 6)}) == 1
    outcomes = [make_record(number, question=question) for number in range(1, 13) for question in (0, 1)]
    output = write_run(tmp_path / "other", make_rows(12), outcomes=outcomes)
    _, parts = split_run(output, tmp_path / "data", "row")
    assert all(parts[f"qa-{number}"] == parts[f"qa-{number}-2"] for number in range(1, 13))
    assert set(parts.values()) == {"train", "val"}
    _, parts = split_run(output, tmp_path / "data", "tag")
    assert len(set(parts.values())) == 1


def test_a_split_does_not_depend_on_where_the_pictures_lie(tmp_path: Path) -> None:
    for by in ("picture", "folder"):
        found = []
        for place in ("here", "elsewhere/deep"):
            rows = [{"image": f"{number % 6}/{number}.png"} for number in range(12)]
            found.append(split_run(write_run(tmp_path / place, rows), tmp_path / "data", by)[1])
        assert found[0] == found[1]


@pytest.mark.parametrize("by", ["picture", "folder"])
def test_memory_does_not_grow_with_the_pictures_in_the_rows(by: GroupBy, tmp_path: Path) -> None:
    rows = []
    for number in range(12):
        draw_picture(tmp_path / "a.bmp", number, (400, 300))
        rows.append({"image": f"data:image/bmp;base64,{base64.b64encode((tmp_path / 'a.bmp').read_bytes()).decode()}"})
    output = write_run(tmp_path / "run", rows)
    written = sum(len(row["image"]) for row in rows)
    (run,) = open_recorded_runs([output])
    del rows
    tracemalloc.start()
    try:
        records = ((record, run) for record in run.iter_records())
        grouping, near = group_rows(Split(HALVES, by), records, lambda number: None)
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert {grouping.choose_part(record, run) for record in run.iter_records()} == {"train", "val"}
    assert near == 0
    assert kept < written / 8


def test_data_in_a_row_and_a_file_are_near_duplicates(tmp_path: Path) -> None:
    draw_picture(tmp_path / "run" / "1.png", 1, (200, 150))
    draw_picture(tmp_path / "a.png", 1, (100, 75))
    uri = f"data:image/png;base64,{base64.b64encode((tmp_path / 'a.png').read_bytes()).decode()}"
    report, _ = split_run(write_run(tmp_path / "run", [{"image": uri}, {"image": "1.png"}]), tmp_path / "data")
    assert report.near_duplicates == 1


@pytest.mark.parametrize("by", ["picture", "folder"])
def test_a_picture_with_a_name_that_no_file_can_have_is_left_out(by: GroupBy, tmp_path: Path) -> None:
    rows = [{"image": "missing\udcff.jpg"}, {"image": "missing\0/a.jpg"}, {"image": "1.png"}]
    report, _ = split_run(write_run(tmp_path / "run", rows), tmp_path / "data", by)
    assert report.left_out == {"image_missing": 1, "image_unreadable": 1}
