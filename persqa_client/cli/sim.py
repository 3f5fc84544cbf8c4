"""``persqa sim``: flags and start of the simulator."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer

from persqa_client.errors import SettingsError


def sim(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 chooses a free one and prints it.")] = 8000,
    model: Annotated[
        list[str] | None, typer.Option(help="Model name to serve; default: persqa-simulator. Repeatable.")
    ] = None,
    latency: Annotated[float, typer.Option(min=0, help="Time to answer a request, in seconds.")] = 0.05,
    jitter: Annotated[
        float,
        typer.Option(min=0, max=1, help="Random variation of the latency, as a fraction: 0.2 is 20 % up or down."),
    ] = 0.0,
    slots: Annotated[int, typer.Option(min=1, help="Requests answered concurrently; others wait.")] = 32,
    slots_at: Annotated[
        list[str] | None,
        typer.Option(help="SECONDS=SLOTS: change the slots this long after the first request. Repeatable."),
    ] = None,
    max_queued: Annotated[int | None, typer.Option(min=0, help="Requests that may wait; others get a 503.")] = None,
    link_mbps: Annotated[
        float | None, typer.Option(help="Bandwidth that all uploads share, in megabits per second.")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="PERSQA_SIM_API_KEY", help="API key that requests must have.")
    ] = None,
    max_model_len: Annotated[int, typer.Option(min=1, help="Context length in tokens.")] = 8192,
    limit_images: Annotated[int, typer.Option(min=0, help="Images that a request may have.")] = 4,
    hidden_tokens: Annotated[
        int,
        typer.Option(
            min=0, help="Tokens that answers count beside their text, as of a model that thinks: their median."
        ),
    ] = 0,
    guided: Annotated[
        bool, typer.Option("--guided", help="Obey guided_regex and ignore structured_outputs, as vLLM before 0.12.")
    ] = False,
    shape: Annotated[Literal["vllm", "hosted"], typer.Option(help="Behave as vLLM or as a hosted API.")] = "vllm",
    reject: Annotated[
        list[str] | None, typer.Option(help="Parameter that the hosted shape also rejects. Repeatable.")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="In the hosted shape, continue a last message marked partial.")
    ] = False,
    blind: Annotated[
        bool, typer.Option("--blind", help="Ignore images without an error, as servers of text models do.")
    ] = False,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="KIND=RATE: a fault and its rate. Repeatable. An unknown kind prints the list."),
    ] = None,
    fault_seed: Annotated[int, typer.Option(help="Seed of the faults: equal requests get equal faults.")] = 0,
    answers: Annotated[
        Path | None,
        typer.Option(help="JSONL file with a question and its answer on each line."),
    ] = None,
    retry_after: Annotated[float, typer.Option(min=0, help="Retry-After of a 429, in seconds.")] = 1.0,
    cached_pictures: Annotated[
        int, typer.Option(min=1, help="Images and uuids to keep; the oldest are dropped first.")
    ] = 16384,
    keep_pictures: Annotated[
        Path | None, typer.Option(help="Folder where each distinct image is saved as it was received.")
    ] = None,
) -> None:
    """Serve an OpenAI-compatible endpoint without a model, to try a run.

    Answers describe the colours and sizes of the images. Latency and faults can be configured.
    GET /sim/stats returns its counters.

    Example: persqa sim --latency 0.2 --slots 64 --fault 503=0.05 --fault no_tag=0.02
    """
    # Imported here to keep --help fast (cli/run.py).
    from persqa_client.simulator.server import serve_until_signal
    from persqa_client.simulator.settings import (
        DEFAULT_MODEL,
        SimSettings,
        parse_faults,
        parse_slot_changes,
        read_answers,
    )

    try:
        settings = SimSettings(
            models=tuple(model or [DEFAULT_MODEL]),
            latency=latency,
            jitter=jitter,
            slots=slots,
            slots_at=parse_slot_changes(slots_at or ()),
            max_queued=max_queued,
            link_mbps=link_mbps,
            api_key=api_key,
            max_model_len=max_model_len,
            limit_images=limit_images,
            hidden_tokens=hidden_tokens,
            guided=guided,
            shape=shape,
            reject=tuple(reject or ()),
            partial=partial,
            blind=blind,
            faults=parse_faults(fault or ()),
            fault_seed=fault_seed,
            retry_after=retry_after,
            answers=read_answers(answers) if answers else {},
            cached_pictures=cached_pictures,
            keep_pictures=keep_pictures,
        )
        stats = asyncio.run(serve_until_signal(settings, host, port, typer.echo))
    except SettingsError as error:
        typer.echo(f"persqa sim: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{stats['requests']} requests, {stats['answered']} answered, {stats['refused']} refused.")
