"""``persqa run``: its flags."""

from __future__ import annotations

import gc
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import typer

from persqa_client.cli.config_file import load_config
from persqa_client.cli.usage import Command, path, text_or_file
from persqa_client.types import AnswerStyle, OutputStyle, QuestionLanguage

UUID_CHOICES = ("auto", "on", "off")
# Parameters of the command that are no settings of a run.
MODES = frozenset({"config", "no_uuid", "dry_run", "preview"})


class Mode(NamedTuple):
    """What is done instead of a run."""

    dry_run: bool
    # Rows to show; None for a run.
    preview: int | None


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


def parse_input(text: str) -> str:
    """An empty string, perhaps from a variable that is not set, would be the working directory."""
    if not str(text).strip():
        raise typer.BadParameter("it is empty; name a file, or a folder (. for the working directory).")
    return str(text)


# The flags of ``run``, by the panels of --help; the first ones are in none.

Input = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        parser=parse_input,
        help="JSONL, a JSON array, CSV, a list of paths, a folder of images, an image, a quoted pattern, or - for "
        "standard input.",
    ),
]
Preview = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Ask about N rows, spread over the input, show them, and write nothing."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the first requests without sending them.")]
Config = Annotated[
    Path | None,
    typer.Option(
        parser=path, callback=load_config, is_eager=True, help="TOML file with defaults; the keys are these flags."
    ),
]

files_option = partial(typer.Option, rich_help_panel="Files")
Output = Annotated[
    Path | None, files_option("--output", "-o", parser=path, help="JSONL file to write; - for standard output.")
]
ImageKey = Annotated[str, files_option(help="Field with the path of the image, or a list of them.")]
OutputKey = Annotated[str, files_option(help="Field for the answer.")]
ImageRoot = Annotated[
    Path | None,
    files_option(
        parser=path, help="Folder of relative image paths; default: the input's folder, then the working directory."
    ),
]
Style = Annotated[OutputStyle, files_option(help="Question and answer, or the answer only.")]
Paths = Annotated[
    Literal["as-given", "absolute", "relative"] | None,
    files_option(
        help="How image paths are written; relative: to the output's folder. Default: as given in a JSONL file."
    ),
]
Details = Annotated[bool, files_option("--details", help="Also add OUTPUT_KEY_meta, with details of each answer.")]
Limit = Annotated[int | None, files_option(min=1, help="Stop after this many rows.")]
Failed = Annotated[Path | None, files_option(metavar="FILE", parser=path, help="With -o -: file for the failed rows.")]
Fresh = Annotated[bool, files_option("--fresh", help="Start again; a finished output is kept as qa.1.jsonl.")]
RetryFailed = Annotated[
    bool, files_option("--retry-failed", help="Ask failed rows again and insert their answers into the output.")
]
RecheckPictures = Annotated[
    bool,
    files_option(
        "--recheck-pictures", help="Report pictures of finished rows that have changed since, and ask about them again."
    ),
]

