"""``persqa estimate``: what it tells of an input, with a pilot and without one."""

from __future__ import annotations

import inspect
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from persqa_client.cli.estimate import estimate
from persqa_client.cli.estimate_report import describe_problems, format_interval, format_times, make_run_command
from persqa_client.config import Endpoint, Limits, Recipe, Sampling
from persqa_client.run.estimate import QuestionBounds, bound_question, estimate_run, estimate_seconds
from persqa_client.run.input_survey import InputSurvey
from persqa_client.run.intervals import Estimate
from persqa_client.run.pilot import PilotQuestion
from persqa_client.run.settings import make_run_settings
from persqa_client.simulator.server import DEFAULT_MODEL, SimSettings, Simulator, run_simulator
from tests.support.commands import lines_in, persqa

ROWS = 500


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(5):
        Image.new("RGB", (300 + 60 * number, 400), (50 * number, 90, 0)).save(tmp_path / f"{number}.png")
    lines = [{"image": f"{number % 5}.png", "id": number} for number in range(ROWS)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def estimate_as_json(folder: Path, *arguments: str) -> dict[str, Any]:
    result = persqa("estimate", *arguments, "--json", cwd=folder)
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["exit_code"] == result.returncode
    return found


def test_the_input_is_told_without_a_request(folder: Path) -> None:
    with (folder / "in.jsonl").open("a") as file:
        file.write('{"image": "none.png"}\n{"image": 5}\n')
    before = sorted(folder.iterdir())
    result = persqa("estimate", "in.jsonl", "--model", "Qwen/Qwen2.5-VL-3B-Instruct", "--pilot", "5", cwd=folder)
    assert result.returncode == 0, result.stderr
    assert sorted(folder.iterdir()) == before
    lines = result.stdout.splitlines()
    assert lines[0] == "rows              502: 500 can be asked about"
    assert "  image_missing   1; Line 501: none.png does not exist in the working directory." in lines
    assert "requests          500, one for each question" in lines
    assert any(re.fullmatch(r"pictures          500, 5 different ones with \d+ (KB|bytes)", line) for line in lines)
    assert any(", by the rule of the model; " in line for line in lines)
    command = "persqa run in.jsonl --model Qwen/Qwen2.5-VL-3B-Instruct -o qa.jsonl --base-url URL"
    assert lines[-1] == f"to run it         {command}"
    assert result.stderr == ""


@pytest.mark.slow
def test_the_total_of_a_run_is_near_the_estimate_although_lengths_have_a_heavy_tail(folder: Path) -> None:
    with run_simulator(SimSettings(latency=0, hidden_tokens=60)) as server:
        words = ("in.jsonl", "--base-url", server.base_url, "--model", DEFAULT_MODEL, "--no-probes")
        small = estimate_as_json(folder, *words)["estimate"]
        large = estimate_as_json(folder, *words, "--pilot", "100")["estimate"]
        run = persqa("run", *words, "-o", "qa.jsonl", "--json", cwd=folder)
    found = json.loads(run.stdout)
    assert (found["answered"], lines_in(folder / "qa.jsonl")) == (ROWS, ROWS)
    taken = found["tokens"]
    assert large["completion_tokens"]["value"] == pytest.approx(taken["completion"], rel=0.15)
    everything = taken["prompt"] + taken["completion"]
    assert small["tokens"]["value"] == pytest.approx(everything, rel=0.15)
    assert small["tokens"]["low"] <= everything <= small["tokens"]["high"]
    assert large["prompt_tokens"]["value"] == pytest.approx(taken["prompt"], rel=0.03)
    for estimated in (small, large):
        assert estimated["completion_tokens"]["low"] <= taken["completion"] <= estimated["completion_tokens"]["high"]
        assert estimated["requests"] == {"value": ROWS, "low": ROWS, "high": ROWS}
    widths = [each["completion_tokens"]["high"] - each["completion_tokens"]["low"] for each in (small, large)]
    assert widths[0] > 1.5 * widths[1] > 0


def test_the_rule_of_an_unnamed_model_is_found_by_its_tokens(folder: Path, simulator: Simulator) -> None:
    words = ("in.jsonl", "--limit", "3", "--base-url", simulator.base_url, "--model", DEFAULT_MODEL)
    asked = {more: estimate_as_json(folder, *words, *more) for more in ((), ("--no-probes",), ("--pilot", "0"))}
    assert [each["prompt_tokens"]["by_rule_of_model"] for each in asked.values()] == [True, False, False]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        ((0.2, 0.1, 0.4), "less than a second"),
        ((0.6, 0.4, 3), "about 1 s (0 s to 3 s)"),
        ((30, 20, 80), "about 30 s (20 s to 0:01:20)"),
        ((90, 90, 90), "about 0:01:30"),
        ((5, 1, float("inf")), "about 5 s (1 s to any time)"),
    ],
)
def test_a_short_time_has_no_zeros(seconds: tuple[float, float, float], text: str) -> None:
    assert format_times(Estimate(*seconds)) == text


