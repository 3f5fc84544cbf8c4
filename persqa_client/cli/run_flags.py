"""The flags of ``persqa run``, by the panels of --help; those in none are shown last."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from persqa_client.cli.completion import complete_category, complete_need, complete_text
from persqa_client.cli.config_file import load_config
from persqa_client.cli.help_pages import make_page
from persqa_client.cli.output_names import page_file, rows_file
from persqa_client.cli.usage import path, place, text_or_file
from persqa_client.types import AnswerStyle, BoxFormat, BoxMode, OutputStyle, QuestionLanguage, RowLayoutChoice

VARIABLES = {"base_url": "PERSQA_BASE_URL", "model": "PERSQA_MODEL"}
# The flags that --help shows; --help-all shows the others, too.
EVERYDAY = frozenset(
    {"output", "limit", "details", "fresh", "retry_failed"}
    | {"base_url", "model", "api_key_env", "serve"}
    | {"bank", "language", "question", "questions", "tag", "answer_style", "verify"}
    | {"concurrency", "rpm", "max_cost"}
    | {"preview", "dry_run", "config", "help", "help_all"}
)


def is_everyday(option: Any) -> bool:
    return option.name in EVERYDAY


def show_all_flags(context: typer.Context, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        typer.echo(make_page(context.command, context, is_everyday), color=context.color)
        raise typer.Exit


def parse_input(text: str) -> str:
    """An empty string, perhaps from a variable that is not set, would be the working directory."""
    if not str(text).strip():
        raise typer.BadParameter("it is empty; name a file, or a folder (. for the working directory).")
    return str(text)


Input = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        parser=parse_input,
        help="JSONL, a JSON array, CSV, a list of paths, a folder of images, an image, a quoted pattern, or - for "
        "standard input; also in a store, such as s3://bucket/rows.jsonl.",
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
        metavar="FILE.toml",
        parser=path,
        callback=load_config,
        is_eager=True,
        help="File with defaults of these options; persqa init writes one.",
    ),
]

HelpAll = Annotated[
    bool, typer.Option("--help-all", callback=show_all_flags, is_eager=True, help="Show all options and exit.")
]
AsJSON = Annotated[
    bool, typer.Option("--json", help="Print the results as one JSON object on standard output, and nothing else.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and warnings only.")]
LogFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", parser=path, help="Append messages, with the time, to this file."),
]

files_option = partial(typer.Option, rich_help_panel="Files")
Output = Annotated[
    Path | None,
    files_option(
        "--output", "-o", metavar="FILE.jsonl", parser=rows_file, help="File to write; - for standard output."
    ),
]
ImageKey = Annotated[str, files_option(metavar="NAME", help="Field with the path of the image, or a list of them.")]
OutputKey = Annotated[str, files_option(metavar="NAME", help="Field for the answer.")]
RowLayout = Annotated[
    RowLayoutChoice,
    files_option(
        help="auto: a row of messages or conversations is asked its own first question. fields: the rows' fields only."
    ),
]
ImageRoot = Annotated[
    Path | None,
    files_option(
        metavar="DIR",
        parser=place,
        help="Folder of relative image paths, also s3://bucket/folder; default: the input's folder, then the working "
        "directory.",
    ),
]
ConfineImages = Annotated[
    bool,
    files_option(
        "--confine-images",
        help="Refuse images outside of --image-root, or of its default folders, also by links and '..'.",
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
Limit = Annotated[int | None, files_option("--limit", "-n", min=1, metavar="N", help="Stop after N rows.")]
Shard = Annotated[
    str | None, files_option(metavar="I/N", help="Ask about one of N parts of the rows; see persqa merge.")
]
Failed = Annotated[Path | None, files_option(metavar="FILE", parser=path, help="With -o -: file for the failed rows.")]
Fresh = Annotated[bool, files_option("--fresh", help="Start again; earlier answers are kept as qa.1.jsonl.")]
RetryFailed = Annotated[
    bool, files_option("--retry-failed", help="Ask failed rows again and insert their answers into the output.")
]
RecheckPictures = Annotated[
    bool,
    files_option(
        "--recheck-pictures", help="Report pictures of finished rows that have changed since, and ask about them again."
    ),
]

ReportPage = Annotated[
    Path | None,
    files_option(
        "--report",
        metavar="FILE.html",
        parser=page_file,
        help="Write a page with pictures, answers and figures at the end of the run, as persqa report does.",
    ),
]

question_option = partial(typer.Option, rich_help_panel="Questions and answers")
Tag = Annotated[str, question_option(metavar="NAME", help="Name of the main character; mam becomes the tag <mam>.")]
TagFrom = Annotated[
    Literal["folder"] | None,
    question_option(help="The folder of an image names its main character. Equal names in other places are the same."),
]
TagKey = Annotated[str, question_option(metavar="FIELD", help="Field of a row's own tag.")]
Describe = Annotated[
    str | None,
    question_option(
        metavar="TEXT|@FILE",
        parser=text_or_file,
        help="Who the main character is, such as 'the woman with the red scarf'; may name fields of the rows.",
    ),
]
DescribeKey = Annotated[
    str | None, question_option(metavar="FIELD", help="Field of a row with its own words for --describe.")
]
Reference = Annotated[
    Path | None,
    question_option(
        metavar="FILE", parser=path, help="Image that shows the main character; it is sent before those of each row."
    ),
]
ReferenceKey = Annotated[
    str | None, question_option(metavar="FIELD", help="Field of a row with its own image for --reference.")
]
Box = Annotated[
    BoxMode | None,
    question_option(help="Show the box of a row: drawn into its image in red, or the image cropped to it."),
]
BoxKey = Annotated[str, question_option(metavar="FIELD", help="Field of a row's box, or of a list of one per image.")]
BoxForm = Annotated[
    BoxFormat,
    question_option("--box-format", help="x1 y1 x2 y2 or x y width height in pixels, or x1 y1 x2 y2 from 0 to 1."),
]
Temperature = Annotated[
    float, question_option(min=0, max=2, metavar="X", help="Randomness of the answers, from 0 to 2.")
]
TopP = Annotated[float, question_option(metavar="X", help="Share of the likeliest tokens that are drawn from.")]
MaxTokens = Annotated[int, question_option(min=1, metavar="N", help="Tokens of the longest answer.")]
Seed = Annotated[int, question_option(metavar="N", help="Seed of the questions and the requests.")]
MaxPixels = Annotated[int, question_option(min=784, metavar="N", help="Larger images are scaled down to N pixels.")]
Bank = Annotated[
    str,
    question_option(
        metavar="CATEGORY|FILE",
        autocompletion=complete_category,
        help="Questions about a human, animal, object, scene or group, or a file of questions.",
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
Questions = Annotated[
    int, question_option(min=1, metavar="N", help="Questions per row; each one has its own output line.")
]
Sensitive = Annotated[bool, question_option("--sensitive", help="Include questions about skin, age and body.")]
Without = Annotated[
    list[str] | None,
    question_option(
        metavar="NEED",
        autocompletion=complete_need,
        help="Leave out questions about a part that images don't show, such as face. Repeatable.",
    ),
]
Names = Annotated[
    Path | None,
    question_option(metavar="FILE", parser=path, help="File of real names, one per line, that no answer may contain."),
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
    question_option(
        metavar="system|prompt",
        autocompletion=complete_text,
        help="Let a row's own field of this name replace the text. Repeatable.",
    ),
]
ExtraBody = Annotated[str | None, question_option(metavar="JSON", help="Further fields of each request.")]

server_option = partial(typer.Option, rich_help_panel="Server")
BaseURL = Annotated[
    list[str] | None,
    server_option(
        envvar=VARIABLES["base_url"],
        metavar="URL",
        help="Endpoint, such as http://HOST:8000/v1. Repeat it to use several.",
    ),
]
Model = Annotated[
    str | None,
    server_option(
        envvar=VARIABLES["model"],
        metavar="NAME",
        help="Model at the endpoint; default: the only one. With --serve, the name under which it is served.",
    ),
]
Serve = Annotated[
    str | None, server_option(metavar="MODEL", help="Start vllm serve MODEL for this run instead of using --base-url.")
]
ServeArgs = Annotated[str | None, server_option(metavar="WORDS", help="Further options of vllm serve, as one text.")]
ServeTimeout = Annotated[
    float, server_option(min=1, metavar="SECONDS", help="Time until the server of --serve must be ready.")
]
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
Probes = Annotated[
    bool,
    server_option(
        "--probes/--no-probes", help="Test the server's features before the first row, or not; default: test them."
    ),
]
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
LocalOnly = Annotated[
    bool, server_option("--local-only", help="Send nothing to addresses outside of private networks.")
]
MetricsPort = Annotated[
    int | None,
    server_option(min=0, max=65_535, metavar="N", help="Serve metrics for Prometheus on 127.0.0.1; 0 for a free port."),
]
