"""The plots of a served page follow the timeline of the run."""

from __future__ import annotations

from pathlib import Path

from persqa_client.report.followed_timeline import FollowedTimeline
from persqa_client.report.plots import make_timeline_json
from persqa_client.run.timeline import read_timeline
from persqa_client.storage.run_files import RunFiles
from tests.report.runs import WrittenRun, make_record
from tests.report.test_browser_plots import write_timeline
from tests.report.test_served_runs import read_all, serve


def test_a_timeline_is_followed_until_the_run_is_finished(tmp_path: Path) -> None:
    files = RunFiles.for_output(tmp_path / "qa.jsonl")
    followed = FollowedTimeline(files.output)
    assert not followed.look("unfinished")
    assert followed.describe() is None
    write_timeline(files.timeline_partial)
    lines = files.timeline_partial.read_bytes().splitlines(keepends=True)
    files.timeline_partial.write_bytes(b"".join(lines[:3]))
    assert followed.look("unfinished")
    assert not followed.look("unfinished")
    first = followed.describe()
    assert first is not None
    with files.timeline_partial.open("ab") as file:
        file.writelines(lines[3:])
    assert followed.describe() == first
    assert followed.look("unfinished")
    whole = followed.describe()
    assert whole is not None
    assert len(whole["seconds"]) > len(first["seconds"])
    files.timeline_partial.rename(files.timeline)
    assert followed.look("finished")
    assert followed.describe() == whole == make_timeline_json(read_timeline(files.timeline))


def test_new_samples_are_new_to_the_page(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).finish([make_record(1)])
    with serve(output) as runs:
        assert runs.count_figures({})["timelines"] == [None]
        version = runs.version
        write_timeline(RunFiles.for_output(output).timeline)
        read_all(runs)
        assert runs.version > version
        assert runs.count_figures({"failed": "true"})["timelines"][0]["rate"]
