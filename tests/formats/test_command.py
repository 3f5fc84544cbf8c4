"""``persqa export``: a real run, its messages and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

from persqa_client.formats.registry import LAYOUTS
from persqa_client.outcomes import Outcome
from persqa_client.records.run_records import open_recorded_runs
from persqa_client.simulator.server import Simulator
from tests.formats.examples import make_rows, read_rows, write_run
from tests.records.test_record_decisions import CUP, PLATE, decide_on
from tests.report.runs import WrittenRun, make_failure, make_record, write_pictures
from tests.support.commands import persqa


def test_a_run_is_exported_with_its_pictures(simulator: Simulator, tmp_path: Path) -> None:
    write_pictures(tmp_path, "a.png", "b.png")
    (tmp_path / "rows.jsonl").write_text('{"image": ["a.png"]}\n{"image": ["b.png"], "id": "bo"}\n')
    model = ("--base-url", simulator.base_url, "--model", "persqa-simulator", "--no-probes")
    run = persqa("run", "rows.jsonl", "-o", "out/qa.jsonl", "--questions", "2", *model, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    result = persqa("export", "out/qa.jsonl", "--to", "llava", "-o", "data", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == "4 rows, 2 pictures: data. See data/export.json.\n"
    rows = read_rows(tmp_path / "data" / "train.json")
    assert [row["id"] for row in rows] == ["qa-1", "qa-1-2", "bo", "bo-2"]
    assert all((tmp_path / "data" / row["image"]).exists() for row in rows)
    again = persqa("export", "out/qa.jsonl", "--to", "swift", "-o", "data", "--force", cwd=tmp_path)
    assert again.returncode == 0, again.stderr


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    write_run(tmp_path / "run", [*make_rows(2), {"image": "missing.png"}])
    result = persqa("export", "run/qa.jsonl", "--to", "trl", "-o", "data", "--split", "all=1", cwd=tmp_path)
    left, written = result.stderr.splitlines()
    assert left.startswith("1 row left out (image_missing 1). The first is qa-3: missing.png does not exist in ")
    assert written == "2 rows, 2 pictures: data. See data/export.json."
    (tmp_path / "part").mkdir()
    write_pictures(tmp_path / "part", "1.png")
    WrittenRun(tmp_path / "part").leave_unfinished([make_record(1)])
    result = persqa("export", "part/qa.jsonl", "--to", "llava", "-o", "one.json", cwd=tmp_path)
    assert result.stderr.splitlines() == [
        "part/qa.jsonl is unfinished: exported as far as it is.",
        "1 row: one.json. See one.json.export.json.",
    ]
    assert json.loads((tmp_path / "one.json.export.json").read_text())["runs"][0]["state"] == "unfinished"


def test_the_parts_of_a_split_are_named_and_far_shares_are_said(tmp_path: Path) -> None:
    write_run(tmp_path / "run", make_rows(4))
    split = ("export", "run/qa.jsonl", "--to", "llava", "--by", "row", "--split", "fit=0.5,held=0.5")
    texts = []
    # Some seeds give halves, and others don't.
    for seed in range(12):
        texts.append(persqa(*split, "--seed", str(seed), "-o", f"data{seed}", cwd=tmp_path).stderr)
        assert "4 rows (fit.json " in texts[-1]
    far = [text for text in texts if "held has 25 % of the rows instead of 50 %" in text]
    assert far
    assert any("instead of" not in text for text in texts)


def test_the_result_is_one_object_for_a_script(tmp_path: Path) -> None:
    write_run(tmp_path / "run", [*make_rows(2), {"image": "missing.png"}])
    words = ("export", "run/qa.jsonl", "--to", "trl", "-o", "data", "--json")
    result = persqa(*words, cwd=tmp_path)
    found = json.loads(result.stdout)
    assert (found["state"], found["exit_code"], found["files"]) == ("written", 0, {"train.jsonl": 2})
    assert found["left_out"] == {"image_missing": 1}
    assert result.stderr.splitlines() == found["warnings"]
    again = persqa(*words, cwd=tmp_path)
    found = json.loads(again.stdout)
    assert (again.returncode, found["state"], found["reason"]["code"]) == (2, "refused", "settings")
    assert "data has an export" in found["reason"]["message"]


def test_quiet_leaves_warnings(tmp_path: Path) -> None:
    write_run(tmp_path / "run", make_rows(1))
    words = ("export", "run/qa.jsonl", "--to", "llava", "-q")
    assert persqa(*words, "-o", "data", cwd=tmp_path).stderr == ""
    assert "has no rows" in persqa(*words, "-o", "parts", "--split", "a=0.5,b=0.5", cwd=tmp_path).stderr


def test_errors_are_one_sentence(tmp_path: Path) -> None:
    write_run(tmp_path / "run", make_rows(1))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    for arguments, message in (
        (("qa.jsonl", "-o", "data"), "Error: there is no output qa.jsonl: name the output of a run.\n"),
        (("run/qa.jsonl", "-o", "full"), "Error: the folder full is not empty: give -o a new folder.\n"),
        (("run/qa.jsonl", "-o", "data", "--split", "train=2"), "Error: --split: the share '2' is not a number above"),
    ):
        result = persqa("export", "--to", "llava", *arguments, cwd=tmp_path)
        assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
        assert result.stderr.startswith(message)
    assert persqa("export", "run/qa.jsonl", "--to", "nothing", "-o", "data", cwd=tmp_path).returncode == 2
    assert {path.name for path in tmp_path.iterdir()} == {"run", "full"}


def test_decisions_of_people_apply_and_are_said(tmp_path: Path) -> None:
    outcomes: list[Outcome] = [make_record(1), make_record(2), make_record(3), make_failure(4)]
    output = write_run(tmp_path, make_rows(4), outcomes=outcomes)
    decide_on(output, {1: "reject", 2: "edit", 3: "accept", 4: "accept"})
    for name in ("llava", "jsonl"):
        result = persqa("export", "qa.jsonl", "--to", name, "-o", f"{name}.jsonl", cwd=tmp_path)
        assert result.stderr.splitlines() == [
            "Decided by hand: accepted 2, edited 1, rejected 1; 1 of them the answer of a failed question.",
            "1 row left out (decision 1). The first is qa-1: a decision rejects it.",
            f"3 rows: {name}.jsonl. See {name}.jsonl.export.json.",
        ]
        rows = [LAYOUTS[name].read(row) for row in read_rows(tmp_path / f"{name}.jsonl")]
        assert [row.answer for row in rows] == [PLATE, CUP, "I can't help."]
    description = json.loads((tmp_path / "llava.jsonl.export.json").read_text())
    assert description["decisions"] == {"accept": 2, "edit": 1, "failed": 1, "reject": 1}
    assert description["counts"]["failed"] == 0


def test_answers_that_wait_for_an_earlier_row_are_counted_with_the_way_to_get_them(tmp_path: Path) -> None:
    """The journal does not know the lines of the rows, so that only the run can write them."""
    write_pictures(tmp_path, "1.png", "2.png", "3.png")
    journaled: list[Outcome] = [make_record(3), make_failure(4), make_record(5), make_record(5)]
    WrittenRun(tmp_path).leave_unfinished([], journaled=journaled)
    to = ("--to", "llava", "-o", "data")
    nothing = persqa("export", "qa.jsonl", *to, cwd=tmp_path)
    assert nothing.returncode == 2
    assert nothing.stderr == (
        "Error: qa.jsonl has no row to export yet: the run stored 2 accepted answers, which wait for an unfinished row "
        "before; finish the run with the same persqa run command, and export again.\n"
    )
    WrittenRun(tmp_path).leave_unfinished([make_record(1)], torn=b"{", journaled=[make_record(3)])
    some = persqa("export", "qa.jsonl", *to, cwd=tmp_path)
    assert some.returncode == 0
    assert some.stderr.splitlines()[0].endswith(
        "exported as far as it is. 1 more accepted answer waits for an unfinished row before; the same persqa run "
        "command finishes the run."
    ), some.stderr


def test_only_the_runs_that_are_unfinished_are_to_be_finished(tmp_path: Path) -> None:
    WrittenRun(tmp_path, "a.jsonl").finish([make_failure(1)])
    to = ("--to", "llava", "-o", "data")
    WrittenRun(tmp_path, "b.jsonl").finish([make_failure(1)])
    result = persqa("export", "a.jsonl", "b.jsonl", *to, cwd=tmp_path)
    assert result.stderr == "Error: a.jsonl, b.jsonl have no accepted answer: nothing is written.\n"
    WrittenRun(tmp_path, "c.jsonl").leave_unfinished([make_failure(1)])
    result = persqa("export", "a.jsonl", "b.jsonl", "c.jsonl", *to, cwd=tmp_path)
    assert result.stderr.startswith("Error: c.jsonl has no accepted answer yet: finish the run")
    for name in "d.jsonl", "e.jsonl":
        WrittenRun(tmp_path, name).leave_unfinished([], journaled=[make_record(3)])
        result = persqa("export", "a.jsonl", "c.jsonl", name, *to, cwd=tmp_path)
        assert result.stderr.startswith(f"Error: {name} has no row to export yet: the run stored 1 accepted answer, ")
    result = persqa("export", "a.jsonl", "d.jsonl", "e.jsonl", *to, cwd=tmp_path)
    assert result.stderr.startswith(
        "Error: d.jsonl, e.jsonl have no row to export yet: the runs stored 2 accepted answers, which wait for an "
    )


def test_lines_written_since_the_checkpoint_do_not_wait(tmp_path: Path) -> None:
    write_pictures(tmp_path, "1.png", "2.png")
    records = [make_record(1), make_record(2)]
    run = WrittenRun(tmp_path)
    line = b'{"image": ["1.png"], "pers_qa": "Question: Q?, Answer: <mam> holds a cup."}\n'
    run.leave_unfinished([], torn=line, journaled=records)
    for file in tmp_path.glob("qa.failed*"), tmp_path.glob("qa.details*"):
        for path in file:
            path.unlink()
    (opened,) = open_recorded_runs([run.output])
    assert (opened.extent.rows, opened.extent.waiting) == (1, 1)
