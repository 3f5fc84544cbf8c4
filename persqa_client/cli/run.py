"""``persqa run``: its flags, and the config file that gives them defaults."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from persqa_client.cli.config_file import read_config
from persqa_client.cli.usage import CONFIG_KEY, Command, path

UUID_CHOICES = ("auto", "on", "off")


class RunCommand(Command):
    """Accepts ``--uuid`` without a value, as in earlier versions."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, complete_uuid_flag(args))


def complete_uuid_flag(args: list[str]) -> list[str]:
    """``--uuid`` without a value is ``--uuid auto``."""
    following = [*args, ""][1:]
    return [
        "--uuid=auto" if word == "--uuid" and after not in UUID_CHOICES else word
        for word, after in zip(args, following, strict=True)
    ]


def load_config(context: typer.Context, file: Path | None) -> Path | None:
    """Uses the values of a TOML file as defaults of the other options (callback of an eager option)."""
    if file is not None:
        context.meta[CONFIG_KEY] = file
        context.default_map = {**(context.default_map or {}), **read_config(file, context.command.params)}
    return file


def parse_input(text: str) -> str:
    """An empty string, perhaps from a variable that is not set, would be the working directory."""
    if not str(text).strip():
        raise typer.BadParameter("it is empty; name a file, or a folder (. for the working directory).")
    return str(text)


FILES, QUESTIONS, SERVER = "Files", "Questions and answers", "Server"


