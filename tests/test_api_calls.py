"""Calls of the Python interface with wrong, missing or unusual arguments."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import persqa_client
from persqa_client import (
    Endpoint,
    Limits,
    PersQAClient,
    Recipe,
    Record,
    RowError,
    RunStopped,
    SettingsError,
    generate,
    stream,
)
from persqa_client.api.argument_errors import word_message
from persqa_client.engines.early_stop import UNUSABLE_ADVICE
from persqa_client.outcomes import Failure
from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from persqa_client.types import BadRow

# Type checkers refuse most of these calls.
untyped: Any = persqa_client
RED = Image.new("RGB", (40, 30), (200, 0, 0))
# Nothing listens there.
NOWHERE = "http://127.0.0.1:9/v1"
LONG = "x" * 300


class Pixels:
    """What numpy and other libraries have in common."""

    ndim = 3

    def __array__(self) -> None: ...

    def __iter__(self) -> Iterator[None]:
        return iter([None])


class Frame(Pixels):
    ndim = 2

    def to_dict(self) -> None: ...


def encode(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def unnamed(server: Simulator) -> Endpoint:
    return Endpoint(base_url=server.base_url)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: untyped.generate("a", modle="m"),
            "generate() got an unexpected keyword argument 'modle'. Did you mean 'mod",
        ),
        (lambda: untyped.generate("a", **{"base-url": "u"}), "argument 'base-url'. Did you mean 'base_url'?"),
        (
            lambda: untyped.generate("a", dry_run=True),
            "generate() got an unexpected keyword argument 'dry_run': the requests",
        ),
        (
            lambda: untyped.generate("a", limits=Limits()),
            "'limits': generate takes each of its settings as an argument, such",
        ),
        (lambda: untyped.generate("a", out="q"), "'out': the file is the second argument, output"),
        (lambda: untyped.generate("a", zzz=1), "generate() got an unexpected keyword argument 'zzz'"),
        (
            lambda: untyped.PersQAClient(Endpoint(base_url=NOWHERE), rpm=9),
            "PersQAClient() got an unexpected keyword argument",
        ),
        (
            lambda: untyped.PersQAClient(Endpoint(base_url=NOWHERE), rpm=9),
            "'rpm': give limits=Limits(rpm=…)",
        ),
        (
            lambda: untyped.stream([], Endpoint(base_url=NOWHERE), tag="bo"),
            "stream() got an unexpected keyword argument 'tag'",
        ),
        (
            lambda: untyped.Limits(seed=1),
            "Limits() got an unexpected keyword argument 'seed': it is a setting of Sampling",
        ),
        (
            lambda: untyped.Endpoint(NOWHERE, "m"),
            "Endpoint() takes its arguments by name: Endpoint(base_url=…, model=…)",
        ),
        (
            lambda: untyped.Sampling(0.5),
            "Sampling() takes its arguments by name: Sampling(temperature=…, top_p=…)",
        ),
    ],
)
def test_an_impossible_argument_is_a_type_error_with_the_possible_one(call: Callable[[], object], words: str) -> None:
    with pytest.raises(TypeError) as caught:
        call()
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: untyped.Recipe(tag="two words"), "tag: 'two words' can't be a tag: "),
        (lambda: untyped.Recipe(bank="animals"), "The question bank animals does not exist (did you mean animal?)"),
        (lambda: untyped.Recipe(names="none.txt"), "names: none.txt does not exist"),
        (lambda: untyped.Recipe(questions=900), "questions=900 is more than the bank's "),
        (lambda: untyped.Recipe(reference=b"text"), "reference: the picture is text"),
        (
            lambda: untyped.Recipe(reference=Pixels()),
            "reference: is an array (Pixels): give PIL.Image.fromarray(array)",
        ),
        (
            lambda: untyped.PersQAClient(NOWHERE),
            "endpoint is of the type str: give Endpoint(base_url=…, model=…).",
        ),
        (
            lambda: untyped.generate([RED], endpoint={"base_url": NOWHERE}),
            "endpoint is of the type dict: give Endpoint(base_url=…, model=…).",
        ),
        (
            lambda: untyped.generate([RED], base_url=NOWHERE, bank=["What is {tag}?"]),
            "bank is of the type list: give a category or the path of a file.",
        ),
        (
            lambda: untyped.generate([RED], "qa.csv", base_url=NOWHERE),
            "output: the file will have JSON Lines; name it qa.jsonl, not qa.csv.",
        ),
        (
            lambda: untyped.report_results("qa.jsonl", "qa.pdf"),
            "page: the file will have HTML; name it qa.html, not qa.pdf.",
        ),
        (lambda: untyped.generate([RED], 5, base_url=NOWHERE), "output: must be a path, and not of the type int."),
        (lambda: untyped.PersQAClient([]), "Give at least one endpoint."),
        (lambda: untyped.generate([RED], endpoint=NOWHERE), "endpoint is of the type str: "),
        (
            lambda: untyped.generate(Pixels(), base_url=NOWHERE),
            "rows is of the type Pixels: give [PIL.Image.fromarray(array)]",
        ),
        (
            lambda: untyped.generate(Frame(), base_url=NOWHERE),
            'rows is of the type Frame: give its rows with to_dict("records")',
        ),
        (
            lambda: untyped.generate([Pixels()], base_url=NOWHERE),
            "Row 1: it is an array (Pixels): give PIL.Image.fromarray",
        ),
        (
            lambda: untyped.generate([{"image": [RED, Pixels()]}], base_url=NOWHERE),
            "Row 1: image is an array (Pixels): give PIL.Image.fromarray(array).",
        ),
        (
            lambda: untyped.generate([{"image": RED, "who": io.BytesIO()}], base_url=NOWHERE, reference_key="who"),
            "Row 1: who is an open file (BytesIO): give its path, or its content with read().",
        ),
        (
            lambda: untyped.generate([RED], base_url=NOWHERE, extra_body="top_k"),
            "extra_body: must be a valid dictionary",
        ),
        (lambda: untyped.generate([RED], base_url=3), "base_url has a value of the type int: give a text, or several."),
        (lambda: untyped.generate([RED], base_url=[NOWHERE, None]), "base_url has a value of the type NoneType: "),
        (lambda: untyped.generate([RED], base_url=NOWHERE, header=b"A=@B"), "header has a value of the type bytes: "),
        (lambda: untyped.generate([RED], base_url=NOWHERE, ca_cert=3), "ca_cert is of the type int: give a path."),
        (lambda: untyped.generate([RED], base_url=NOWHERE, image_root=LONG), "image_root: is too long for the name of"),
        (lambda: untyped.generate([RED], base_url=NOWHERE, client_cert=LONG), "client_cert: is too long for the name"),
        (lambda: untyped.generate([RED], "a\0b", base_url=NOWHERE), "output: has a character that no file name can"),
        (lambda: untyped.PersQAClient(Endpoint(base_url=NOWHERE), sampling=3), "sampling: must be "),
        (lambda: untyped.export_results("qa.jsonl", 3, to="llava"), "target is of the type int: give a path."),
        (lambda: untyped.report_results("qa.jsonl", None), "page is of the type NoneType: give a path."),
        (lambda: untyped.recheck_results("qa.jsonl", names="\ud800"), "names has a character that no file name can"),
        (lambda: untyped.read_results(LONG), "The output is too long for the name of a file: give the path of the"),
        (lambda: untyped.stream(Pixels(), Endpoint(base_url=NOWHERE)), "rows is of the type Pixels: "),
        (lambda: untyped.stream("photos", Endpoint(base_url=NOWHERE)), "rows is of the type str: "),
    ],
)
def test_an_unusable_value_is_found_without_a_server(call: Callable[[], object], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        call()
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize(
    ("pictures", "words"),
    [
        ((), "There is no picture: give one or several."),
        ((None,), "Picture 1 is of the type NoneType: give a path, the bytes of a file, or a PIL image."),
        (([RED, b"data"],), "Picture 1 is a list: give several pictures one after the other, as in ask(*pictures)."),
        ((RED, {"image": RED}), "Picture 2 is a dict: answer takes a row, and ask its pictures and question."),
        ((Pixels(),), "Picture 1 is an array (Pixels): give PIL.Image.fromarray(array)."),
        ((RED, "What is <mam>?"), "Picture 2 is a question: give it as question='What is <mam>?'."),
        ((memoryview(b"data"),), "Picture 1 is a memoryview: give bytes(view)."),
    ],
)
async def test_a_question_is_about_pictures(pictures: Any, words: str) -> None:
    async with PersQAClient(Endpoint(base_url=NOWHERE, model="m")) as client:
        with pytest.raises(SettingsError) as caught:
            await client.ask(*pictures)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("message", "place", "worded"),
    [
        ("Line 7: choose another --output-key.", "file", "Line 7: choose another output_key."),
        ("Line 7: row 7, picture 2 is text.", "memory", "Row 7, picture 2 is text."),
        ("Line 7: none.png does not exist.", "memory", "Row 7: none.png does not exist."),
        ("Record 7: it is broken.", "memory", "Row 7: it is broken."),
        ("Row 7: row 7, picture 2 is text.", "memory", "Row 7, picture 2 is text."),
        ("Row 1: no.png does not exist.", "question", "no.png does not exist."),
        ("Line 1: row 1, picture 2 is text.", "question", "Picture 2 is text."),
        ("Line 1: no.png does not exist.", "question", "no.png does not exist."),
        ("Line 1: the field 'image' names no image.", "question", "The field 'image' names no image."),
        ('Line 1: or give the row the field "tag": "mam".', "question", 'or give tag="mam".'),
        ("To let them fail, add --max-bad-rows 0.", "memory", "To let them fail, add max_bad_rows=0."),
        ("a new run with --verify doubtful checks them", "file", 'a new run with verify="doubtful" checks them'),
        ("Stop. " + UNUSABLE_ADVICE["bad_line"], "file", "Stop. " + UNUSABLE_ADVICE["bad_line"]),
        ("Stop. " + UNUSABLE_ADVICE["bad_line"], "memory", "Stop. Give each row as a dict, or a picture alone."),
    ],
)
def test_a_message_has_arguments_and_the_place_of_its_row(message: str, place: Any, worded: str) -> None:
    assert word_message(message, place) == worded


async def test_each_call_words_its_own_messages(simulator: Simulator, tmp_path: Path) -> None:
    missing = tmp_path / "none.png"
    endpoint = unnamed(simulator)
    async with PersQAClient(endpoint, probes=False) as client:
        with pytest.raises(RowError) as caught:
            await client.ask(missing)
        answered = await client.answer({"image": [], "id": 3}, 8)
    assert str(caught.value) == caught.value.message == f"{missing} does not exist."
    assert isinstance(answered, Failure)
    assert answered.message == "Row 8: the field 'image' names no image."
    rows: list[Any] = [{"image": 5}, ("a.png",)]
    given = [(row, outcome) async for row, outcome in stream(rows, endpoint, probes=False)]
    for row, outcome in given:
        assert isinstance(row, BadRow)
        assert isinstance(outcome, Failure)
        assert row.message == outcome.message
    assert sorted(row.message for row, _ in given if isinstance(row, BadRow)) == [
        "Row 1: the field 'image' must be a picture or a list of pictures, each a path, the bytes of a file, or a PIL "
        "image.",
        "Row 2: a row must be a dict, or a picture alone, and not of the type tuple.",
    ]
    failures = generate([RED, *rows], base_url=simulator.base_url, probes=False).failures
    assert [row["error"]["message"][:20] for row in failures] == ["Row 2: the field 'im", "Row 3: a row must be"]


def test_an_input_that_is_no_file_has_no_lines(simulator: Simulator) -> None:
    with pytest.raises(Exception, match="Give each row as a dict, or a picture alone") as caught:
        untyped.generate([("a.png",), ("b.png",)], base_url=simulator.base_url, probes=False)
    assert "add max_bad_rows=0" in str(caught.value)
    assert "line" not in str(caught.value).replace("bad_line", "").lower()


async def test_an_error_has_no_exception_group_in_its_context() -> None:
    """IPython prints such an error as text, and a notebook goes on with the next cell."""
    caught: list[BaseException | None] = []
    with pytest.raises(RunStopped) as stop:
        generate([RED], base_url=NOWHERE, max_outage=0)
    caught.append(stop.value)
    async with PersQAClient(Endpoint(base_url=NOWHERE, model="m")) as client:
        with pytest.raises(RunStopped) as stop:
            await client.ask(RED)
    caught.append(stop.value)
    for error in caught:
        while error is not None:
            assert not isinstance(error, BaseExceptionGroup)
            error = error.__context__


async def test_a_model_that_is_not_named_is_the_only_one(simulator: Simulator) -> None:
    assert generate([RED], base_url=simulator.base_url).tally.succeeded == 1
    assert generate([RED], endpoint=unnamed(simulator)).tally.succeeded == 1
    async with PersQAClient([unnamed(simulator)]) as client:
        record = await client.ask(RED)
    assert record.model == "persqa-simulator"
    answers = [outcome async for _, outcome in stream([RED, RED], Endpoint(base_url=simulator.base_url, model=None))]
    assert [isinstance(outcome, Record) for outcome in answers] == [True, True]


async def test_one_of_several_models_must_be_named() -> None:
    with run_simulator(SimSettings(latency=0, models=("one", "two"))) as server:
        words = "model: name the model to use; the endpoint serves 2 models: one, two."
        with pytest.raises(SettingsError) as caught:
            generate([RED], base_url=server.base_url)
        assert str(caught.value) == words
        async with PersQAClient(unnamed(server)) as client:
            for _ in range(2):
                with pytest.raises(SettingsError) as caught:
                    await client.ask(RED)
                assert str(caught.value) == words
        assert generate([RED], base_url=server.base_url, model="two").tally.succeeded == 1


def test_one_picture_is_one_row(simulator: Simulator) -> None:
    for picture in (RED, encode(RED), {"image": RED}):
        summary = generate(picture, base_url=simulator.base_url)
        assert [row["image"] for row in summary.records] == ["row 1, picture 1"]


async def test_a_reference_may_be_no_file(simulator: Simulator, tmp_path: Path) -> None:
    """A run that was begun with a file goes on with its content."""
    RED.save(tmp_path / "red.png")
    content = (tmp_path / "red.png").read_bytes()
    blue = Image.new("RGB", (40, 30), (0, 0, 200))
    async with PersQAClient(unnamed(simulator), recipe=Recipe(reference=RED)) as client:
        assert len((await client.ask(blue, question="Who is <mam>?")).pictures) == 2
    output, settings = tmp_path / "qa.jsonl", dict[str, Any](base_url=simulator.base_url, model="persqa-simulator")
    generate([blue], output, reference=tmp_path / "red.png", **settings)
    assert generate([blue, encode(blue)], output, reference=content, **settings).tally.succeeded == 2
    with pytest.raises(SettingsError, match="reference"):
        generate([blue], output, reference=encode(blue), **settings)


def test_a_row_may_have_a_reference_that_is_no_file(simulator: Simulator, tmp_path: Path) -> None:
    rows: list[Any] = [{"image": RED, "who": encode(RED)}, {"image": RED, "who": b"text"}]
    settings: dict[str, Any] = {"base_url": simulator.base_url, "reference_key": "who", "details": True}
    summary = generate(rows, tmp_path / "qa.jsonl", **settings)
    assert (summary.tally.succeeded, dict(summary.tally.failed)) == (1, {"image_not_a_picture": 1})
    assert '"who": "row 1, reference"' in (tmp_path / "qa.jsonl").read_text()
    assert "Row 2, reference is text" in (tmp_path / "qa.failed.jsonl").read_text()
    assert generate(rows, tmp_path / "qa.jsonl", **settings).state == "already"


async def test_a_client_is_opened_first(simulator: Simulator) -> None:
    client = PersQAClient(unnamed(simulator), probes=False)
    for call in (lambda: client.ask(RED), lambda: client.answer(RED), lambda: anext(client.stream([RED]))):
        with pytest.raises(RuntimeError, match=r"The client is not open: use it in async with"):
            await call()
    assert await client.open() is client
    assert isinstance(await client.ask(RED), Record)
    await client.aclose()
    with pytest.raises(RuntimeError, match=r"The client is closed"):
        await client.ask(RED)
