"""The page is one file that sends nothing, and no text in it becomes markup, style or script."""

from __future__ import annotations

import base64
import json
import re
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from persqa_client.errors import SettingsError, StorageError
from persqa_client.report.data import ReportData, escape_json, name_outputs
from persqa_client.report.page import SCRIPTS, WEB, render_page, write_report
from persqa_client.report.row_reader import ReportRow
from persqa_client.report.rows import ReportedRun, read_run
from persqa_client.storage.run_files import RunFiles
from persqa_client.types import TaskId
from tests.report.runs import IDENTITY, WrittenRun, make_failure, make_input_failure, make_record, write_pictures

HOSTILE = (
    "<script>window.hacked=1</script>",
    "</script><script>window.hacked=1</script>",
    "<!-- <script>",
    "]]>\u2028\u2029\x00\x1b[31m\u202eabc",
    "<img src=x onerror=window.hacked=1>",
    "\ud800 &lt; &amp; ' \"",
)


class Elements(HTMLParser):
    """The elements of a page, with their attributes and, for scripts and styles, their texts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[int, str] = {}
        self._is_open = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._is_open = True

    def handle_endtag(self, tag: str) -> None:
        self._is_open = False

    def handle_data(self, data: str) -> None:
        if self._is_open and self.found[-1][0] in {"script", "style", "title", "h1"}:
            self.texts[len(self.found) - 1] = self.texts.get(len(self.found) - 1, "") + data

    def named(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [
            (attributes, self.texts.get(number, ""))
            for number, (name, attributes) in enumerate(self.found)
            if name == tag
        ]


def parts_of(page: str) -> list[dict[str, Any]]:
    return [
        json.loads(text) for attributes, text in Elements(page).named("script") if attributes.get("class") == "part"
    ]


def write(folder: Path, *outcomes: Any, **more: Any) -> str:
    output = WrittenRun(folder).finish(outcomes, **more)
    write_report([output], folder / "report.html")
    return (folder / "report.html").read_text(encoding="utf-8")


def test_untrusted_texts_stay_data(tmp_path: Path) -> None:
    outcomes: list[Any] = []
    lines: dict[int, Any] = {}
    for number, text in enumerate(HOSTILE[:-1]):
        rows = [3 * number + step for step in (1, 2, 3)]
        outcomes += [
            make_record(rows[0], f"<mam> {text}", asked=f"What {text}?"),
            make_failure(rows[1], asked=text, raw=text),
            make_input_failure(rows[2]),
        ]
        lines |= {row: {"image": [f"{text}.png"]} for row in rows}
    page = write(tmp_path, *outcomes, lines=lines)
    elements = Elements(page)
    assert [attributes.get("type") for attributes, _ in elements.named("script")] == [
        "application/json",
        "application/json",
        None,
    ]
    assert not elements.named("img")
    data = page[page.index('<script type="application/json" class="part">') :].partition("</script>")[0]
    assert "<" not in data.partition(">")[2]
    assert not set(data) & set("\u2028\u2029\x00\x1b")
    part = parts_of(page)[0]
    assert [row["answer"] for row in part["rows"] if "answer" in row] == [f"<mam> {text}" for text in HOSTILE[:-1]]


def test_json_in_a_script_has_no_markup() -> None:
    text = escape_json({"<a>&": "".join(HOSTILE)})
    assert not set(text) & set("<>&\u2028\u2029")
    assert json.loads(text) == {"<a>&": "".join(HOSTILE)}


def test_names_of_outputs_are_escaped_in_the_frame(tmp_path: Path) -> None:
    name = "<script>window.hacked=1<!-- &amp;.jsonl"
    output = WrittenRun(tmp_path, name=name).finish([make_record(1)])
    write_report([output], tmp_path / "report.html")
    elements = Elements((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert len(elements.named("script")) == 3
    assert elements.named("h1")[0][1] == name


def test_the_policy_allows_only_the_own_style_and_script(tmp_path: Path) -> None:
    page = write(tmp_path, make_record(1))
    policy = next(
        content
        for attributes, _ in Elements(page).named("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy" and (content := attributes["content"])
    )
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    style, script = (
        [text for given, text in Elements(page).named(tag) if "type" not in given] for tag in ("style", "script")
    )
    assert len(style) == len(script) == 1
    for rule, text in (("style-src", style[0]), ("script-src", script[0])):
        digest = base64.b64encode(sha256(text.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert "unsafe" not in policy


def test_the_page_needs_no_other_file(tmp_path: Path) -> None:
    write_pictures(tmp_path, "1.png")
    page = write(tmp_path, make_record(1))
    for tag, attributes in Elements(page).found:
        assert "src" not in attributes, tag
        assert attributes.get("href", "#").startswith("#"), tag  # type: ignore[union-attr]
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")], tag


def test_the_script_makes_no_markup_of_texts() -> None:
    for name in SCRIPTS:
        script = (WEB / name).read_text(encoding="utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|new Function|fetch\(", script
        )
        assert not re.search(r"</script|<!--", script, re.IGNORECASE)


def test_both_languages_have_the_same_texts() -> None:
    script = (WEB / "texts.js").read_text(encoding="utf-8")
    english, chinese = (
        dict(re.findall(r'^    (\w+): "(.*)",$', block, re.MULTILINE)) for block in script.split("  zh: {")
    )
    assert english.keys() == chinese.keys()
    for name, text in english.items():
        numbers = [set(re.findall(r"\{\d\}", each)) for each in (text, chinese[name])]
        assert numbers[0] == numbers[1], name
    used = {
        key
        for name in (*SCRIPTS, "page.html.jinja")
        for key in re.findall(r'say\("(\w+)"|data-\w+="(\w+)"', (WEB / name).read_text(encoding="utf-8"))
        for key in key
        if key
    }
    assert used <= english.keys()


def test_what_rows_share_is_written_once(tmp_path: Path) -> None:
    write_pictures(tmp_path, "1.png", "2.png")
    outcomes = [make_record(row, question=number) for row in (1, 2) for number in range(3)]
    part = parts_of(write(tmp_path, *outcomes))[0]
    assert [row["id"] for row in part["rows"]] == ["1.1", "1.2", "1.3", "2.1", "2.2", "2.3"]
    assert [row["pictures"] for row in part["rows"]] == [[0]] * 3 + [[1]] * 3
    assert [picture[0] for picture in part["pictures"]] == ["1.png", "2.png"]
    assert all(picture[1].startswith("data:image/jpeg;base64,") for picture in part["pictures"])
    assert part["questions"] == [["What does <mam> hold?", "en"]]


def test_several_runs_are_in_one_page(tmp_path: Path) -> None:
    outputs = [WrittenRun(tmp_path, name=f"{name}.jsonl").finish([make_record(1)]) for name in "ab"]
    write_report(outputs, tmp_path / "report.html")
    rows = parts_of((tmp_path / "report.html").read_text())[0]["rows"]
    assert [(row["id"], row["run"]) for row in rows] == [("1-1", 0), ("2-1", 1)]


def test_runs_of_one_name_have_their_paths(tmp_path: Path) -> None:
    runs = [ReportedRun(Path(name), "finished", IDENTITY, [], (), 0, False) for name in ("a/qa.jsonl", "b/qa.jsonl")]
    assert name_outputs([run.output for run in runs]) == ["a/qa.jsonl", "b/qa.jsonl"]
    assert name_outputs([runs[0].output]) == ["qa.jsonl"]


def test_at_most_some_pictures_have_thumbnails(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(1, 11)]
    write_pictures(tmp_path, *names, size=(8, 8))
    run = read_run(WrittenRun(tmp_path).finish([make_record(number) for number in range(1, 11)]))
    data = ReportData([run], max_thumbnails=5)
    page = "".join(render_page([run], data))
    assert data.describe()["thumbnails"] == 5
    assert [bool(picture[1]) for picture in parts_of(page)[0]["pictures"]] == [True, False] * 5


def test_a_row_of_a_large_page_takes_a_few_hundred_bytes(tmp_path: Path) -> None:
    rows = [ReportRow(TaskId(row), row, (f"{row % 40}.png",), make_record(row)) for row in range(1, 5001)]
    run = ReportedRun(tmp_path / "qa.jsonl", "finished", IDENTITY, rows, (tmp_path,), 0, False)
    sizes = [len(piece) for piece in render_page([run], ReportData([run]))]
    frame = sum(len((WEB / name).read_text()) for name in (*SCRIPTS, "report.css", "page.html.jinja"))
    assert sum(sizes) - frame < 5000 * 260


def test_long_texts_are_cut(tmp_path: Path) -> None:
    page = write(tmp_path, make_record(1, "<mam> " + "a" * 1_000_000))
    assert len(page) < 300_000


def test_an_earlier_report_is_replaced_but_nothing_else(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).finish([make_record(1)])
    page = tmp_path / "new" / "report.html"
    for _ in range(2):
        write_report([output], page)
    page.write_text("<html>mine</html>")
    with pytest.raises(SettingsError, match=r"not a report.*--force"):
        write_report([output], page)
    assert page.read_text() == "<html>mine</html>"
    write_report([output], page, force=True)
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert [path.name for path in page.parent.iterdir()] == ["report.html"]


def test_the_files_of_the_run_are_never_replaced(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).finish([make_record(1)])
    for page in (output, RunFiles.for_output(output).details, tmp_path / "qa.jsonl.partial"):
        with pytest.raises(SettingsError, match="one of the files"):
            write_report([output], page, force=True)
    with pytest.raises(SettingsError, match="is a folder"):
        write_report([output], tmp_path, force=True)


def test_a_page_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    output = WrittenRun(tmp_path).finish([make_record(1)])
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"report\.html can't be written"):
        write_report([output], tmp_path / "file" / "report.html")


@pytest.mark.parametrize("length", [250, 253, 255])
def test_a_page_may_have_any_name_that_the_file_system_takes(tmp_path: Path, length: int) -> None:
    page = tmp_path / f"{'报' * 50}{'p' * (length - 155)}.html"
    output = WrittenRun(tmp_path).finish([make_record(1)])
    write_report([output], page)
    assert page.stat().st_size > 0
    assert not list(tmp_path.glob("*.tmp"))
    with pytest.raises(SettingsError, match="is too long: choose a shorter -o"):
        write_report([output], page.with_name("p" * 256))
