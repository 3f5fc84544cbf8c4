"""``persqa sim``: serve a simulated endpoint until interrupted. Listens on a socket, prints to the terminal."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer

from persqa_client.errors import SettingsError


def sim(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one and prints it.")] = 8000,
    model: Annotated[
        list[str] | None, typer.Option(help="Model name to answer to, in place of persqa-simulator; repeatable.")
    ] = None,
    latency: Annotated[float, typer.Option(min=0, help="Seconds of service for each request.")] = 0.05,
    jitter: Annotated[
        float, typer.Option(min=0, max=1, help="Fraction by which the latency varies, up and down.")
    ] = 0.0,
    slots: Annotated[int, typer.Option(min=1, help="Requests served at once; the rest wait.")] = 32,
    slots_at: Annotated[
        list[str] | None,
        typer.Option(help="SECONDS=SLOTS, how many from that time after the first request on; repeatable."),
    ] = None,
    max_queued: Annotated[
        int | None, typer.Option(min=0, help="Requests that may wait; further ones get a 503.")
    ] = None,
    link_mbps: Annotated[
        float | None, typer.Option(help="Megabits a second of the link that all uploads share.")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="PERSQA_SIM_API_KEY", help="Key that requests must carry.")
    ] = None,
    max_model_len: Annotated[int, typer.Option(min=1, help="Context in tokens.")] = 8192,
    limit_images: Annotated[int, typer.Option(min=0, help="Pictures that a request may carry.")] = 4,
    guided: Annotated[
        bool, typer.Option("--guided", help="Obey guided_regex and ignore structured_outputs, as vLLM did before 0.12.")
    ] = False,
    shape: Annotated[Literal["vllm", "hosted"], typer.Option(help="Speak like vLLM or like a hosted API.")] = "vllm",
    reject: Annotated[
        list[str] | None, typer.Option(help="Further parameter that the hosted shape refuses; repeatable.")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="In the hosted shape: go on from a message that is marked partial.")
    ] = False,
    blind: Annotated[
        bool, typer.Option("--blind", help="Drop pictures without a word, as servers of text models do.")
    ] = False,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="KIND=RATE, a fault and how often it comes; repeatable. A wrong kind lists them all."),
    ] = None,
    fault_seed: Annotated[int, typer.Option(help="Seed of the faults: the same requests meet the same ones.")] = 0,
    answers: Annotated[
        Path | None,
        typer.Option(help="JSONL file with a question and the answer to give to it on each line."),
    ] = None,
    retry_after: Annotated[float, typer.Option(min=0, help="Seconds that a 429 asks to wait.")] = 1.0,
    cached_pictures: Annotated[
        int, typer.Option(min=1, help="Pictures, and uuids, that are remembered; the oldest go first.")
    ] = 16384,
    keep_pictures: Annotated[
        Path | None, typer.Option(help="Folder for each distinct picture that arrives, as its own bytes.")
    ] = None,
) -> None:
    """Serve an OpenAI-compatible endpoint without a model, for trying a run out.

    It decodes the pictures and answers with their colours and sizes, like a server of the pace and with the faults
    that you choose. GET /sim/stats tells what happened.

    Example: persqa sim --latency 0.2 --slots 64 --fault 503=0.05 --fault no_tag=0.02
    """
    # Imported here, because --help must not wait for aiohttp and Pillow.
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
