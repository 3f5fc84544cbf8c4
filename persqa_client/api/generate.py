"""A whole run from Python, with the settings of ``persqa run`` as arguments, and a stream of answers about rows."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import httpx2

from persqa_client.api.argument_errors import (
    IN_GROUPS,
    NO_ARGUMENTS,
    Place,
    errors_by_arguments,
    explains_arguments,
    word_message,
)
from persqa_client.api.arguments import as_list, check_file_name, check_rows, find_inputs, list_endpoints, read_path_of
from persqa_client.api.client import PersQAClient
from persqa_client.config import UNKNOWN_MODEL, Endpoint, Limits, Recipe, Sampling
from persqa_client.endpoints.credentials import Credentials, keep_local, make_endpoints
from persqa_client.errors import SettingsError
from persqa_client.inputs.memory_pictures import Picture, Rows, is_lone_picture
from persqa_client.inputs.opening import open_inputs
from persqa_client.inputs.sources import InMemorySource, Source
from persqa_client.outcomes import Outcome
from persqa_client.probing.only_model import add_model, lacks_model
from persqa_client.run.background import Monitor, call_blocking, execute_blocking
from persqa_client.run.progress import OnProgress, check_callback, report_run
from persqa_client.run.run import Run
from persqa_client.run.run_input import has_listing, is_file_of, refuse_empty_source
from persqa_client.run.settings import ENDPOINT_FLAGS, RunSettings, UuidChoice, as_one_path, make_run_settings
from persqa_client.run.summary import Summary
from persqa_client.storage.output_names import ROWS
from persqa_client.task_groups import InnerGenerator
from persqa_client.types import (
    AnswerStyle,
    BadRow,
    BoxFormat,
    BoxMode,
    OutputStyle,
    QuestionLanguage,
    Row,
    RowLayoutChoice,
)

# Arguments that are no settings of the run.
NO_SETTINGS = frozenset({"rows", "output", "on_progress", "progress"})


@explains_arguments("generate", NO_ARGUMENTS)
@errors_by_arguments()
def generate(
    rows: Picture | Sequence[str | Path] | Mapping[str, Any] | Rows,
    output: str | Path | None = None,
    *,
    base_url: str | Sequence[str] = (),
    model: str | None = None,
    api_key_env: str | Sequence[str] | None = None,
    api_key_command: str | Sequence[str] | None = None,
    header: str | Sequence[str] | None = None,
    ca_cert: str | Path | None = None,
    client_cert: str | Path | None = None,
    endpoint: Endpoint | Sequence[Endpoint] = (),
    image_key: str = "image",
    output_key: str = "pers_qa",
    row_layout: RowLayoutChoice = "auto",
    image_root: str | Path | None = None,
    confine_images: bool = False,
    output_style: OutputStyle = "qa",
    paths: Literal["as-given", "absolute", "relative"] | None = None,
    details: bool = False,
    limit: int | None = None,
    shard: str | None = None,
    failed: str | Path | None = None,
    fresh: bool = False,
    retry_failed: bool = False,
    recheck_pictures: bool = False,
    local_only: bool = False,
    fetch: bool = False,
    fetch_allow: str | Sequence[str] = (),
    fetch_timeout: float = 60.0,
    fetch_max_mb: int = 50,
    fetch_per_host: int = 8,
    tag: str = "mam",
    tag_from: Literal["folder"] | None = None,
    tag_key: str = "tag",
    describe: str | None = None,
    describe_key: str | None = None,
    reference: Picture | None = None,
    reference_key: str | None = None,
    box: BoxMode | None = None,
    box_key: str = "box",
    box_format: BoxFormat = "xyxy",
    bank: str | Path = "human",
    language: QuestionLanguage | None = None,
    question: str | None = None,
    questions: int = 1,
    sensitive: bool = False,
    without: str | Sequence[str] = (),
    names: str | Path | None = None,
    strategy: Literal["auto", "direct", "constrain", "prefill", "surrogate"] = "auto",
    verify: Literal["doubtful", "all", "off"] = "off",
    system: str | None = None,
    prompt: str | None = None,
    answer_style: AnswerStyle = "sentences",
    steer: Literal["system", "prompt"] | Sequence[Literal["system", "prompt"]] = (),
    temperature: float = 0.7,
    top_p: float = 0.9,
    max_tokens: int = 512,
    seed: int = 0,
    max_pixels: int = 1_003_520,
    extra_body: Mapping[str, Any] | None = None,
    probes: bool = True,
    uuid: bool | UuidChoice = "auto",
    concurrency: int | Literal["auto"] = "auto",
    max_concurrency: int = 512,
    rps: float | None = None,
    rpm: float | None = None,
    tpm: int | None = None,
    limits_share: str | None = None,
    share_limits: str | Path | None = None,
    timeout: float = 120.0,
    max_attempts: int = 5,
    max_outage: float = 600.0,
    max_bad_answers: int = 20,
    max_bad_rows: int = 200,
    max_inflight_mb: int = 256,
    metrics_port: int | None = None,
    max_tokens_total: int | None = None,
    max_cost: float | None = None,
    price_in: float | None = None,
    price_out: float | None = None,
    max_failures: int | None = None,
    max_wall: float | str | None = None,
    on_progress: OnProgress | None = None,
    progress: bool = False,
) -> Summary:
    """Executes a run like ``persqa run``, also inside a running event loop, as in a notebook.

    rows: an input of ``persqa run``, such as the path of a JSONL file or a folder, or a list of them; or the rows
        themselves, in an iterable: dicts, or images alone. An image is a path, the bytes of a file, or a PIL image. Of
        one that is no file, the rows of the output have the place: ``row 3, picture 1``. One dict or image is one row.
    output: JSONL file to write; None: the rows are in ``Summary.records`` and ``Summary.failures``.

    The endpoints, either by their addresses or as ``endpoint``:

    base_url, model: one address or several, such as ``http://HOST:8000/v1``, and the model that they serve; without
        it, the only one.
    api_key_env, api_key_command: variable of the environment with the key, or command that prints it.
    header: ``NAME=@VARIABLE``, a further header with its value in a variable.
    ca_cert, client_cert: PEM files, the certificates to trust; ``FILE`` or ``FILE:KEY``, the client's own.

    Files and rows:

    image_key, output_key: fields with the images, and for the answer.
    row_layout: ``"fields"`` does not ask the questions in the messages or conversations of a trainer's file.
    image_root: folder of relative image paths; None: the input's folder, then the working directory.
    confine_images: refuse images outside of these folders, also by links.
    output_style: question and answer, or the answer only. paths: how image paths are written; None: as given.
    details: also add what was sent and received. limit: stop after this many rows.
    shard: ``"3/16"``, the part of the rows to ask about.
    failed: file for the failed rows, with the output ``"-"``, which is standard output.
    fresh, retry_failed, recheck_pictures: start over; ask failed rows, or rows whose pictures changed, again.

    local_only: send nothing to public addresses.
    fetch: download pictures that rows name by http(s) URL into the folder ``persqa-fetched`` beside the output.
    fetch_allow: hosts and networks that are not public, from which pictures may come. fetch_timeout, fetch_max_mb,
        fetch_per_host: seconds and megabytes of one picture; connections to one host.

    Questions and answers:

    tag, tag_from, tag_key: name of the main character; from where it comes, and the rows' field for it.
    describe, describe_key: who it is, in words. reference, reference_key: a picture that shows it. The keys are fields
        of the rows. box, box_key, box_format: whether the box of a row is drawn or cut out, its field and form.
    names: file of real names that no answer may contain.
    bank, language: category or file of the questions. question: one question with {tag}, instead.
    questions: number for each row. sensitive: also about skin, age and body. without: what pictures don't show.
    strategy: how an answer is made to begin with the tag. verify: ask again whether answers are right.
    system, prompt, answer_style, steer: texts that the model reads, the length of answers, and fields of the row
        that replace the texts.
    temperature, top_p, max_tokens, seed, extra_body: parameters of the requests. max_pixels: larger images shrink.

    Server and limits:

    probes, uuid: test the server first; send each image once.
    concurrency, max_concurrency: requests in flight. rps, rpm, tpm: requests per second and minute, tokens per minute.
    limits_share: ``"3/16"``, the part of these that this process gets. share_limits: a folder through which the
        processes of this machine share them.
    timeout, max_attempts, max_outage: seconds and number of the attempts; seconds without a server.
    max_bad_answers, max_bad_rows: rows in a row that stop the run; 0: none do. max_inflight_mb: memory.
    metrics_port: where Prometheus finds the counts of the run, on this machine alone; 0: a free port.
    max_tokens_total, max_cost, max_failures, max_wall: the budget, after which the run stops; the last in seconds or
        as ``"8h"``. price_in, price_out: of a million tokens.

    Progress:

    on_progress: called with a ``ProgressSnapshot`` about four times a second and once at the end, in the thread of the
        event loop, so it must not wait. Its exceptions are logged once, and the run continues.
    progress: shows a bar on stderr or in the notebook; if stderr is no terminal, lines.

    Raises SettingsError, RunStopped or StorageError; KeyboardInterrupt after the requests in flight have finished.
    """
    given = locals()
    check_callback(on_progress)
    flags = {name: value for name, value in given.items() if name not in ENDPOINT_FLAGS | NO_SETTINGS}
    read_path_of("bank", bank, "a category or the path of a file")
    flags["bank"] = str(bank)
    flags["extra_body"] = {} if extra_body is None else extra_body
    inputs = find_inputs(rows)
    certificate = None if ca_cert is None else read_path_of("ca_cert", ca_cert)
    credentials = Credentials(
        as_list("api_key_env", api_key_env),
        as_list("api_key_command", api_key_command),
        as_list("header", header),
        certificate,
        None if client_cert is None else str(client_cert),
    )
    by_url = bool(base_url or model or credentials)
    if by_url and endpoint:
        raise SettingsError("Give either endpoint, or base_url, model and their credentials.")
    if not (base_url or endpoint):
        raise SettingsError("Give at least one endpoint: its address as base_url, or endpoint.")
    if by_url:
        endpoints = list(make_endpoints(as_list("base_url", base_url), model or UNKNOWN_MODEL, credentials, os.environ))
    else:
        endpoints = list_endpoints(endpoint)
    if local_only:
        endpoints = list(keep_local(endpoints))
    settings = make_run_settings(endpoints, flags, input=as_one_path(inputs), output=output)
    if settings.output is not None:
        check_file_name("output", settings.output, ROWS)
    place: Place = "file" if inputs else "memory"
    with errors_by_arguments(place):
        source = open_rows(rows, inputs, settings)
        if lacks_model(endpoints):
            settings = settings.with_endpoints(call_blocking(add_model(endpoints, settings.limits.timeout)))
        summary = execute_blocking(Run(settings, source), *choose_monitors(on_progress, shows_bar=progress))
    return word_summary(summary, place)


@explains_arguments("stream", IN_GROUPS)
def stream(
    rows: Rows,
    endpoint: Endpoint | Sequence[Endpoint],
    *,
    sampling: Sampling | None = None,
    limits: Limits | None = None,
    recipe: Recipe | None = None,
    image_root: str | Path | None = None,
    probes: bool = True,
    uuid: bool | UuidChoice = "auto",
    http_client: httpx2.AsyncClient | None = None,
    on_progress: OnProgress | None = None,
    progress: bool = False,
) -> AsyncGenerator[tuple[Row | BadRow, Outcome], None]:
    """Opens a client for the endpoint, and closes it after the last row.

    The arguments are those of ``PersQAClient``; see ``PersQAClient.stream`` for the rows.
    """
    check_rows(rows)
    check_callback(on_progress)
    client = PersQAClient(
        endpoint,
        sampling=sampling,
        limits=limits,
        recipe=recipe,
        image_root=image_root,
        probes=probes,
        uuid=uuid,
        http_client=http_client,
    )
    return stream_and_close(client, rows, on_progress, progress)


async def stream_and_close(
    client: PersQAClient, rows: Rows, on_progress: OnProgress | None, progress: bool
) -> AsyncGenerator[tuple[Row | BadRow, Outcome], None]:
    async with (
        client,
        aclosing(InnerGenerator(client.stream(rows, on_progress=on_progress, progress=progress))) as answers,
    ):
        async for answer in answers:
            yield answer


def open_rows(rows: object, inputs: Sequence[str | Path], settings: RunSettings) -> Source:
    """Raises SettingsError, also for an input without rows."""
    recipe = settings.recipe
    source: Source
    if inputs:
        source = open_inputs(
            inputs,
            recipe.image_key,
            leave_out=is_file_of(settings),
            lists_images=has_listing(settings),
            row_layout=recipe.row_layout,
            fetches=settings.fetch,
            local_only=settings.local_only,
        )
    else:
        is_one = isinstance(rows, Mapping) or is_lone_picture(rows)
        source = InMemorySource([rows] if is_one else list(cast(Rows, rows)), recipe.image_key, recipe.reference_key)
    if settings.output is None or not settings.output.exists():
        refuse_empty_source(source)
    return source


def choose_monitors(on_progress: OnProgress | None, *, shows_bar: bool) -> Iterator[Monitor]:
    if on_progress is not None:
        yield partial(report_run, on_progress=on_progress)
    if shows_bar:
        # Imported here: it takes 60 ms.
        from persqa_client.run.progress_display import show_progress
        from persqa_client.terminals import QuietConsole

        yield partial(show_progress, console=QuietConsole(stderr=True))


def word_summary(summary: Summary, place: Place) -> Summary:
    """Words the texts of the summary like errors. Files are for every reader."""
    failures = [{**row, "error": word_error(row["error"], place)} for row in summary.failures]
    notes, findings = (tuple(map(word_message, texts)) for texts in (summary.notes, summary.findings))
    return replace(summary, failures=failures, notes=notes, findings=findings)


def word_error(error: dict[str, Any], place: Place) -> dict[str, Any]:
    return {**error, "message": word_message(error["message"], place)}
