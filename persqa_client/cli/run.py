"""``persqa run``: rows or a folder of pictures in, checked answers out."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from persqa_client.run.gc_tuning import look_at_no_imports

# ``--config FILE.toml``: flags from a file, below those of the command line. Reads the file.


def load_config(context: typer.Context, path: Path | None) -> Path | None:
    """An eager option's callback: makes the file's values the defaults of the other options. Keys are flags without
    their dashes; ``extra-body`` may be a table."""
    if path is None:
        return None
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise typer.BadParameter(f"{path} can't be read ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} is not TOML: {error}.") from error
    known = {str(parameter.name) for parameter in context.command.params} - {"config", "help"}
    repeated = {parameter.name for parameter in context.command.params if getattr(parameter, "multiple", False)}
    defaults = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in known:
            raise typer.BadParameter(f"{path} has a key {key!r} that is no flag; see --help.")
        if name in repeated and isinstance(value, str):
            value = [value]
        defaults[name] = table_as_json(path, key, value) if isinstance(value, dict) else value
    context.default_map = {**(context.default_map or {}), **defaults}
    return path


def table_as_json(path: Path, key: str, table: dict[str, Any]) -> str:
    try:
        return json.dumps(table, allow_nan=False)
    except (TypeError, ValueError) as error:
        # Dates, times, infinity: TOML has them, JSON has not.
        raise typer.BadParameter(f"{path} has a value under {key!r} that JSON can't hold: {error}.") from error


Files, Asking, Server = "Files", "What is asked", "The server"


def run(
    input: Annotated[Path, typer.Argument(metavar="INPUT", help="A JSONL file, or a folder of pictures.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="JSONL file to write.", rich_help_panel=Files)],
    base_url: Annotated[
        list[str] | None,
        typer.Option(
            help="The endpoint, such as http://HOST:8000/v1; repeat it to share the work.", rich_help_panel=Server
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="The model's name there; with --serve, another name for it.", rich_help_panel=Server),
    ] = None,
    serve: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Start vllm serve MODEL for this run and end it afterwards, in place of --base-url.",
            rich_help_panel=Server,
        ),
    ] = None,
    serve_args: Annotated[
        str | None, typer.Option(metavar="WORDS", help="Further options of vllm serve.", rich_help_panel=Server)
    ] = None,
    serve_timeout: Annotated[
        float, typer.Option(min=1, help="Seconds until that server must be ready.", rich_help_panel=Server)
    ] = 1800.0,
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        typer.Option(help="What that server runs on; auto: the CPU where there is no GPU.", rich_help_panel=Server),
    ] = "auto",
    vllm_command: Annotated[
        str | None,
        typer.Option(
            metavar="WORDS", help="What calls vllm, else PERSQA_VLLM, else vllm on the PATH.", rich_help_panel=Server
        ),
    ] = None,
    image_key: Annotated[
        str, typer.Option(help="Field with the picture or pictures.", rich_help_panel=Files)
    ] = "image",
    output_key: Annotated[str, typer.Option(help="Field to add.", rich_help_panel=Files)] = "pers_qa",
    image_root: Annotated[
        Path | None,
        typer.Option(help="Where relative paths start; else the input's folder, then here.", rich_help_panel=Files),
    ] = None,
    output_style: Annotated[
        Literal["qa", "answer"], typer.Option(help="Question and answer, or the bare answer.", rich_help_panel=Files)
    ] = "qa",
    details: Annotated[bool, typer.Option("--details", help="Add OUTPUT_KEY_meta.", rich_help_panel=Files)] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many rows.", rich_help_panel=Files)] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over what a run of ours left here.", rich_help_panel=Files)
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask failed rows again, into their places.", rich_help_panel=Files)
    ] = False,
    tag: Annotated[str, typer.Option(help="The main character's name: <mam>.", rich_help_panel=Asking)] = "mam",
    temperature: Annotated[float, typer.Option(min=0, max=2, rich_help_panel=Asking)] = 0.7,
    top_p: Annotated[float, typer.Option(rich_help_panel=Asking)] = 0.9,
    max_tokens: Annotated[int, typer.Option(min=1, rich_help_panel=Asking)] = 512,
    seed: Annotated[int, typer.Option(help="Same seed, same questions.", rich_help_panel=Asking)] = 0,
    max_pixels: Annotated[
        int, typer.Option(min=784, help="Larger pictures are reduced.", rich_help_panel=Asking)
    ] = 1_003_520,
    bank: Annotated[
        str,
        typer.Option(
            metavar="CATEGORY|FILE",
            help="Questions about a human, animal, object, scene or group, or a file of your own.",
            rich_help_panel=Asking,
        ),
    ] = "human",
    language: Annotated[
        Literal["en", "zh"] | None,
        typer.Option(help="Of the questions; English unless your own file is Chinese.", rich_help_panel=Asking),
    ] = None,
    questions: Annotated[
        int, typer.Option(min=1, help="Different ones for each row, a line each.", rich_help_panel=Asking)
    ] = 1,
    sensitive: Annotated[
        bool, typer.Option("--sensitive", help="Ask about skin, age and body, too.", rich_help_panel=Asking)
    ] = False,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NEED",
            help="Leave out questions that presuppose this, such as face; repeatable.",
            rich_help_panel=Asking,
        ),
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option(help="File of real names, one a line, that no answer may have.", rich_help_panel=Asking),
    ] = None,
    strategy: Annotated[
        Literal["auto", "direct", "constrain", "prefill", "surrogate"],
        typer.Option(help="How the tag gets into answers; auto: constrain if obeyed.", rich_help_panel=Asking),
    ] = "auto",
    probes: Annotated[
        bool,
        typer.Option("--probes/--no-probes", help="Try the server out before the first row.", rich_help_panel=Server),
    ] = True,
    uuid: Annotated[
        bool,
        typer.Option(
            "--uuid/--no-uuid", help="Send a picture once where the server keeps it by a uuid.", rich_help_panel=Server
        ),
    ] = True,
    extra_body: Annotated[
        str | None, typer.Option(metavar="JSON", help="Further request fields.", rich_help_panel=Asking)
    ] = None,
    api_key_env: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Variable with the key; one for each --base-url in order, - for none.",
            rich_help_panel=Server,
        ),
    ] = None,
    concurrency: Annotated[
        str, typer.Option(metavar="auto|N", help="Requests at once; auto finds the number.", rich_help_panel=Server)
    ] = "auto",
    max_concurrency: Annotated[int, typer.Option(min=1, help="What auto stays below.", rich_help_panel=Server)] = 512,
    rps: Annotated[
        float | None, typer.Option(help="Requests a second; may be below 1.", rich_help_panel=Server)
    ] = None,
    rpm: Annotated[float | None, typer.Option(help="Requests a minute.", rich_help_panel=Server)] = None,
    tpm: Annotated[int | None, typer.Option(help="Tokens a minute.", rich_help_panel=Server)] = None,
    timeout: Annotated[float, typer.Option(help="Seconds for one attempt.", rich_help_panel=Server)] = 120.0,
    max_attempts: Annotated[int, typer.Option(min=1, help="Attempts for one row.", rich_help_panel=Server)] = 5,
    max_outage: Annotated[
        float, typer.Option(help="Seconds to wait for a server that is away.", rich_help_panel=Server)
    ] = 600.0,
    max_inflight_mb: Annotated[
        int, typer.Option(min=1, help="Memory for rows and pictures under way.", rich_help_panel=Server)
    ] = 256,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the first requests, send nothing.")] = False,
    config: Annotated[
        Path | None, typer.Option(callback=load_config, is_eager=True, help="TOML file; its keys are these flags.")
    ] = None,
) -> None:
    """Ask a question about every picture and write the checked answers.

    Give the same command again to go on after a stop. Exit codes: 0 all good, 1 some rows failed, 2 usage or
    configuration, 3 server away or refusing, 70 a defect of this program, 130 stopped.

    Example: persqa run photos/ -o qa.jsonl --base-url http://127.0.0.1:8000/v1 --model Qwen/Qwen2.5-VL-3B-Instruct

    Or, where the GPU is: persqa run photos/ -o qa.jsonl --serve Qwen/Qwen2.5-VL-3B-Instruct
    """
    flags = {name: value for name, value in locals().items() if name not in {"config", "dry_run"}}
    look_at_no_imports()
    # Imported here, because --help must not wait for the SDK, nor a run for what starts a server.
    if serve:
        from persqa_client.cli import serve as serving

        serving.main(flags, dry_run=dry_run)
    else:
        from persqa_client.cli import execute as running

        running.main(flags, dry_run=dry_run)
