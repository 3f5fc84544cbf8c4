"""``persqa run``: the command."""

from __future__ import annotations

import gc
import os
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from persqa_client.cli import fetch_flags as fetching
from persqa_client.cli import limit_flags as limits
from persqa_client.cli import ray_flags as cluster
from persqa_client.cli import run_flags as flag
from persqa_client.cli.exits import logged_command
from persqa_client.cli.help_pages import make_page
from persqa_client.cli.run_flags import VARIABLES, is_everyday
from persqa_client.cli.usage import Command

if TYPE_CHECKING:
    from pathlib import Path

    from persqa_client.cli.json_result import RunResult

# Parameters of the command that are no settings of a run.
MODES = frozenset(
    {"config", "no_uuid", "dry_run", "preview", "report", "json", "quiet", "log_file", "help_all"}
    | {"engine", "shards", "ray_address", "ray_workers", "merge"}
)
UUID_CHOICES = ("auto", "on", "off")


class RunCommand(Command):
    """Its help shows the everyday options. Accepts ``--uuid`` without a value, as in earlier versions."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(make_page(self, ctx, is_everyday, all=False))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, complete_uuid_flag(args))


def complete_uuid_flag(args: list[str]) -> list[str]:
    """``--uuid`` without a value is ``--uuid auto``."""
    following = [*args, ""][1:]
    return [
        "--uuid=auto" if word == "--uuid" and after not in UUID_CHOICES else word
        for word, after in zip(args, following, strict=True)
    ]


class Mode(NamedTuple):
    """Options of the command: what is done instead of a run, and what is shown."""

    dry_run: bool
    # Rows to show; None for a run.
    preview: int | None
    quiet: bool = False
    # Gets the run for --json; None without it.
    result: RunResult | None = None
    # The page to write at the end of a run.
    page: Path | None = None
    engine: cluster.EngineFlags = cluster.LOCAL


def is_from_variable(value: str | list[str] | None, variable: str) -> bool:
    words = os.environ.get(variable, "").split()
    return bool(words) and ([value] if isinstance(value, str) else value) == words


def run(
    input: flag.Input,
    output: flag.Output = None,
    base_url: flag.BaseURL = None,
    model: flag.Model = None,
    serve: flag.Serve = None,
    serve_args: flag.ServeArgs = None,
    serve_timeout: flag.ServeTimeout = 1800.0,
    device: flag.Device = "auto",
    vllm_command: flag.VllmCommand = None,
    image_key: flag.ImageKey = "image",
    output_key: flag.OutputKey = "pers_qa",
    row_layout: flag.RowLayout = "auto",
    image_root: flag.ImageRoot = None,
    confine_images: flag.ConfineImages = False,
    output_style: flag.Style = "qa",
    paths: flag.Paths = None,
    details: flag.Details = False,
    limit: flag.Limit = None,
    shard: flag.Shard = None,
    failed: flag.Failed = None,
    fresh: flag.Fresh = False,
    retry_failed: flag.RetryFailed = False,
    recheck_pictures: flag.RecheckPictures = False,
    report: flag.ReportPage = None,
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
    no_uuid: flag.NoUuid = False,
    extra_body: flag.ExtraBody = None,
    api_key_env: flag.APIKeyEnv = None,
    api_key_command: flag.APIKeyCommand = None,
    header: flag.Header = None,
    ca_cert: flag.CaCert = None,
    client_cert: flag.ClientCert = None,
    local_only: flag.LocalOnly = False,
    concurrency: limits.Concurrency = "auto",
    max_concurrency: limits.MaxConcurrency = 512,
    rps: limits.RequestsPerSecond = None,
    rpm: limits.RequestsPerMinute = None,
    tpm: limits.TokensPerMinute = None,
    limits_share: limits.LimitsShare = None,
    share_limits: limits.ShareLimits = None,
    timeout: limits.Timeout = 120.0,
    max_attempts: limits.MaxAttempts = 5,
    max_outage: limits.MaxOutage = 600.0,
    max_bad_answers: limits.MaxBadAnswers = 20,
    max_bad_rows: limits.MaxBadRows = 200,
    max_inflight_mb: limits.MaxInflightMB = 256,
    metrics_port: flag.MetricsPort = None,
    max_tokens_total: limits.MaxTokensTotal = None,
    max_cost: limits.MaxCost = None,
    price_in: limits.PriceIn = None,
    price_out: limits.PriceOut = None,
    max_failures: limits.MaxFailures = None,
    max_wall: limits.MaxWall = None,
    fetch: fetching.Fetch = False,
    fetch_allow: fetching.FetchAllow = None,
    fetch_timeout: fetching.FetchTimeout = 60.0,
    fetch_max_mb: fetching.FetchMaxMB = 50,
    fetch_per_host: fetching.FetchPerHost = 8,
    engine: cluster.Engine = "local",
    shards: cluster.Shards = None,
    ray_address: cluster.RayAddress = None,
    ray_workers: cluster.RayWorkers = None,
    merge: cluster.Merge = True,
    preview: flag.Preview = None,
    dry_run: flag.DryRun = False,
    json: flag.AsJSON = False,
    quiet: flag.Quiet = False,
    log_file: flag.LogFile = None,
    config: flag.Config = None,
    help_all: flag.HelpAll = False,
) -> None:
    """Ask a question about every image and write the checked answers.

    Run the same command again to resume after a stop. Exit codes: 0 all rows answered, 1 some rows failed, 2 invalid
    usage, configuration or input, 3 server unavailable or requests rejected, 70 bug in this program, 130 stopped.

    Example:
      persqa run photos/ -o qa.jsonl --base-url http://127.0.0.1:8000/v1

    On a machine with a GPU:
      persqa run photos/ -o qa.jsonl --serve Qwen/Qwen2.5-VL-3B-Instruct
    """
    flags = {name: value for name, value in locals().items() if name not in MODES}
    flags["uuid"] = "off" if no_uuid else uuid
    if serve:
        # Variables of the environment are for runs at a server that is running.
        flags |= {name: None for name, variable in VARIABLES.items() if is_from_variable(flags[name], variable)}
    gc.disable()  # objects of imports are permanent; see ``tune_gc``
    # Imported here to keep --help fast: these imports take 0.9 s of CPU time.
    from persqa_client.cli.json_result import RunResult, print_run_as_json

    result = RunResult() if json else None
    mode = Mode(dry_run, preview, quiet, result, report)
    mode = mode._replace(engine=cluster.EngineFlags(engine, shards, ray_address, ray_workers, merge))
    with print_run_as_json(result) if result is not None else nullcontext(), logged_command(quiet, log_file, output):
        if serve:
            from persqa_client.cli.serve import run_with_server

            run_with_server(flags, mode)
        else:
            from persqa_client.cli.execute import run_at_endpoints

            run_at_endpoints(flags, mode)
