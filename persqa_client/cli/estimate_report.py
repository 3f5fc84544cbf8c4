"""Reads the input of ``persqa estimate``, asks about the rows of its pilot, and prints what a run will take."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from logging import WARNING
from typing import Any

import typer

from persqa_client import __version__
from persqa_client.cli.endpoint_flags import read_endpoints
from persqa_client.cli.execute import execute_with_signals, read_settings, run_coroutine
from persqa_client.cli.exits import EXIT_INTERRUPTED, EXIT_NO_SERVER, EXIT_OK, EXIT_USAGE, count_of, exit_with_error
from persqa_client.cli.json_result import describe_reason_of_end, print_as_json
from persqa_client.cli.messages import log_message, print_message, print_warning, show_logged_warnings
from persqa_client.cli.results import print_results
from persqa_client.config import VerifyChoice
from persqa_client.engines.budget import format_amount
from persqa_client.errors import RunStopped, SettingsError, StorageError, UnusableInput
from persqa_client.inputs.opening import expand_existing, open_inputs
from persqa_client.inputs.sources import Source
from persqa_client.keys import mask_keys, mask_secrets
from persqa_client.probing.only_model import add_model, lacks_model
from persqa_client.run.estimate import RunEstimate, bound_question, estimate_run
from persqa_client.run.input_survey import InputSurvey, RowMeter, survey_input
from persqa_client.run.intervals import Estimate
from persqa_client.run.pilot import Pilot, find_model_family, make_pilot_settings
from persqa_client.run.plan import RunPlan
from persqa_client.run.preview import Sample
from persqa_client.run.prices import KnownPrice, find_known_price
from persqa_client.run.run import Run
from persqa_client.run.run_input import plan_for_source, refuse_empty_source
from persqa_client.run.settings import RunSettings
from persqa_client.terminals import QuietConsole

# Flags of `persqa estimate` that `persqa run` does not have: switches, and flags with a value.
OWN_SWITCHES, OWN_FLAGS = frozenset({"--json", "--quiet", "-q"}), ("--pilot",)
DEFAULT_OUTPUT = "qa.jsonl"
# In place of the endpoint, if there is none yet.
MISSING_URL = "URL"
# Columns of the labels; codes of failures are among them.
LABEL_WIDTH = 17


def estimate_at_endpoints(flags: dict[str, Any], rows: int, *, as_json: bool, quiet: bool) -> None:
    """``rows``: those of the pilot."""
    report: dict[str, Any] = {"version": __version__, "exit_code": EXIT_OK}
    try:
        plan, source = open_estimate(flags)
        settings, asks = plan.settings, bool(flags["base_url"]) and rows > 0
        meter = RowMeter(plan, run_coroutine(find_model_family(plan)) if asks else None)
        survey = read_with_status(source, meter, settings.limit, quiet=quiet)
        for warning in source.warnings():
            print_warning(warning)
        show_lines_of(list_survey(survey, meter, settings.recipe.verify), as_json=as_json)
        report |= describe_survey(survey, meter)
        if not survey.usable:
            raise UnusableInput("no_rows", "None of the rows can be asked about.")
        if asks:
            sample = Sample(source, rows, settings.limit, shard=settings.shard, total=survey.rows)
            pilot = run_pilot(settings, Pilot(sample, meter), quiet=quiet)
            report |= report_pilot(pilot, survey, settings, as_json=as_json)
    except (SettingsError, RunStopped, StorageError) as error:
        is_usage = isinstance(error, SettingsError | UnusableInput | StorageError)
        code = EXIT_USAGE if is_usage else EXIT_NO_SERVER
        if as_json:
            print_as_json(report | {"exit_code": code, "reason": describe_reason_of_end(error, code)})
        exit_with_error(error, code)
    except KeyboardInterrupt:
        if as_json:
            reason = describe_reason_of_end(None, EXIT_INTERRUPTED)
            print_as_json(report | {"exit_code": EXIT_INTERRUPTED, "reason": reason})
        print_message("Stopped. Nothing was written.", WARNING)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    command = mask_keys(make_run_command(sys.argv[1:], has_server=bool(flags["base_url"])))
    if as_json:
        print_as_json(report | {"command": command})
    else:
        show_lines_of([("to run it", command)], as_json=as_json)


def open_estimate(flags: dict[str, Any]) -> tuple[RunPlan, Source]:
    """Raises SettingsError, and RunStopped if the server does not name its model."""
    endpoints = read_endpoints(flags, sends=False)
    # Pictures in an object store are downloaded for the moment, not beside the output.
    settings = read_settings(flags, endpoints).model_copy(update={"output": None})
    source = open_inputs(
        list(map(expand_existing, flags["input"])),
        settings.recipe.image_key,
        standard_input=sys.stdin.buffer,
        row_layout=settings.recipe.row_layout,
        local_only=settings.local_only,
    )
    refuse_empty_source(source)
    show_logged_warnings()
    plan = plan_for_source(settings, source)
    if flags["base_url"] and lacks_model(endpoints):
        first, *further = run_coroutine(add_model(endpoints, settings.limits.timeout))
        print_message(f"Model: {mask_keys(first.model)}")
        changes = {"endpoint": first, "further_endpoints": tuple(further)}
        plan = plan.with_settings(settings.model_copy(update=changes))
    return plan, source


def read_with_status(source: Source, meter: RowMeter, limit: int | None, *, quiet: bool) -> InputSurvey:
    console = QuietConsole(stderr=True)
    if quiet or not console.is_interactive:
        return survey_input(source, meter, limit)
    with console.status("Reading the input") as status:
        return survey_input(source, meter, limit, tell=lambda text: status.update(text))


def run_pilot(settings: RunSettings, pilot: Pilot, *, quiet: bool) -> Pilot:
    """Raises SettingsError and RunStopped, also if no row was asked about."""
    pilot_settings = make_pilot_settings(settings, len(pilot.sample.rows))
    told = pilot.sample.warnings()
    warn = lambda warning: None if warning in told else print_warning(warning)  # noqa: E731
    run = Run(pilot_settings, pilot.sample, warn=warn, wrap_answer=pilot.watch)
    summary = run_coroutine(execute_with_signals(run, shows_progress=not quiet, monitors=(pilot.watch_load,)))
    if summary.state == "interrupted":
        raise KeyboardInterrupt
    if not pilot.questions:
        raise RunStopped("no_pilot", "None of the rows of the pilot could be asked about; give a larger --pilot.")
    return pilot


def report_pilot(pilot: Pilot, survey: InputSurvey, settings: RunSettings, *, as_json: bool) -> dict[str, Any]:
    concurrency = make_pilot_settings(settings, len(pilot.sample.rows)).limits.concurrency_cap
    found = estimate_run(
        survey,
        list(pilot.questions.values()),
        pilot.seconds_per_request,
        limits=settings.limits,
        at_once=concurrency,
        bounds=bound_question(settings),
    )
    price = find_known_price(settings)
    show_lines_of(list_estimate(found, pilot, survey.questions, price), as_json=as_json)
    return describe_estimate(found, pilot, price)


def show_lines_of(lines: Iterator[tuple[str, str]] | Sequence[tuple[str, str]], *, as_json: bool) -> None:
    # One width for the survey and the pilot, which are printed one after the other.
    lines = [(f"{label:<{LABEL_WIDTH}}", text) for label, text in lines]
    for label, text in lines:
        log_message(f"{label} {text}")
    if not as_json:
        print_results(lines, QuietConsole())


def list_survey(survey: InputSurvey, meter: RowMeter, verify: VerifyChoice) -> Iterator[tuple[str, str]]:
    yield "rows", f"{survey.rows:,}: {survey.usable:,} can be asked about"
    read = f" of {survey.measured:,} that were read" if survey.is_sampled else ""
    for problems, share in ((survey.problems, ""), (survey.picture_problems, read)):
        for code, count in sorted(problems.counts.items(), key=lambda item: -item[1]):
            yield f"  {code}", f"{count:,}{share}; {problems.examples[code]}"
    yield "pictures", describe_pictures(survey)
    checks = "" if verify == "off" else f", and those of --verify {verify}, which are not in these figures"
    yield "requests", f"{survey.questions:,}, one for each question{checks}"
    rule = "by the rule of the model" if meter.is_exact else "estimated, since the model's rule is not known"
    pictures, texts = f"{survey.picture_tokens:,.0f} of pictures, {rule}", f"{survey.text_tokens:,.0f} of texts"
    yield "tokens in", f"about {survey.prompt_tokens:,.0f}: {pictures}; {texts}, estimated by their length"


def describe_pictures(survey: InputSurvey) -> str:
    if not survey.is_sampled:
        size = format_bytes(survey.picture_bytes)
        different = f", {survey.different_pictures:,} different ones"
        return f"{survey.pictures:,}{'' if survey.pictures == survey.different_pictures else different} with {size}"
    return (
        f"about {survey.factor * survey.pictures:,.0f}; those of {survey.measured:,} rows, spread over the input, were "
        "read, and the figures are for all rows, if they are alike"
    )


def list_estimate(found: RunEstimate, pilot: Pilot, total: int, price: KnownPrice | None) -> Iterator[tuple[str, str]]:
    """``total``: the number of all questions."""
    questions = pilot.questions.values()
    failed = [question.code for question in questions if question.code is not None]
    rejected = f", {len(failed):,} failed ({', '.join(sorted(set(failed)))})" if failed else ""
    unusable = f"; {count_of(len(pilot.unusable), 'row')} could not be asked about" if pilot.unusable else ""
    sent = count_of(sum(question.requests for question in questions), "request")
    yield "pilot", f"{count_of(len(questions), 'question')} with {sent}{rejected}{unusable}"
    yield "the whole run", describe_basis(pilot, total)
    yield "  requests", format_estimate(found.requests)
    yield "  tokens in", format_estimate(found.prompt_tokens)
    yield "  tokens out", format_estimate(found.completion_tokens)
    yield "  tokens in all", format_estimate(found.tokens)
    if found.seconds is not None:
        yield "  time", f"{format_times(found.seconds)}, {found.pace}"
    if price is None:
        yield "  cost", "unknown; give --price-in and --price-out, the prices of a million tokens"
    else:
        low, high = cost_bounds(found, price)
        value = price.cost(found.prompt_tokens.value, found.completion_tokens.value)
        unit = "" if price.currency is None else f" {price.currency}"
        prices = f"{price.price.prompt:g} and {price.price.completion:g} a million tokens"
        yield "  cost", f"{format_interval(value, low, high, format_amount)}{unit}, at {prices} ({price.source})"


def describe_basis(pilot: Pilot, total: int) -> str:
    """Without an interval if the pilot asked all questions, as in ``estimate_run``."""
    if len(pilot.questions) >= total:
        several = len({task_id.row for task_id in pilot.questions}) > 1
        return "as in the pilot, which asked all questions" + ("; a smaller --pilot asks some" if several else "")
    return "with 95 % intervals by the spread of the pilot" if len(pilot.questions) > 1 else "by a single question"


def cost_bounds(found: RunEstimate, price: KnownPrice) -> tuple[float, float]:
    """Bounds of the cost, as if both numbers of tokens reached their bounds together."""
    prompt, completion = found.prompt_tokens, found.completion_tokens
    return price.cost(prompt.low, completion.low), price.cost(prompt.high, completion.high)


def format_estimate(estimate: Estimate) -> str:
    return format_interval(*estimate, "{:,.0f}".format)


def format_interval(value: float, low: float, high: float, form: Callable[[float], str]) -> str:
    texts = [form(number) if math.isfinite(number) else "any number" for number in (value, low, high)]
    return texts[0] if len(set(texts)) == 1 else f"about {texts[0]} ({texts[1]} to {texts[2]})"


def format_times(seconds: Estimate) -> str:
    """
    >>> format_times(Estimate(0.2, 0.1, 0.4)), format_times(Estimate(30, 20, 80)), format_times(Estimate(90, 90, 90))
    ('less than a second', 'about 30 s (20 s to 0:01:20)', 'about 0:01:30')
    """
    value, low, high = [format_seconds_roughly(one) if math.isfinite(one) else "any time" for one in seconds]
    if seconds.high < 1:
        return "less than a second"
    return f"about {value}" if value == low == high else f"about {value} ({low} to {high})"


def format_seconds_roughly(seconds: float) -> str:
    return f"{round(seconds)} s" if round(seconds) < 60 else str(timedelta(seconds=round(seconds)))


def format_bytes(number: int) -> str:
    """
    >>> format_bytes(250), format_bytes(61_234), format_bytes(8_200_000)
    ('250 bytes', '61 KB', '8.2 MB')
    """
    if number < 1e6:
        return f"{number / 1e3:,.0f} KB" if number >= 1e3 else f"{number} bytes"
    return f"{number / 1e9:,.1f} GB" if number >= 1e9 else f"{number / 1e6:,.1f} MB"


def describe_survey(survey: InputSurvey, meter: RowMeter) -> dict[str, Any]:
    return {
        "rows": survey.rows,
        "usable_rows": survey.usable,
        "unusable": describe_problems(survey),
        "pictures": {
            "count": round(survey.factor * survey.pictures),
            "different": survey.different_pictures,
            "bytes": survey.picture_bytes,
            "rows_read": survey.measured,
            "all_read": not survey.is_sampled,
        },
        "questions": survey.questions,
        "prompt_tokens": {
            "pictures": round(survey.picture_tokens),
            "text": round(survey.text_tokens),
            "by_rule_of_model": meter.is_exact,
        },
        "pilot": None,
        "estimate": None,
        "reason": None,
    }


def describe_problems(survey: InputSurvey) -> dict[str, Any]:
    """Number of unusable rows by code, extrapolated to all rows. The row, or a picture of it, is unreadable."""
    examples = survey.picture_problems.examples | survey.problems.examples
    counts = Counter(survey.problems.counts)
    counts.update({code: round(survey.factor * count) for code, count in survey.picture_problems.counts.items()})
    return {code: {"count": count, "example": examples[code]} for code, count in counts.items()}


def describe_estimate(found: RunEstimate, pilot: Pilot, price: KnownPrice | None) -> dict[str, Any]:
    questions = pilot.questions.values()
    cost = None
    if price is not None:
        low, high = cost_bounds(found, price)
        figures = {"low": round(low, 6), "high": round(high, 6) if math.isfinite(high) else None}
        cost = price.to_json(found.prompt_tokens.value, found.completion_tokens.value) | figures
    return {
        "pilot": {
            "questions": len(questions),
            "failed": sum(question.code is not None for question in questions),
            "requests": sum(question.requests for question in questions),
            "tokens": {
                "prompt": sum(question.prompt_tokens for question in questions),
                "completion": sum(question.completion_tokens for question in questions),
            },
            "seconds_per_request": pilot.seconds_per_request,
        },
        "estimate": {
            "requests": found.requests.to_json(),
            "prompt_tokens": found.prompt_tokens.to_json(),
            "completion_tokens": found.completion_tokens.to_json(),
            "tokens": found.tokens.to_json(),
            "seconds": None if found.seconds is None else found.seconds.to_json(),
            "assumed_pace": found.pace,
            "cost": cost,
        },
    }


def make_run_command(words: Sequence[str], *, has_server: bool = True) -> str:
    """Makes the `persqa run` command from the words of `persqa estimate`, without the secrets of ``--extra-body``.

    >>> make_run_command(["estimate", "my photos", "--pilot", "5", "--json", "--model", "m"])
    "persqa run 'my photos' --model m -o qa.jsonl"
    >>> make_run_command(["estimate", "photos"], has_server=False)
    'persqa run photos -o qa.jsonl --base-url URL'
    """
    kept: list[str] = []
    skips = False
    for word in words[words.index("estimate") + 1 :] if "estimate" in words else words:
        if not skips and word not in OWN_SWITCHES and not word.startswith(tuple(f"{name}=" for name in OWN_FLAGS)):
            skips = word in OWN_FLAGS
            kept += [] if skips else [word]
        else:
            skips = False
    kept = [mask_body(word) for word in kept]
    has_output = any(word.startswith(("-o", "--output=")) or word == "--output" for word in kept)
    added = [*([] if has_output else ["-o", DEFAULT_OUTPUT]), *([] if has_server else ["--base-url", MISSING_URL])]
    # What follows "--" is an input.
    end = kept.index("--") if "--" in kept else len(kept)
    return shlex.join(["persqa", "run", *kept[:end], *added, *kept[end:]])


def mask_body(word: str) -> str:
    """Masks the secrets of a word that is a JSON object, or ``--flag=`` followed by one."""
    flag, mark, text = word.partition("{")
    try:
        fields = json.loads(mark + text)
    except ValueError:
        return word
    masked = mask_secrets(fields)
    return word if masked == fields else f"{flag}{json.dumps(masked, ensure_ascii=False)}"
