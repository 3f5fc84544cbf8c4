"""Runs over a folder whose pictures change, or that is given in another way, against the simulator."""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from PIL import Image

from persqa_client import Endpoint, SettingsError, generate
from persqa_client.inputs.folders import FolderSource
from persqa_client.inputs.opening import open_inputs, open_source
from persqa_client.run.background import execute_blocking
from persqa_client.run.recheck import recheck_run
from persqa_client.run.run import Run
from persqa_client.run.run_input import has_listing, is_file_of
from persqa_client.run.settings import make_run_settings
from persqa_client.run.summary import Summary
from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from tests.support.commands import lines_in, persqa, start

MODEL = "persqa-simulator"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the pictures b, c and d in ``photos``."""
    add(tmp_path / "photos", "b.png", "c.png", "d.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def add(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (40 * number % 256, len(name) * 7 % 256, sum(name.encode()) % 256)).save(
            folder / name
        )


def go(folder: Path | str, output: str, server: Simulator, **flags: Any) -> Summary:
    return generate(Path(folder), output, base_url=server.base_url, model=MODEL, probes=False, **flags)


def names_in(path: str) -> list[str]:
    if not Path(path).exists():
        return []
    return [Path(orjson.loads(line)["image"][0]).name for line in Path(path).read_bytes().splitlines()]


def asked_of(output: str) -> list[tuple[str, int]]:
    """Question and seed of each row."""
    lines = Path(output.replace(".jsonl", ".details.jsonl")).read_bytes().splitlines()
    details = sorted((orjson.loads(line) for line in lines), key=lambda line: line["row"])
    return [(line["question"], line["seed"]) for line in details]


def test_new_names_anywhere_continue_a_run(work: Path, simulator: Simulator) -> None:
    go("photos", "qa.jsonl", simulator, limit=2)
    asked = asked_of("qa.jsonl")
    add(work / "photos", "a.png", "cc.png", "trip/0.png")
    assert go("photos", "qa.jsonl", simulator).tally.succeeded == 6
    assert names_in("qa.jsonl") == ["b.png", "c.png", "d.png", "a.png", "cc.png", "0.png"]
    assert asked_of("qa.jsonl")[:2] == asked
    add(work / "photos", "0.png")
    assert go("photos", "qa.jsonl", simulator).tally.succeeded == 7
    assert names_in("qa.jsonl")[-2:] == ["0.png", "0.png"]
    assert go("photos", "qa.jsonl", simulator).state == "already"


def test_new_matches_of_a_pattern_continue_a_run(work: Path, simulator: Simulator) -> None:
    add(work / "photos", "trip/5.png", "trip/notes/6.png")
    go("photos/**/*.png", "qa.jsonl", simulator, limit=2)
    asked = asked_of("qa.jsonl")
    add(work / "photos", "a.png", "trip/4.png")
    (work / "photos" / "c.png").unlink()
    summary = go(work / "photos/**/*.png", "qa.jsonl", simulator)
    assert (summary.tally.succeeded, summary.tally.failed_total) == (7, 0)
    assert names_in("qa.jsonl") == ["b.png", "c.png", "d.png", "5.png", "6.png", "a.png", "4.png"]
    assert asked_of("qa.jsonl")[:2] == asked
    assert go("photos/*.png", "other.jsonl", simulator).tally.rows == 3
    assert asked_of("other.jsonl")[1:2] == asked[:1], "the name in the folder decides, not the pattern"


def test_a_broken_picture_does_not_change_what_a_pattern_is(work: Path, simulator: Simulator) -> None:
    go("photos/*.png", "photos/qa.jsonl", simulator)
    (work / "photos" / "bad.png").write_text("<!DOCTYPE html><p>")
    summary = go("photos/*.png", "photos/qa.jsonl", simulator)
    assert (summary.tally.succeeded, summary.tally.failed_total) == (3, 1)


@pytest.mark.parametrize("pattern", ["data/*", "data/*.jsonl"])
def test_a_pattern_leaves_out_the_files_of_its_run(pattern: str, work: Path, simulator: Simulator) -> None:
    (work / "data").mkdir()
    shutil.copy("photos/b.png", "data/b.png")
    (work / "data" / "rows.jsonl").write_text('{"image": ["b.png"]}\n{"image": ["missing.png"]}\n')
    go(pattern, "data/qa.jsonl", simulator, limit=1)
    go(pattern, "data/qa.jsonl", simulator)
    assert go(pattern, "data/qa.jsonl", simulator, retry_failed=True).tally.failed_total == 1
    assert go(pattern, "data/qa.jsonl", simulator).state == "already"


def test_new_names_continue_a_run_that_was_stopped(work: Path) -> None:
    """Answers that are only in the journal belong to the same pictures, also in another spelling of the folder."""
    add(work / "photos", *(f"p{number}.png" for number in range(40)))
    with run_simulator(SimSettings(latency=0, script=["stall"])) as server:
        flags = {"probes": False, "concurrency": 8}
        settings = make_run_settings(
            [Endpoint(base_url=server.base_url, model=MODEL)], flags, input=Path("photos"), output=Path("qa.jsonl")
        )

        async def abort_run() -> None:
            run = Run(settings, open_source(Path("photos"), "image"))
            going = asyncio.create_task(run.execute())
            while run.progress.done < 42:
                await asyncio.sleep(0.005)
            run.stop()
            run.stop()
            await going

        asyncio.run(abort_run())
        add(work / "photos", "a.png")
        assert go(work / "photos", "qa.jsonl", server, concurrency=8).tally.succeeded == 44
        assert server.stats()["answered"] == 44, "each picture was asked about once"
    names = names_in("qa.jsonl")
    assert names[:3] == ["b.png", "c.png", "d.png"]
    assert names[-1] == "a.png"
    assert len(set(names)) == 44


@pytest.mark.parametrize("first_is_absolute", [False, True])
@pytest.mark.parametrize("name", ["photos", "photos/*.png"])
def test_paths_are_written_as_at_the_first_start(
    name: str, first_is_absolute: bool, work: Path, simulator: Simulator
) -> None:
    given = [name, str(work / name)]
    first, second = reversed(given) if first_is_absolute else given
    go(first, "out/qa.jsonl", simulator, limit=1)
    go(second, "out/qa.jsonl", simulator, limit=2)  # goes on with a finished run
    summary = go(second, "out/qa.jsonl", simulator)
    assert (summary.tally.succeeded, summary.tally.failed_total) == (3, 0)
    start = str(work / "photos") if first_is_absolute else "../photos"
    images = [orjson.loads(line)["image"][0] for line in Path("out/qa.jsonl").read_text().splitlines()]
    assert images == [f"{start}/{name}.png" for name in "bcd"]


def test_removed_and_renamed_pictures(work: Path, simulator: Simulator) -> None:
    go("photos", "qa.jsonl", simulator, limit=1)
    (work / "photos" / "b.png").unlink()
    (work / "photos" / "c.png").rename(work / "photos" / "0.png")
    summary = go("photos", "qa.jsonl", simulator)
    assert (summary.tally.succeeded, summary.tally.failed) == (3, {"image_missing": 1})
    assert names_in("qa.jsonl") == ["b.png", "d.png", "0.png"]
    assert names_in("qa.failed.jsonl") == ["c.png"]
    (work / "photos" / "0.png").rename(work / "photos" / "c.png")
    assert go("photos", "qa.jsonl", simulator, retry_failed=True).tally.succeeded == 4
    assert names_in("qa.jsonl") == ["b.png", "c.png", "d.png", "0.png"]


def test_a_retry_goes_on_with_new_names(work: Path, simulator: Simulator) -> None:
    (work / "photos" / "c.png").write_bytes(b"no picture")
    assert go("photos", "qa.jsonl", simulator).tally.failed_total == 1
    add(work / "photos", "c.png", "a.png")
    assert go("./photos/", "qa.jsonl", simulator, retry_failed=True).tally.succeeded == 4
    assert names_in("qa.jsonl") == ["b.png", "c.png", "d.png", "a.png"]
    assert not Path("qa.failed.jsonl").exists()


@pytest.mark.parametrize("spelling", ["photos/", "{}/photos", "link", ".", "../photos"])
def test_each_spelling_asks_the_same_and_resumes_the_run(
    spelling: str, work: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / "link").symlink_to("photos")
    (work / "elsewhere").mkdir()
    spelling = spelling.format(work)
    output, one, half = (str(work / name) for name in ("qa.jsonl", "one.jsonl", "half.jsonl"))
    go("photos", output, simulator)
    go("photos", half, simulator, limit=2)
    monkeypatch.chdir({".": work / "photos", "../photos": work / "elsewhere"}.get(spelling, work))
    go(spelling, one, simulator)
    assert asked_of(one) == asked_of(output)
    assert go(spelling, half, simulator).tally.succeeded == 3
    assert asked_of(half) == asked_of(output)
    assert go(spelling, output, simulator).state == "already"
    [*_, last] = Path(half).read_bytes().splitlines()
    # Absolute or relative as at the first start.
    written = orjson.loads(Path(one).read_bytes().splitlines()[-1])["image"]
    assert orjson.loads(last)["image"] == (["photos/d.png"] if Path(spelling).is_absolute() else written)


def test_the_questions_are_those_of_rows_named_from_the_folder(work: Path, simulator: Simulator) -> None:
    go("photos", "qa.jsonl", simulator)
    (work / "photos" / "rows.jsonl").write_text("".join(f'{{"image": ["{name}.png"]}}\n' for name in "bcd"))
    go("photos/rows.jsonl", "rows.jsonl", simulator)
    assert asked_of("rows.jsonl") == asked_of("qa.jsonl")


def test_a_run_of_an_earlier_version_keeps_its_names_and_order(work: Path, simulator: Simulator) -> None:
    def go_before(**flags: Any) -> None:
        settings = make_run_settings(
            [Endpoint(base_url=simulator.base_url, model=MODEL)],
            {"probes": False, **flags},
            input=Path("photos"),
            output=Path("old.jsonl"),
        )
        execute_blocking(Run(settings, FolderSource(Path("photos"), "image").as_written()))

    go_before(limit=2)
    before = asked_of("old.jsonl")
    assert "listing" not in orjson.loads(Path("old.run.json").read_bytes())["identity"]
    assert go("photos", "old.jsonl", simulator).tally.succeeded == 3
    assert asked_of("old.jsonl")[:2] == before
    go("photos", "new.jsonl", simulator)
    assert asked_of("new.jsonl") != asked_of("old.jsonl"), "the names count from the folder now"
    add(work / "photos", "e.png")
    assert go("photos", "old.jsonl", simulator).tally.succeeded == 4
    add(work / "photos", "a.png")
    with pytest.raises(SettingsError, match="has changed in its first 4 rows"):
        go("photos", "old.jsonl", simulator)
    assert not list(work.glob("old.listing*"))


def test_a_removed_listing_does_not_stop_a_run(work: Path, simulator: Simulator) -> None:
    go("photos", "qa.jsonl", simulator, limit=2)
    Path("qa.listing.jsonl").unlink()
    assert go("photos", "qa.jsonl", simulator).tally.succeeded == 3
    Path("qa.listing.jsonl").unlink()
    add(work / "photos", "a.png")
    with pytest.raises(SettingsError, match="has changed in its first 3 rows"):
        go("photos", "qa.jsonl", simulator)
    (work / "photos" / "a.png").unlink()
    assert go("photos", "qa.jsonl", simulator).state == "already"


@pytest.mark.parametrize("listed", ["photos", "photos/*.png"])
@pytest.mark.parametrize("next_step", ["retry", "pictures", "recheck", "recheck without details"])
def test_a_finished_run_goes_on_without_its_listing(
    next_step: str, listed: str, work: Path, simulator: Simulator
) -> None:
    (work / "photos" / "d.png").write_bytes(b"broken")
    assert go(listed, "qa.jsonl", simulator).tally.failed_total == 1
    add(work / "photos", "d.png", "e.png")
    Image.new("RGB", (64, 64)).save(work / "photos" / "c.png")
    Path("qa.listing.jsonl").unlink()
    if next_step.startswith("recheck"):
        if next_step != "recheck":
            Path("qa.details.jsonl").unlink()
        assert recheck_run(Path("qa.jsonl")).questions == 3
        assert not Path("qa.listing.jsonl").exists()
    before = simulator.stats()["answered"]
    flags = {"recheck_pictures": "ask"} if next_step == "pictures" else {"retry_failed": True}
    assert go(listed, "qa.jsonl", simulator, **flags).tally.rows == 4
    assert simulator.stats()["answered"] == before + 2, "of the changed or mended picture, and of the new one"
    assert lines_in(Path("qa.listing.jsonl")) == 5


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("photos/[bc].png", "photos/[cd].png", r"started with the pattern \[bc\]\.png"),
        ("photos", "photos/*.png", "started with all images of the folder"),
        ("photos/*.png", "photos", r"started with the pattern \*\.png"),
    ],
)
def test_another_choice_in_the_same_folder_is_another_input(
    first: str, second: str, words: str, work: Path, simulator: Simulator
) -> None:
    go(first, "qa.jsonl", simulator)
    with pytest.raises(SettingsError, match=words):
        go(second, "qa.jsonl", simulator)
    for same in (work / first, f"./{first}"):
        assert go(same, "qa.jsonl", simulator).state == "already"
    listing = Path("qa.listing.jsonl")
    header, _, names = listing.read_bytes().partition(b"\n")
    earlier = {key: value for key, value in orjson.loads(header).items() if key != "pattern"}
    listing.write_bytes(orjson.dumps(earlier) + b"\n" + names)
    assert go(second, "qa.jsonl", simulator).tally.succeeded == 3, "earlier versions did not keep it"


@pytest.mark.parametrize("limit", [1, None])
def test_a_pattern_of_images_stays_one(limit: int | None, work: Path, simulator: Simulator) -> None:
    """Whether the run is finished or not."""
    pattern, warnings = "photos/*", list[str]()
    go(pattern, "qa.jsonl", simulator, limit=limit)
    (work / "photos" / "new").mkdir()
    add(work / "photos" / "new", "1.png")
    (work / "photos" / "list.txt").write_text("b.png\n")
    add(work / "photos", "a.png")
    settings = make_run_settings(
        [Endpoint(base_url=simulator.base_url, model=MODEL)],
        {"probes": False},
        input=Path(pattern),
        output=Path("qa.jsonl"),
    )
    assert has_listing(settings)
    source = open_inputs([pattern], "image", leave_out=is_file_of(settings), lists_images=True)
    summary = execute_blocking(Run(settings, source, warn=warnings.append))
    assert summary.tally.succeeded == 4
    assert names_in("qa.jsonl")[-1] == "a.png"
    assert warnings[-1] == (
        "The pattern photos/* also matches photos/list.txt, photos/new, which are no images and are skipped: this run "
        "was started with images alone. Give the others to a run of their own."
    )
    assert go(pattern, "qa.jsonl", simulator).state == "already"
    Path("qa.details.jsonl").unlink()
    assert recheck_run(work / "qa.jsonl", dry_run=True).questions == 4
    assert go(pattern, "qa.jsonl", simulator, fresh=True).tally.succeeded == 6, "all matches of a new run are inputs"


def test_a_fresh_run_lists_anew(work: Path, simulator: Simulator) -> None:
    go("photos", "qa.jsonl", simulator)
    add(work / "photos", "a.png")
    (work / "photos" / "c.png").unlink()
    assert go("photos", "qa.jsonl", simulator, fresh=True).tally.succeeded == 3
    assert names_in("qa.jsonl") == ["a.png", "b.png", "d.png"]
    Path("rows.jsonl").write_text('"photos/a.png"\n')
    go("rows.jsonl", "qa.jsonl", simulator, fresh=True)
    assert not list(work.glob("qa.listing*"))


def test_the_input_must_stay_the_folder(work: Path, simulator: Simulator) -> None:
    go("photos", "qa.jsonl", simulator, limit=1)
    shutil.copytree(work / "photos", work / "copy")
    with pytest.raises(SettingsError, match=r"copy is not .*photos, with which this run was started"):
        go("copy", "qa.jsonl", simulator)
    Path("rows.jsonl").write_text('"photos/b.png"\n"photos/c.png"\n')
    with pytest.raises(SettingsError, match="the input is something else now: give only that folder"):
        go("rows.jsonl", "qa.jsonl", simulator)
    (work / "photos").rename(work / "moved")
    assert go("moved", "qa.jsonl", simulator).tally.succeeded == 3


def test_a_file_of_the_user_is_not_taken_for_a_listing(work: Path, simulator: Simulator) -> None:
    Path("qa.listing.jsonl").write_text("mine\n")
    with pytest.raises(SettingsError, match=r"qa\.listing\.jsonl exists, but was not written by a run"):
        go("photos", "qa.jsonl", simulator)
    assert Path("qa.listing.jsonl").read_text() == "mine\n"


def test_a_finished_run_is_rechecked_after_its_folder_changed(work: Path, simulator: Simulator) -> None:
    """Without the details the rows are needed again."""
    go("photos", "qa.jsonl", simulator, details=True)
    add(work / "photos", "a.png")
    Path("qa.details.jsonl").unlink()
    report = recheck_run(work / "qa.jsonl", dry_run=True)
    assert (report.questions, dict(report.changes)) == (3, {})


@pytest.mark.parametrize("inputs", [["photos"], ["photos/*.png"], ["photos/[bc].png", "photos"], ["*.jsonl"]], ids=str)
@pytest.mark.parametrize("place", [".", "out", "elsewhere [1]"])
def test_a_recheck_finds_the_inputs_of_the_run(
    inputs: list[str], place: str, work: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the working directory of the run, whatever the one of the recheck is."""
    for folder in ("out", "elsewhere [1]", "start [2]"):
        (work / folder).mkdir()
    (work / "photos").rename(work / "start [2]" / "photos")
    add(work / "elsewhere [1]" / "photos", "other.png")
    (work / "start [2]" / "rows.jsonl").write_text('"photos/b.png"\n')
    monkeypatch.chdir("start [2]")
    generate(inputs, "../out/qa.jsonl", base_url=simulator.base_url, model=MODEL, probes=False)
    monkeypatch.chdir(work / place)
    (work / "out" / "qa.details.jsonl").unlink()
    counts = {"photos": 3, "photos/*.png": 3, "*.jsonl": 1}
    assert recheck_run(work / "out" / "qa.jsonl").questions == counts.get(inputs[0], 5)