question_option = partial(typer.Option, rich_help_panel="Questions and answers")
Tag = Annotated[str, question_option(help="Name of the main character; mam becomes the tag <mam>.")]
Temperature = Annotated[float, question_option(min=0, max=2)]
TopP = Annotated[float, question_option()]
MaxTokens = Annotated[int, question_option(min=1)]
Seed = Annotated[int, question_option(help="Seed of the questions and the requests.")]
MaxPixels = Annotated[int, question_option(min=784, help="Larger images are scaled down.")]
Bank = Annotated[
    str,
    question_option(
        metavar="CATEGORY|FILE", help="Questions about a human, animal, object, scene or group, or a file of questions."
    ),
]
Language = Annotated[
    QuestionLanguage | None,
    question_option(help="Language of the questions; default: English, or that of the --bank file."),
]
Question = Annotated[
    str | None,
    question_option(metavar="TEXT", help="One question about every image, with {tag}, instead of those of the bank."),
]
Questions = Annotated[int, question_option(min=1, help="Questions per row; each one has its own output line.")]
Sensitive = Annotated[bool, question_option("--sensitive", help="Include questions about skin, age and body.")]
Without = Annotated[
    list[str] | None,
    question_option(
        metavar="NEED", help="Leave out questions about a part that images don't show, such as face. Repeatable."
    ),
]
Names = Annotated[
    Path | None, question_option(parser=path, help="File of real names, one per line, that no answer may contain.")
]
Strategy = Annotated[
    Literal["auto", "direct", "constrain", "prefill", "surrogate"],
    question_option(help="How answers are made to begin with the tag; auto is constrain if supported, else direct."),
]
Verify = Annotated[
    Literal["doubtful", "all", "off"],
    question_option(help="Ask the model again whether its answers are right: those with a doubt, or all."),
]
System = Annotated[
    str | None,
    question_option(
        metavar="TEXT|@FILE",
        parser=text_or_file,
        help="System text, instead of the built-in one; may name {tag} and fields of the rows.",
    ),
]
Prompt = Annotated[
    str | None,
    question_option(
        metavar="TEXT|@FILE",
        parser=text_or_file,
        help="Prompt, instead of the built-in one, with {question}; may name {tag}, {category} and fields of the rows.",
    ),
]
AnswerLength = Annotated[
    AnswerStyle,
    question_option("--answer-style", help="Length of the answers: a word or phrase, one sentence, two, or several."),
]
Steer = Annotated[
    list[str] | None,
    question_option(metavar="system|prompt", help="Let a row's own field of this name replace the text. Repeatable."),
]
ExtraBody = Annotated[str | None, question_option(metavar="JSON", help="Additional request fields.")]

server_option = partial(typer.Option, rich_help_panel="Server")
BaseURL = Annotated[
    list[str] | None, server_option(help="Endpoint, such as http://HOST:8000/v1. Repeat it to use several.")
]
Model = Annotated[
    str | None,
    server_option(help="Model name at the endpoint; with --serve, the name under which the model is served."),
]
Serve = Annotated[
    str | None, server_option(metavar="MODEL", help="Start vllm serve MODEL for this run instead of using --base-url.")
]
ServeArgs = Annotated[str | None, server_option(metavar="WORDS", help="More options of vllm serve.")]
ServeTimeout = Annotated[float, server_option(min=1, help="Seconds until the server of --serve must be ready.")]
Device = Annotated[
    Literal["auto", "cpu", "cuda"],
    server_option(help="Device of the server of --serve; auto uses the CPU if there is no GPU."),
]
VllmCommand = Annotated[
    str | None,
    server_option(
        metavar="WORDS", help="Command that runs vllm; default: the variable PERSQA_VLLM, or vllm on the PATH."
    ),
]
Probes = Annotated[bool, server_option("--probes/--no-probes", help="Test the server's features before the first row.")]
Uuid = Annotated[
    Literal["auto", "on", "off"],
    server_option(
        help="Send each image once, then its uuid: auto if a test shows that the server has it, on without a test."
    ),
]
NoUuid = Annotated[bool, server_option("--no-uuid", help="The same as --uuid off.")]
APIKeyEnv = Annotated[
    list[str] | None,
    server_option(
        metavar="NAME", help="Environment variable with the API key; one per --base-url, in order, - for none."
    ),
]
APIKeyCommand = Annotated[
    list[str] | None,
    server_option(
        metavar="COMMAND",
        help="Command that prints the API key, asked again when the key expires; one per --base-url, in order.",
    ),
]
Header = Annotated[
    list[str] | None,
    server_option(
        metavar="NAME=@VARIABLE", help="Further header, with its value in an environment variable. Repeatable."
    ),
]
CaCert = Annotated[
    Path | None, server_option(metavar="FILE", parser=path, help="Certificates to trust instead of the system's.")
]
ClientCert = Annotated[
    str | None, server_option(metavar="FILE[:KEY]", help="Client certificate and its key, in PEM format.")
]
Concurrency = Annotated[str, server_option(metavar="auto|N", help="Concurrent requests; auto finds the best number.")]
MaxConcurrency = Annotated[int, server_option(min=1, help="Upper bound for auto.")]
RequestsPerSecond = Annotated[float | None, server_option(help="Requests per second; may be below 1.")]
RequestsPerMinute = Annotated[float | None, server_option(help="Requests per minute.")]
TokensPerMinute = Annotated[int | None, server_option(help="Tokens per minute.")]
Timeout = Annotated[float, server_option(help="Time limit of one attempt, in seconds.")]
MaxAttempts = Annotated[int, server_option(min=1, help="Attempts per request.")]
MaxOutage = Annotated[float, server_option(help="Seconds to wait for a server that is unavailable.")]
MaxBadAnswers = Annotated[int, server_option(min=0, help="Rejected answers in a row that stop the run; 0 for no stop.")]
MaxBadRows = Annotated[
    int,
    server_option(
        min=0, help="Unusable rows at the beginning that stop the run, or all rows of a shorter input; 0 for no stop."
    ),
]
MaxInflightMB = Annotated[int, server_option(min=1, help="Memory for rows and images in progress.")]


