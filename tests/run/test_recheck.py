"""Today's checks are applied to the raw answers of a finished run, and its files change accordingly."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from persqa_client import generate
from persqa_client.errors import SettingsError
from persqa_client.inputs.files import FileSource
from persqa_client.outcomes import Verification
from persqa_client.run.recheck import recheck_run
from persqa_client.simulator.server import SimSettings, run_simulator
from persqa_client.types import TaskId, Usage
from tests.run.recheck_runs import (
    CHANGED,
    CUP,
    GOOD,
    KEPT,
    QUESTION,
    Judged,
    finish_run,
    make_settings,
    mix,
    store_rows,
)
from tests.run.recheck_runs import open_ledger as open_run
from tests.storage.scenario import read_folder


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def verdicts(folder: Path) -> dict[int, str]:
    """The accepted text or the code of each row that is valid JSON, by its number."""
    prefix = f"Question: {QUESTION}, Answer: "
    accepted = {row["n"]: row["pers_qa"].removeprefix(prefix) for row in read_lines(folder / "qa.jsonl")}
    failed = {row["n"]: row["error"]["code"] for row in read_lines(folder / "qa.failed.jsonl") if "n" in row}
    assert not accepted.keys() & failed.keys()
    return accepted | failed


def test_questions_are_moved_altered_or_kept(tmp_path: Path) -> None:
    output = finish_run(tmp_path, mix())
    before = verdicts(tmp_path)
    report = recheck_run(output)
    expected = {2 * number + 2: text or code for number, (_, (text, code)) in enumerate(CHANGED)}
    assert verdicts(tmp_path) == {number: expected.get(number, verdict) for number, verdict in before.items()}
    assert report.questions == 13
    assert report.changes == Counter(
        {
            ("rejected", "only_tag"): 1,
            ("accepted", "no_tag"): 1,
            ("accepted", "loop"): 1,
            ("altered", ""): 2,
            ("recoded", "loop → no_tag"): 1,
        }
    )
    assert report.examples["altered", ""][0]._asdict() == {
        "row": 10,
        "text": f'"{CUP}"',
        "new_text": CUP,
        "file": "",
    }
    assert report.examples["accepted", "no_tag"][0]._asdict() == {
        "row": 5,
        "text": CUP,
        "new_text": None,
        "file": "",
    }
    assert report.lacks == Counter()


def test_both_files_stay_in_input_order_and_other_bytes_are_unchanged(tmp_path: Path) -> None:
    """As if the run had judged the answers like today."""
    finish_run(tmp_path / "old", mix())
    output = tmp_path / "old" / "qa.jsonl"
    recheck_run(output)
    today = [
        judged
        for number, (changed, (text, code)) in enumerate(CHANGED)
        for judged in (KEPT[number], Judged(changed.raws, code, text))
    ]
    finish_run(tmp_path / "new", today)
    assert output.read_bytes() == (tmp_path / "new" / "qa.jsonl").read_bytes()
    old, new = (read_lines(tmp_path / name / "qa.failed.jsonl") for name in ("old", "new"))
    for row in (*old, *new):
        del row["error"]["message"]
    assert old == new
    counts = [json.loads((tmp_path / name / "qa.run.json").read_bytes())["counts"] for name in ("old", "new")]
    assert counts[0] == counts[1] | {
        "re_asked": counts[0]["re_asked"],
        "made_good_by": counts[0]["made_good_by"],
        "doubtful": counts[0]["doubtful"],
        "doubts": counts[0]["doubts"],
    }
    assert counts[0]["made_good_by"] == {"constraint": 6, "re-ask": 2, "quotes": 1}


def test_other_lines_are_copied_as_they_are(tmp_path: Path) -> None:
    output = finish_run(tmp_path, mix(), row={"x": 1.50})
    lines = set((output.read_bytes() + (tmp_path / "qa.failed.jsonl").read_bytes()).splitlines())
    recheck_run(output)
    after = set((output.read_bytes() + (tmp_path / "qa.failed.jsonl").read_bytes()).splitlines())
    assert len(lines - after) == len(after - lines) == len(CHANGED)


def test_details_and_run_file_follow(tmp_path: Path) -> None:
    output = finish_run(tmp_path, mix())
    before = (tmp_path / "qa.details.jsonl").read_bytes()
    recheck_run(output)
    after = (tmp_path / "qa.details.jsonl").read_bytes()
    assert after.startswith(before)
    added = [json.loads(line) for line in after[len(before) :].splitlines()]
    assert [line["file"] for line in added] == ["failed", "output", "output", "output", "output", "failed"]
    assert [[raw.get("problem") for raw in line["raws"]] for line in added] == [
        ["only_tag"],
        [None, "no_tag"],
        ["no_tag", None],
        [None],
        [None, None],
        ["no_tag"],
    ]
    run = json.loads((tmp_path / "qa.run.json").read_bytes())
    assert run["note"] == "ours"
    for name, path in (("output", "qa.jsonl"), ("failed", "qa.failed.jsonl"), ("details", "qa.details.jsonl")):
        assert run["lengths"][name] == (tmp_path / path).stat().st_size


def test_an_answer_that_the_model_denied_stays_rejected(tmp_path: Path) -> None:
    denied, better = Judged(((CUP, "not_verified"),), "not_verified"), Judged(((CUP, "not_verified"), (GOOD, None)))
    output = finish_run(tmp_path, [denied, better])
    assert not recheck_run(output).changes
    assert verdicts(tmp_path) == {1: "not_verified", 2: GOOD}


YES = Verification("yes", "no", 2, Usage(20, 2))


@pytest.mark.parametrize("verify", ["all", "doubtful", "off"])
def test_a_verdict_holds_for_its_text_only(verify: str, tmp_path: Path) -> None:
    """Whether the text was altered, another answer is accepted, or one for the first time."""
    doubtful = "<mam> might be reading."
    judged = [
        Judged(((f'"{CUP}"', None),), verification=YES),
        Judged(((CUP, "loop"), (GOOD, None)), verification=YES),
        Judged(((CUP, "no_tag"),), "no_tag"),
        Judged(((f'"{doubtful}"', None),), doubts=("hedged",), verification=YES),
    ]
    output = finish_run(tmp_path, judged, verify=verify, details=True)
    recheck_run(output)
    metas = [line["pers_qa_meta"] for line in read_lines(output)]
    assert [meta["answer"] for meta in metas] == [CUP, CUP, CUP, doubtful]
    assert [meta["verification"] for meta in metas] == [None] * 4
    every, some = (["unverified"] if verify in choices else [] for choices in (["all"], ["all", "doubtful"]))
    assert [meta["doubts"] for meta in metas] == [every, every, every, ["hedged", *some]]
    counts = json.loads((tmp_path / "qa.run.json").read_bytes())["counts"]
    assert counts["doubtful"] == (4 if every else 1)


def test_the_doubts_of_a_text_that_stays_are_those_of_today(tmp_path: Path) -> None:
    judged = [
        Judged((("<mam> might be reading.", None),), verification=YES),
        Judged(((GOOD, None),), doubts=("hedged", "unverified")),
        Judged((("A man.", "no_tag"), (GOOD, None)), doubts=("re_asked",)),
    ]
    output = finish_run(tmp_path, judged, verify="all", details=True)
    report = recheck_run(output)
    assert report.changes == Counter({("refreshed", ""): 2})
    metas = [line["pers_qa_meta"] for line in read_lines(output)]
    assert [meta["doubts"] for meta in metas] == [["hedged"], ["unverified"], ["re_asked"]]
    assert metas[0]["verification"]["verdict"] == "yes"
    counts = json.loads((tmp_path / "qa.run.json").read_bytes())["counts"]
    assert (counts["doubtful"], counts["doubts"]) == (3, {"hedged": 1, "unverified": 1, "re_asked": 1})
    assert not recheck_run(output).changes


def test_a_run_of_today_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for number in range(12):
        Image.new("RGB", (32, 32), (20 * number, 90, 90)).save(tmp_path / "pictures" / f"{number}.png")
    script = ("ok", "refusal", "ok", "no_tag")
    runs: list[tuple[str, dict[str, Any]]] = [
        ("one", {}),
        ("three", {"questions": 3, "strategy": "surrogate", "verify": "doubtful"}),
    ]
    for name, flags in runs:
        with run_simulator(SimSettings(latency=0.0, script=script)) as server:
            url = server.base_url
            output = tmp_path / f"{name}.jsonl"
            generate(tmp_path / "pictures", output, base_url=url, model="persqa-simulator", **flags)
        assert not recheck_run(output).changes


def test_a_second_recheck_changes_nothing(tmp_path: Path) -> None:
    output = finish_run(tmp_path, mix())
    recheck_run(output)
    before = read_folder(tmp_path)
    report = recheck_run(output)
    assert not report.changes
    assert read_folder(tmp_path) == before


def test_a_dry_run_reports_the_same_and_writes_nothing(tmp_path: Path) -> None:
    output = finish_run(tmp_path, mix())
    before = read_folder(tmp_path)
    dry = recheck_run(output, dry_run=True)
    assert read_folder(tmp_path) == before
    real = recheck_run(output)
    assert (dry.changes, dry.examples, dry.tally) == (real.changes, real.examples, real.tally)


@pytest.mark.parametrize("questions", [1, 2])
def test_answers_can_move_there_and_back(questions: int, tmp_path: Path) -> None:
    """A moved line has the bytes that the run would have written, with --details and in the answer style too."""
    for style in ("qa", "answer"):
        conversation = {"conversation": [{"from": "human", "value": "<image>\nhi"}], "é": "\\u00e9"}
        flags: dict[str, Any] = {"output_style": style, "details": True, "questions": questions}
        bad, good = Judged((("<mam>", None),)), Judged(((CUP, "no_tag"),), "no_tag")
        for name, judged in (("bad", [bad] * 4), ("good", [good] * 4)):
            finish_run(tmp_path / f"{style}-{name}", judged, row=conversation, **{**flags, "questions": 1})
        recheck_run(tmp_path / f"{style}-bad" / "qa.jsonl")
        recheck_run(tmp_path / f"{style}-good" / "qa.jsonl")
        failed = read_lines(tmp_path / f"{style}-bad" / "qa.failed.jsonl")
        assert [row["conversation"][0]["value"] for row in failed if "n" in row] == ["<image>\nhi"] * 4
        accepted = read_lines(tmp_path / f"{style}-good" / "qa.jsonl")
        assert [row["pers_qa_meta"]["raw"] for row in accepted] == [CUP] * 4
        assert [row["pers_qa_meta"]["finish_reason"] for row in accepted] == ["stop"] * 4
        assert all(row["pers_qa"].endswith(CUP) for row in accepted)
        assert {row["conversation"][0]["value"] for row in accepted} == {
            f"<image>\n{QUESTION}" if style == "answer" else "<image>\nhi"
        }


def test_all_asks_of_a_question_are_checked_also_those_before_a_retry(tmp_path: Path) -> None:
    output = finish_run(tmp_path, [Judged(((CUP, "loop"), ("A man.", "no_tag")), "no_tag"), KEPT[0], KEPT[2]])
    settings = make_settings(tmp_path)
    with open_run(settings) as ledger:
        ledger.retry()
        ledger_judged = [Judged(((GOOD, None),)), Judged((("A man.", "no_tag"), (GOOD, "no_tag")), "no_tag")]
        store_rows(settings, ledger, ledger_judged)
        ledger.finish({"input": str(settings.input), "strategy": "direct"})
    assert verdicts(tmp_path) == {1: GOOD, 2: GOOD, 3: "no_tag"}
    recheck_run(output)
    assert verdicts(tmp_path) == {1: CUP, 2: GOOD, 3: GOOD}
    last = read_lines(tmp_path / "qa.details.jsonl")[-2:]
    assert [len(line["raws"]) for line in last] == [3, 4]
    before = read_folder(tmp_path)
    assert not recheck_run(output).changes
    assert read_folder(tmp_path) == before


def test_a_rechecked_run_is_retried_and_extended(tmp_path: Path) -> None:
    output = finish_run(tmp_path, mix())
    recheck_run(output)
    settings = make_settings(tmp_path)
    failed = [number for number, verdict in verdicts(tmp_path).items() if verdict not in (GOOD, CUP)]
    with open_run(settings) as ledger:
        ledger.retry()
        store_rows(settings, ledger, [Judged(((GOOD, None),))] * len(failed))
        ledger.finish({"input": str(settings.input), "strategy": "direct"})
    assert set(verdicts(tmp_path).values()) == {GOOD, CUP}
    with (tmp_path / "rows.jsonl").open("a") as rows:
        rows.write(json.dumps({"n": 99, "image": "x.jpg", "question": QUESTION}) + "\n")
    with open_run(settings) as ledger:
        ledger.reopen()
        for line, position in FileSource(tmp_path / "rows.jsonl").lines(ledger.start):
            for task_id in ledger.register_row(line, (TaskId(position.number),), position):
                ledger.store_outcome(CHANGED[0][0].to_outcome(task_id))
        ledger.finish({"input": str(settings.input), "strategy": "direct"})
    assert verdicts(tmp_path)[99] == "<mam>"
    report = recheck_run(output)
    assert report.changes == Counter({("rejected", "only_tag"): 1})
    assert verdicts(tmp_path)[99] == "only_tag"


def test_a_failure_file_appears_and_disappears(tmp_path: Path) -> None:
    output = finish_run(tmp_path / "a", [Judged((("<mam>", None),))])
    recheck_run(output)
    assert output.read_bytes() == b""
    assert [row["error"]["row"] for row in read_lines(tmp_path / "a" / "qa.failed.jsonl")] == [1]
    output = finish_run(tmp_path / "b", [Judged(((CUP, "loop"),), "loop")])
    recheck_run(output)
    assert not (tmp_path / "b" / "qa.failed.jsonl").exists()
    assert verdicts(tmp_path / "b") == {1: CUP}


def test_the_input_is_not_needed_with_details(tmp_path: Path) -> None:
    output = finish_run(tmp_path, mix())
    (tmp_path / "rows.jsonl").unlink()
    assert recheck_run(output).changes.total() == len(CHANGED)


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    finish_run(tmp_path, mix())
    for path in tmp_path.glob("qa.*"):
        path.unlink()
    settings = make_settings(tmp_path)
    with pytest.raises(SettingsError, match=r"there is no run with the output .*qa\.jsonl"):
        recheck_run(tmp_path / "qa.jsonl")
    with open_run(settings) as ledger:
        store_rows(settings, ledger, mix())
        with pytest.raises(SettingsError, match="another run is writing"):
            recheck_run(tmp_path / "qa.jsonl")
    before = read_folder(tmp_path)
    with pytest.raises(SettingsError, match=r"is not finished: run its command again until it ends"):
        recheck_run(tmp_path / "qa.jsonl")
    assert read_folder(tmp_path) == before


def test_real_names_are_needed_again(tmp_path: Path) -> None:
    for name, text in (("names.txt", "Anya\n"), ("other.txt", "Bond\n")):
        (tmp_path / name).write_text(text)
    named = Judged((("<mam> holds a cup beside Anya.", None),))
    output = finish_run(tmp_path / "with", [named], names=tmp_path / "names.txt")
    with pytest.raises(SettingsError, match=r"this run had --names .*: give the same file again"):
        recheck_run(output)
    with pytest.raises(SettingsError, match=r"give the file of the run"):
        recheck_run(output, names=tmp_path / "other.txt")
    assert recheck_run(output, names=tmp_path / "names.txt").changes == Counter({("rejected", "name_leak"): 1})
    output = finish_run(tmp_path / "without", [named])
    with pytest.raises(SettingsError, match="this run had no real names"):
        recheck_run(output, names=tmp_path / "names.txt")


def test_an_own_bank_is_not_needed_with_details(tmp_path: Path) -> None:
    (tmp_path / "bank.jsonl").write_text('{"text": "What does {tag} do?", "category": "human"}\n')
    output = finish_run(tmp_path, mix(), bank=str(tmp_path / "bank.jsonl"))
    (tmp_path / "bank.jsonl").unlink()
    assert recheck_run(output).changes.total() == len(CHANGED)


def edit_details(folder: Path, edit: Callable[[list[bytes]], list[bytes]]) -> None:
    """Changes the lines, and the length in the run file."""
    path = folder / "qa.details.jsonl"
    path.write_bytes(b"".join(edit(path.read_bytes().splitlines(keepends=True))))
    run = json.loads((folder / "qa.run.json").read_text())
    run["lengths"]["details"] = path.stat().st_size
    (folder / "qa.run.json").write_text(json.dumps(run))


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda lines: [*lines[1:], lines[-1].replace(b'"row":', b'"row":1', 1)], id="other rows"),
        pytest.param(lambda lines: [line.replace(b'"failed"', b'"output"', 1) for line in lines], id="other file"),
        pytest.param(lambda lines: [line.replace(b"reads", b"read", 2) for line in lines], id="other answer"),
        pytest.param(lambda lines: [line.replace(b'"row"', b'"line"', 1) for line in lines], id="no place"),
        pytest.param(lambda lines: [line.replace(b'"usage"', b'"used"', 1) for line in lines], id="no usage"),
    ],
)
def test_files_that_do_not_fit_together_are_refused_and_kept(
    edit: Callable[[list[bytes]], list[bytes]], tmp_path: Path
) -> None:
    output = finish_run(tmp_path, mix())
    edit_details(tmp_path, edit)
    before = read_folder(tmp_path)
    reasons = r"do not fit together|is not the one in qa.details.jsonl: restore|not written by a run|can't be read"
    with pytest.raises(SettingsError, match=reasons):
        recheck_run(output)
    assert read_folder(tmp_path) == before


def test_surrogates_are_replaced_again(tmp_path: Path) -> None:
    """The run asked about the surrogate, so its raw answers have that name."""
    output = finish_run(tmp_path, [Judged((("Charlie holds a cup.", "no_tag"),), "no_tag")], strategy="surrogate")
    asked = b'"strategy":"surrogate","surrogate":"Charlie"'
    edit_details(
        tmp_path, lambda lines: [lines[0].replace(b'"surrogate":null', asked).replace(b'"strategy":"direct",', b"")]
    )
    recheck_run(output)
    assert verdicts(tmp_path) == {1: CUP}
    assert read_lines(tmp_path / "qa.details.jsonl")[-1]["made_good_by"] == ["constraint", "surrogate"]


@pytest.mark.parametrize("name", ["qa.details.jsonl", "qa.failed.jsonl", "qa.jsonl"])
def test_a_file_that_can_not_be_read_is_named(name: str, tmp_path: Path) -> None:
    output = finish_run(tmp_path, mix())
    path = tmp_path / name
    path.unlink()
    path.mkdir()
    run = json.loads((tmp_path / "qa.run.json").read_text())
    key = {"qa.jsonl": "output", "qa.failed.jsonl": "failed"}.get(name, "details")
    run["lengths"][key] = path.stat().st_size
    (tmp_path / "qa.run.json").write_text(json.dumps(run))
    with pytest.raises(SettingsError, match=rf"{name} can't be read \(Is a directory\)"):
        recheck_run(output)