def test_a_pilot_tells_time_and_cost(folder: Path) -> None:
    with run_simulator(SimSettings(latency=0.1)) as server:
        (folder / "more" / "notes.txt").parent.mkdir()
        (folder / "more" / "notes.txt").write_text("no image, which a warning says once")
        Image.new("RGB", (300, 400)).save(folder / "more" / "z.png")
        words = ("in.jsonl", "more", "--base-url", server.base_url, "--no-probes", "--pilot", "6", "--limit", "60")
        prices = ("--price-in", "1000000", "--price-out", "0")
        result = persqa("estimate", *words, *prices, "-o", "my.jsonl", "--log-file", "e.log", cwd=folder)
        assert server.stats()["requests"] == 6
    assert (result.returncode, result.stderr.count("Warning: ")) == (0, 1), result.stderr
    figures = {line[:17].strip(): line[18:] for line in result.stdout.splitlines()}
    assert figures["pilot"] == "6 questions with 6 requests"
    assert figures["requests"] == "60"
    assert "at 6 requests at once, each as fast as in the pilot (auto may find" in figures["time"]
    tokens, cost = (float(figures[name].split()[1].replace(",", "")) for name in ("tokens in", "cost"))
    assert cost == pytest.approx(tokens, abs=1)
    assert figures["cost"].endswith("(--price-in and --price-out)")
    assert figures["to run it"].startswith("persqa run in.jsonl more --base-url http://")
    assert figures["to run it"].endswith("-o my.jsonl --log-file e.log")
    assert "pilot             6 questions" in (folder / "e.log").read_text()


def test_an_input_without_usable_rows_is_exit_2(folder: Path) -> None:
    (folder / "bad.jsonl").write_text('{"image": "none.png"}\n')
    found = estimate_as_json(folder, "bad.jsonl")
    assert (found["exit_code"], found["usable_rows"], found["reason"]["code"]) == (2, 0, "no_rows")
    assert found["unusable"]["image_missing"]["count"] == 1
    assert persqa("estimate", "nothing.jsonl", cwd=folder).returncode == 2


def test_a_server_that_is_away_is_exit_3_after_what_the_input_tells(folder: Path) -> None:
    words = ("--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--max-outage", "0")
    found = estimate_as_json(folder, "in.jsonl", *words)
    assert (found["exit_code"], found["rows"], found["pilot"]) == (3, ROWS, None)
    assert found["reason"]["code"] == "no_connection_refused"
    result = persqa("estimate", "in.jsonl", *words, cwd=folder)
    assert (result.returncode, result.stdout.startswith("rows              500")) == (3, True)
    assert "Nothing listens" in result.stderr


def test_rows_from_standard_input_are_estimated(folder: Path, simulator: Simulator) -> None:
    text = (folder / "in.jsonl").read_text()
    words = ("--base-url", simulator.base_url, "--model", DEFAULT_MODEL, "--no-probes", "--pilot", "3")
    result = persqa("estimate", "-", *words, cwd=folder, input=text)
    assert result.returncode == 0, result.stderr
    assert "rows              500: 500 can be asked about\n" in result.stdout


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("estimate photos --pilot=3 -q --model m", "persqa run photos --model m -o qa.jsonl"),
        ("estimate photos -o x.jsonl --pilot 3", "persqa run photos -o x.jsonl"),
        ("estimate photos -ox.jsonl", "persqa run photos -ox.jsonl"),
        (
            """estimate a --extra-body '{"token": "hunter-2", "n": 1}'""",
            """persqa run a --extra-body '{"token": "…", "n": 1}' -o qa.jsonl""",
        ),
        (
            """estimate a --extra-body='{"api_key":"x"}'""",
            """persqa run a '--extra-body={"api_key": "…"}' -o qa.jsonl""",
        ),
        ("""estimate a --extra-body '{"n":1}'""", """persqa run a --extra-body '{"n":1}' -o qa.jsonl"""),
        ("estimate estimate --output=x.jsonl --json", "persqa run estimate --output=x.jsonl"),
        ("estimate -- -photos", "persqa run -o qa.jsonl -- -photos"),
    ],
)
def test_the_command_of_the_run_follows(words: str, command: str) -> None:
    assert make_run_command(shlex.split(words)) == command


