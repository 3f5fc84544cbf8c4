"""``persqa estimate``: the command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from persqa_client.cli import limit_flags as limits
from persqa_client.cli import run_flags as flag
from persqa_client.cli.exits import logged_command
from persqa_client.cli.output_names import rows_file

# Flags of ``persqa run`` that the command does not have, with the values that a run has without them.
FIXED_FLAGS = {"serve_args": None, "device": "auto", "vllm_command": None}

PilotRows = Annotated[
    int, typer.Option(min=0, metavar="N", help="Ask about N rows, spread over the input; 0 sends nothing.")
]

Output = Annotated[
    Path | None,
    flag.files_option(
        "--output",
        "-o",
        metavar="FILE.jsonl",
        parser=rows_file,
        help="Only for the command of the run, which is printed.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")]


def estimate(
    input: flag.Input,
    output: Output = None,
    base_url: flag.BaseURL = None,
    model: flag.Model = None,
    pilot: PilotRows = 20,
    image_key: flag.ImageKey = "image",
    output_key: flag.OutputKey = "pers_qa",
    row_layout: flag.RowLayout = "auto",
    image_root: flag.ImageRoot = None,
    confine_images: flag.ConfineImages = False,
    limit: flag.Limit = None,
    shard: flag.Shard = None,
    tag: flag.Tag = "mam",
    tag_from: flag.TagFrom = None,
    tag_key: flag.TagKey = "tag",
    describe: flag.Describe = None,
    describe_key: flag.DescribeKey = None,
    reference: flag.Reference = None,
    reference_key: flag.ReferenceKey = None,
    box: flag.Box = None,
    box_key: flag.BoxKey = "box",
    box_format: flag.BoxForm = "xyxy",
    temperature: flag.Temperature = 0.7,
    top_p: flag.TopP = 0.9,
    max_tokens: flag.MaxTokens = 512,
    seed: flag.Seed = 0,
    max_pixels: flag.MaxPixels = 1_003_520,
    bank: flag.Bank = "human",
    language: flag.Language = None,
    question: flag.Question = None,
    questions: flag.Questions = 1,
    sensitive: flag.Sensitive = False,
    without: flag.Without = None,
    names: flag.Names = None,
    strategy: flag.Strategy = "auto",
    verify: flag.Verify = "off",
    system: flag.System = None,
    prompt: flag.Prompt = None,
    answer_style: flag.AnswerLength = "sentences",
    steer: flag.Steer = None,
    probes: flag.Probes = True,
    uuid: flag.Uuid = "auto",
    extra_body: flag.ExtraBody = None,
    api_key_env: flag.APIKeyEnv = None,
    api_key_command: flag.APIKeyCommand = None,
    header: flag.Header = None,
    ca_cert: flag.CaCert = None,
    client_cert: flag.ClientCert = None,
    concurrency: limits.Concurrency = "auto",
    max_concurrency: limits.MaxConcurrency = 512,
    rps: limits.RequestsPerSecond = None,
    rpm: limits.RequestsPerMinute = None,
    tpm: limits.TokensPerMinute = None,
    limits_share: limits.LimitsShare = None,
    timeout: limits.Timeout = 120.0,
    max_attempts: limits.MaxAttempts = 5,
    max_outage: limits.MaxOutage = 600.0,
    price_in: limits.PriceIn = None,
    price_out: limits.PriceOut = None,
    json: flag.AsJSON = False,
    quiet: Quiet = False,
    log_file: flag.LogFile = None,
    config: flag.Config = None,
    help_all: flag.HelpAll = False,
) -> None:
    """Tell what a run will take: rows, pictures, requests, tokens, time and money.

    Reads the input, and with an endpoint asks about a few rows of it. Writes nothing.

    Exit codes: 0 told, 2 invalid usage or input, or no usable row, 3 server unavailable or requests rejected.

    Example:
      persqa estimate photos/ --base-url http://127.0.0.1:8000/v1
    """
    given = dict(locals())
    flags = {name: value for name, value in given.items() if name not in NOT_SETTINGS} | FIXED_FLAGS
    # Imported here to keep --help fast (cli/run.py).
    from persqa_client.cli.estimate_report import estimate_at_endpoints

    with logged_command(False, log_file, output):
        estimate_at_endpoints(flags, pilot, as_json=json, quiet=quiet)


# Parameters of the command that are no settings of the run.
NOT_SETTINGS = frozenset({"output", "pilot", "json", "quiet", "log_file", "config", "help_all"})