def test_the_command_warns_of_skipped_files_once(work: Path, simulator: Simulator) -> None:
    (work / "photos" / "note.txt").write_text("")
    command = ("run", "photos", "-o", "qa.jsonl", "--base-url", simulator.base_url, "--model", MODEL, "--no-probes")
    for _ in range(2):
        result = persqa(*command, cwd=work)
        assert result.returncode == 0
        assert result.stderr.count("1 file is not an image and is skipped (1 with .txt)") == 1


def kill_after(command: list[str | Path], rows: int, work: Path) -> None:
    process = start(*command, cwd=work)
    while lines_in(work / "qa.jsonl.partial") < rows:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_killed_runs_over_a_growing_folder_lose_and_double_nothing(work: Path) -> None:
    """SIGKILL again and again; before each start, pictures appear in front of all others and one is renamed."""
    add(work / "photos", *(f"m{number}.png" for number in range(600)))
    rng, expected = random.Random(7), 603
    with run_simulator(SimSettings(latency=0.05, jitter=0.5, slots=16)) as server:
        command: list[str | Path] = [
            *("run", "photos", "-o", "qa.jsonl", "--base-url", server.base_url, "--model", MODEL),
            *("--concurrency", "16", "--no-probes"),
        ]
        for number in range(8):
            kill_after(command, lines_in(work / "qa.jsonl.partial") + rng.randint(1, 40), work)
            add(work / "photos", *(f"a{number}-{more}.png" for more in range(20)))
            (work / "photos" / f"m{590 + number}.png").rename(work / "photos" / f"0{number}.png")
            expected += 21
        assert not Path("qa.jsonl").exists(), "all kills came before the end"
        assert persqa(*command, cwd=work).returncode == 1
    answered, failed = names_in("qa.jsonl"), names_in("qa.failed.jsonl")
    assert len(answered) + len(failed) == len({*answered, *failed}) == expected
    assert sorted(failed) == [f"m{590 + number}.png" for number in range(8)]
    assert {path.name for path in (work / "photos").iterdir()} <= set(answered)
    [_, *listed] = Path("qa.listing.jsonl").read_bytes().splitlines()
    numbers = {orjson.loads(name): number for number, name in enumerate(listed)}
    assert [numbers[name] for name in answered] == sorted(numbers[name] for name in answered)