def run(
    input: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            parser=parse_input,
            help="JSONL, a JSON array, CSV, a list of paths, a folder of images, an image, a quoted pattern, or - for "
            "standard input.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", parser=path, help="JSONL file to write; - for standard output.", rich_help_panel=FILES
        ),
    ],
    base_url: Annotated[
        list[str] | None,
        typer.Option(help="Endpoint, such as http://HOST:8000/v1. Repeat it to use several.", rich_help_panel=SERVER),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model name at the endpoint; with --serve, the name under which the model is served.",
            rich_help_panel=SERVER,
        ),
    ] = None,
    serve: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Start vllm serve MODEL for this run instead of using --base-url.",
            rich_help_panel=SERVER,
        ),
    ] = None,
    serve_args: Annotated[
        str | None, typer.Option(metavar="WORDS", help="More options of vllm serve.", rich_help_panel=SERVER)
    ] = None,
    serve_timeout: Annotated[
        float, typer.Option(min=1, help="Seconds until the server of --serve must be ready.", rich_help_panel=SERVER)
    ] = 1800.0,
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        typer.Option(
            help="Device of the server of --serve; auto uses the CPU if there is no GPU.", rich_help_panel=SERVER
        ),
    ] = "auto",
    vllm_command: Annotated[
        str | None,
        typer.Option(
            metavar="WORDS",
            help="Command that runs vllm; default: the variable PERSQA_VLLM, or vllm on the PATH.",
            rich_help_panel=SERVER,
        ),
    ] = None,
    image_key: Annotated[
        str, typer.Option(help="Field with the path of the image, or a list of them.", rich_help_panel=FILES)
    ] = "image",
    output_key: Annotated[str, typer.Option(help="Field for the answer.", rich_help_panel=FILES)] = "pers_qa",
    image_root: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            help="Folder of relative image paths; default: the input's folder, then the working directory.",
            rich_help_panel=FILES,
        ),
    ] = None,
    output_style: Annotated[
        Literal["qa", "answer"], typer.Option(help="Question and answer, or the answer only.", rich_help_panel=FILES)
    ] = "qa",
    paths: Annotated[
        Literal["as-given", "absolute", "relative"] | None,
        typer.Option(
            help="How image paths are written; relative: to the output's folder. Default: as given in a JSONL file.",
            rich_help_panel=FILES,
        ),
    ] = None,
    details: Annotated[
        bool,
        typer.Option("--details", help="Also add OUTPUT_KEY_meta, with details of each answer.", rich_help_panel=FILES),
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after this many rows.", rich_help_panel=FILES)] = None,
    failed: Annotated[
        Path | None,
        typer.Option(metavar="FILE", parser=path, help="With -o -: file for the failed rows.", rich_help_panel=FILES),
    ] = None,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Start again; a finished output is kept as qa.1.jsonl.", rich_help_panel=FILES),
    ] = False,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="Ask failed rows again and insert their answers into the output.",
            rich_help_panel=FILES,
        ),
    ] = False,
    recheck_pictures: Annotated[
        bool,
        typer.Option(
            "--recheck-pictures",
            help="Report pictures of finished rows that have changed since, and ask about them again.",
            rich_help_panel=FILES,
        ),
    ] = False,
    tag: Annotated[
        str, typer.Option(help="Name of the main character; mam becomes the tag <mam>.", rich_help_panel=QUESTIONS)
    ] = "mam",
    temperature: Annotated[float, typer.Option(min=0, max=2, rich_help_panel=QUESTIONS)] = 0.7,
    top_p: Annotated[float, typer.Option(rich_help_panel=QUESTIONS)] = 0.9,
    max_tokens: Annotated[int, typer.Option(min=1, rich_help_panel=QUESTIONS)] = 512,
    seed: Annotated[int, typer.Option(help="Seed of the questions and the requests.", rich_help_panel=QUESTIONS)] = 0,
    max_pixels: Annotated[
        int, typer.Option(min=784, help="Larger images are scaled down.", rich_help_panel=QUESTIONS)
    ] = 1_003_520,
    bank: Annotated[
        str,
        typer.Option(
            metavar="CATEGORY|FILE",
            help="Questions about a human, animal, object, scene or group, or a file of questions.",
            rich_help_panel=QUESTIONS,
        ),
    ] = "human",
    language: Annotated[
        Literal["en", "zh"] | None,
        typer.Option(
            help="Language of the questions; default: English, or that of the --bank file.", rich_help_panel=QUESTIONS
        ),
    ] = None,
    questions: Annotated[
        int, typer.Option(min=1, help="Questions per row; each one has its own output line.", rich_help_panel=QUESTIONS)
    ] = 1,
    sensitive: Annotated[
        bool, typer.Option("--sensitive", help="Include questions about skin, age and body.", rich_help_panel=QUESTIONS)
    ] = False,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NEED",
            help="Leave out questions about a part that images don't show, such as face. Repeatable.",
            rich_help_panel=QUESTIONS,
        ),
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option(
            parser=path, help="File of real names, one per line, that no answer may contain.", rich_help_panel=QUESTIONS
        ),
    ] = None,
    strategy: Annotated[
        Literal["auto", "direct", "constrain", "prefill", "surrogate"],
        typer.Option(
            help="How answers are made to begin with the tag; auto is constrain if supported, else direct.",
            rich_help_panel=QUESTIONS,
        ),
    ] = "auto",
    verify: Annotated[
        Literal["doubtful", "all", "off"],
        typer.Option(
            help="Ask the model again whether its answers are right: those with a doubt, or all.",
            rich_help_panel=QUESTIONS,
        ),
    ] = "off",
    probes: Annotated[
        bool,
        typer.Option(
            "--probes/--no-probes", help="Test the server's features before the first row.", rich_help_panel=SERVER
        ),
    ] = True,
    uuid: Annotated[
        Literal["auto", "on", "off"],
        typer.Option(
            help="Send each image once, then its uuid: auto if a test shows that the server has it, on without a test.",
            rich_help_panel=SERVER,
        ),
    ] = "auto",
    no_uuid: Annotated[bool, typer.Option("--no-uuid", help="The same as --uuid off.", rich_help_panel=SERVER)] = False,
    extra_body: Annotated[
        str | None, typer.Option(metavar="JSON", help="Additional request fields.", rich_help_panel=QUESTIONS)
    ] = None,
    api_key_env: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Environment variable with the API key; one per --base-url, in order, - for none.",
            rich_help_panel=SERVER,
        ),
    ] = None,
    api_key_command: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COMMAND",
            help="Command that prints the API key, asked again when the key expires; one per --base-url, in order.",
            rich_help_panel=SERVER,
        ),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=@VARIABLE",
            help="Further header, with its value in an environment variable. Repeatable.",
            rich_help_panel=SERVER,
        ),
    ] = None,
    ca_cert: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", parser=path, help="Certificates to trust instead of the system's.", rich_help_panel=SERVER
        ),
    ] = None,
    client_cert: Annotated[
        str | None,
        typer.Option(
            metavar="FILE[:KEY]", help="Client certificate and its key, in PEM format.", rich_help_panel=SERVER
        ),
    ] = None,
    concurrency: Annotated[
        str,
        typer.Option(metavar="auto|N", help="Concurrent requests; auto finds the best number.", rich_help_panel=SERVER),
    ] = "auto",
    max_concurrency: Annotated[int, typer.Option(min=1, help="Upper bound for auto.", rich_help_panel=SERVER)] = 512,
    rps: Annotated[
        float | None, typer.Option(help="Requests per second; may be below 1.", rich_help_panel=SERVER)
    ] = None,
    rpm: Annotated[float | None, typer.Option(help="Requests per minute.", rich_help_panel=SERVER)] = None,
    tpm: Annotated[int | None, typer.Option(help="Tokens per minute.", rich_help_panel=SERVER)] = None,
    timeout: Annotated[
        float, typer.Option(help="Time limit of one attempt, in seconds.", rich_help_panel=SERVER)
    ] = 120.0,
    max_attempts: Annotated[int, typer.Option(min=1, help="Attempts per request.", rich_help_panel=SERVER)] = 5,
    max_outage: Annotated[
        float, typer.Option(help="Seconds to wait for a server that is unavailable.", rich_help_panel=SERVER)
    ] = 600.0,
    max_bad_answers: Annotated[
        int,
        typer.Option(min=0, help="Rejected answers in a row that stop the run; 0 for no stop.", rich_help_panel=SERVER),
    ] = 20,
    max_bad_rows: Annotated[
        int,
        typer.Option(
            min=0,
            help="Unusable rows at the beginning that stop the run, or all rows of a shorter input; 0 for no stop.",
            rich_help_panel=SERVER,
        ),
    ] = 200,
    max_inflight_mb: Annotated[
        int, typer.Option(min=1, help="Memory for rows and images in progress.", rich_help_panel=SERVER)
    ] = 256,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the first requests without sending them.")] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            callback=load_config,
            is_eager=True,
            help="TOML file with defaults; the keys are these flags.",
        ),
    ] = None,
) -> None:
    """Ask a question about every image and write the checked answers.

    Run the same command again to resume after a stop. Exit codes: 0 all rows answered, 1 some rows failed, 2 invalid
    usage, configuration or input, 3 server unavailable or requests rejected, 70 bug in this program, 130 stopped.

    Example: persqa run photos/ -o qa.jsonl --base-url http://127.0.0.1:8000/v1 --model Qwen/Qwen2.5-VL-3B-Instruct

    On a machine with a GPU: persqa run photos/ -o qa.jsonl --serve Qwen/Qwen2.5-VL-3B-Instruct
    """
    flags = {name: value for name, value in locals().items() if name not in {"config", "dry_run", "no_uuid"}}
    flags["uuid"] = "off" if no_uuid else uuid
    gc.disable()  # objects of imports are permanent; see ``tune_gc``
    # Imported here to keep --help fast: these imports take 0.9 s of CPU time.
    if serve:
        from persqa_client.cli.serve import run_with_server

        run_with_server(flags, dry_run=dry_run)
    else:
        from persqa_client.cli.execute import run_at_endpoints

        run_at_endpoints(flags, dry_run=dry_run)