def run(
    input: Input,
    output: Output = None,
    base_url: BaseURL = None,
    model: Model = None,
    serve: Serve = None,
    serve_args: ServeArgs = None,
    serve_timeout: ServeTimeout = 1800.0,
    device: Device = "auto",
    vllm_command: VllmCommand = None,
    image_key: ImageKey = "image",
    output_key: OutputKey = "pers_qa",
    image_root: ImageRoot = None,
    output_style: Style = "qa",
    paths: Paths = None,
    details: Details = False,
    limit: Limit = None,
    failed: Failed = None,
    fresh: Fresh = False,
    retry_failed: RetryFailed = False,
    recheck_pictures: RecheckPictures = False,
    tag: Tag = "mam",
    temperature: Temperature = 0.7,
    top_p: TopP = 0.9,
    max_tokens: MaxTokens = 512,
    seed: Seed = 0,
    max_pixels: MaxPixels = 1_003_520,
    bank: Bank = "human",
    language: Language = None,
    question: Question = None,
    questions: Questions = 1,
    sensitive: Sensitive = False,
    without: Without = None,
    names: Names = None,
    strategy: Strategy = "auto",
    verify: Verify = "off",
    system: System = None,
    prompt: Prompt = None,
    answer_style: AnswerLength = "sentences",
    steer: Steer = None,
    probes: Probes = True,
    uuid: Uuid = "auto",
    no_uuid: NoUuid = False,
    extra_body: ExtraBody = None,
    api_key_env: APIKeyEnv = None,
    api_key_command: APIKeyCommand = None,
    header: Header = None,
    ca_cert: CaCert = None,
    client_cert: ClientCert = None,
    concurrency: Concurrency = "auto",
    max_concurrency: MaxConcurrency = 512,
    rps: RequestsPerSecond = None,
    rpm: RequestsPerMinute = None,
    tpm: TokensPerMinute = None,
    timeout: Timeout = 120.0,
    max_attempts: MaxAttempts = 5,
    max_outage: MaxOutage = 600.0,
    max_bad_answers: MaxBadAnswers = 20,
    max_bad_rows: MaxBadRows = 200,
    max_inflight_mb: MaxInflightMB = 256,
    preview: Preview = None,
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """Ask a question about every image and write the checked answers.

    Run the same command again to resume after a stop. Exit codes: 0 all rows answered, 1 some rows failed, 2 invalid
    usage, configuration or input, 3 server unavailable or requests rejected, 70 bug in this program, 130 stopped.

    Example: persqa run photos/ -o qa.jsonl --base-url http://127.0.0.1:8000/v1 --model Qwen/Qwen2.5-VL-3B-Instruct

    On a machine with a GPU: persqa run photos/ -o qa.jsonl --serve Qwen/Qwen2.5-VL-3B-Instruct
    """
    flags = {name: value for name, value in locals().items() if name not in MODES}
    flags["uuid"] = "off" if no_uuid else uuid
    mode = Mode(dry_run, preview)
    gc.disable()  # objects of imports are permanent; see ``tune_gc``
    # Imported here to keep --help fast: these imports take 0.9 s of CPU time.
    if serve:
        from persqa_client.cli.serve import run_with_server

        run_with_server(flags, mode)
    else:
        from persqa_client.cli.execute import run_at_endpoints

        run_at_endpoints(flags, mode)