KEY = "sk-abcdef1234567890abcdef1234567890"


def test_no_form_of_the_command_shows_a_key(folder: Path) -> None:
    words = ("in.jsonl", "--base-url", f"http://127.0.0.1:9/v1?api_key={KEY}", "--model", "m", "--pilot", "0")
    body = ("--extra-body", json.dumps({"token": f"{KEY}7", "top_k": 5}))
    for form in ((), ("--json",)):
        result = persqa("estimate", *words, *body, *form, "--log-file", "e.log", cwd=folder)
        assert result.returncode == 0, result.stderr
        assert "persqa run in.jsonl --base-url " in result.stdout
        assert KEY not in result.stdout + result.stderr + (folder / "e.log").read_text()


SURVEY = InputSurvey(rows=100, measured=100, usable_measured=100, questions_measured=100, text_tokens_measured=1e4)
TEN = Estimate(10.0, 5.0, 20.0)


def test_the_slowest_limit_decides_the_time() -> None:
    def seconds(**limits: Any) -> tuple[Estimate, str]:
        return estimate_seconds(Estimate(60.0, 60.0, 60.0), TEN, TEN, 2.0, Limits(**limits), 4)

    found, pace = seconds(concurrency=4)
    assert (found, pace) == (Estimate(30.0, 15.0, 60.0), "at 4 requests at once, each as fast as in the pilot")
    assert seconds(rpm=30) == (Estimate(120.0, 120.0, 120.0), "at --rpm 30")
    assert seconds(rps=1) == (Estimate(60.0, 60.0, 60.0), "at --rps 1")
    assert seconds(tpm=2) == (Estimate(600.0, 300.0, 1200.0), "at --tpm 2")


def test_a_question_may_take_all_asks_and_verdicts_with_all_their_attempts() -> None:
    def bound(endpoints: int = 1, **flags: Any) -> QuestionBounds:
        urls = [Endpoint(base_url=f"http://127.0.0.1:{port}/v1", model="m") for port in range(9, 9 + endpoints)]
        return bound_question(make_run_settings(urls, {"max_tokens": 512, **flags}))

    # Two asks, the second with twice the tokens.
    assert bound(max_attempts=1) == (2, 3 * 512)
    assert bound(max_attempts=5) == (10, 3 * 512)
    assert bound(max_attempts=1, verify="all") == (6, 7 * 512)
    assert bound(2, max_attempts=1) == (6, 5 * 512)


def test_questions_that_were_asked_again_count() -> None:
    questions = [PilotQuestion(100.0, 110, 20, 1), PilotQuestion(100.0, 220, 40, 2, "no_tag")] * 5
    found = estimate_run(SURVEY, questions, None, limits=Limits(), at_once=4, bounds=QuestionBounds(6, 150))
    assert (found.requests.value, found.completion_tokens.value, found.seconds) == (150, 3000, None)
    assert found.tokens == found.prompt_tokens.plus(found.completion_tokens)
    assert found.prompt_tokens.value == pytest.approx(1.65 * 1e4)
    assert found.requests.low < 150 < found.requests.high <= 15 + 90 * 6
    silent = [PilotQuestion(100.0, 0, 0, 1)] * 5
    found = estimate_run(SURVEY, silent, 1.0, limits=Limits(), at_once=5, bounds=QuestionBounds(6, 150))
    assert found.prompt_tokens == Estimate(1e4, 1e4, 1e4)
    assert found.seconds == Estimate(20.0, 20.0, 20.0)


def test_the_estimate_takes_all_settings_that_change_what_is_asked() -> None:
    parameters = inspect.signature(estimate).parameters
    written_only = {"output_style", "details", "paths"}
    assert not (Recipe.model_fields.keys() | Sampling.model_fields.keys()) - written_only - parameters.keys()


def test_rows_that_fail_are_told_with_their_codes_together() -> None:
    survey = InputSurvey(rows=1003, measured=100)
    survey.problems.add("bad_field", "Line 2: first")
    survey.problems.add("no_image", "Line 3: other")
    survey.problems.add("no_image", "Line 4: other")
    survey.picture_problems.add("bad_field", "Line 9: later")
    assert describe_problems(survey) == {
        "bad_field": {"count": 1 + 10, "example": "Line 2: first"},
        "no_image": {"count": 2, "example": "Line 3: other"},
    }


def test_who_is_meant_is_a_part_of_the_estimate_and_of_its_command(folder: Path, simulator: Simulator) -> None:
    Image.new("RGB", (280, 280)).save(folder / "who.png")
    (folder / "bo").mkdir()
    Image.new("RGB", (280, 280)).save(folder / "bo" / "1.png")
    lines = [{"image": "bo/1.png", "at": [0, 0, 100, 140]}, {"image": "bo/1.png", "at": [0, 0, 900, 140]}]
    (folder / "box.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    who = ("--tag-from", "folder", "--reference", "who.png", "--box", "cropped", "--box-key", "at")
    words = ("box.jsonl", "--base-url", simulator.base_url, "--model", DEFAULT_MODEL, "--no-probes", "--questions", "3")
    found = estimate_as_json(folder, *words, *who, "--verify", "all", "--max-attempts", "1")
    assert (found["usable_rows"], found["pictures"]["count"], found["questions"]) == (1, 2, 3)
    assert found["unusable"]["box_invalid"]["example"].startswith("Line 2: bo/1.png has 280 x 280 pixels, and its box")
    assert " --tag-from folder --reference who.png --box cropped --box-key at " in found["command"]
    assert found["estimate"]["requests"]["high"] == found["pilot"]["requests"] == 9
    result = persqa("estimate", *words, *who, "--verify", "all", cwd=folder)
    figures = {line[:17].strip(): line[18:] for line in result.stdout.splitlines()}
    assert figures["pilot"] == "3 questions with 9 requests; 1 row could not be asked about"
    assert figures["the whole run"] == "as in the pilot, which asked all questions"


def read_basis(folder: Path, simulator: Simulator, *words: str) -> str:
    model = ("--base-url", simulator.base_url, "--model", DEFAULT_MODEL, "--no-probes")
    result = persqa("estimate", "few.jsonl", *model, *words, cwd=folder)
    assert result.returncode == 0, result.stderr
    (basis,) = (line[18:] for line in result.stdout.splitlines() if line.startswith("the whole run "))
    return basis


def test_the_figures_of_a_run_say_what_they_are_based_on(folder: Path, simulator: Simulator) -> None:
    """By the questions that were asked: a row may fail before its request, also one that the survey takes for good."""
    lines = [f'{{"image": "{number}.png"}}\n' for number in range(4)]
    few = folder / "few.jsonl"
    few.write_text("".join(lines))
    assert read_basis(folder, simulator) == "as in the pilot, which asked all questions; a smaller --pilot asks some"
    assert read_basis(folder, simulator, "--pilot", "3") == "with 95 % intervals by the spread of the pilot"
    assert read_basis(folder, simulator, "--pilot", "1") == "by a single question"
    few.write_text("".join([*lines, '{"image": "none.png"}\n']))
    assert read_basis(folder, simulator) == "as in the pilot, which asked all questions; a smaller --pilot asks some"
    Image.effect_noise((300, 300), 90).save(folder / "whole.jpg")
    (folder / "cut.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:9000])
    few.write_text("".join([*lines, '{"image": "cut.jpg"}\n']))
    assert read_basis(folder, simulator) == "with 95 % intervals by the spread of the pilot"
    few.write_text(lines[0])
    assert read_basis(folder, simulator) == "as in the pilot, which asked all questions"


def test_figures_without_a_spread_have_no_interval() -> None:
    assert format_interval(5.0, 5.0, 5.0, "{:.0f}".format) == "5"
    assert format_interval(5.0, 4.0, float("inf"), "{:.0f}".format) == "about 5 (4 to any number)"
    assert format_times(Estimate(61.0, 59.6, 3600.0)) == "about 0:01:01 (0:01:00 to 1:00:00)"
