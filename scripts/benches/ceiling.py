"""``persqa run`` beside the least and the usual client of one vLLM: a bare aiohttp loop, and ``vllm bench serve``.

All send the same pictures and prompts, and all answers are the same text. The server caches nothing, so that no client
finds what another has sent.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from benches.common import (
    TINY_HOME,
    TINY_MODEL,
    Figure,
    call_persqa,
    fetch,
    has_tiny_vllm,
    measure_success,
    run_bare_server,
    run_tiny_vllm,
    sum_counter,
    wait_for_health,
    write_new_rows,
)

Client = Literal["bare loop", "persqa run", "vllm bench serve", "persqa run, auto"]
CLIENTS: tuple[Client, ...] = get_args(Client)

# Client, the client that it is compared with, and the least share of its rows/s.
BARS: tuple[tuple[Client, Client, float], ...] = (
    ("persqa run", "bare loop", 0.95),
    ("persqa run", "vllm bench serve", 0.90),
    ("persqa run, auto", "bare loop", 0.90),
)
# Most and fewest tokens of a client, in the server's count.
TOKENS_BAR = 1.01

PORT = 8020
NO_CACHES = ("--no-enable-prefix-caching", "--mm-processor-cache-gb", "0")
# As many as the tiny vLLM answers at the same time (--max-num-seqs).
CONCURRENCY = 32
ROUNDS = 5
# Of one client in one round; the number of rows follows from the rate of the warm-up.
SECONDS = 18.0
WARM_UP_ROWS, FEWEST_ROWS, MOST_ROWS = 64, 64, 800
# Pixels of a picture's side, for 256 tokens.
SIDE = 448

# About 55 tokens of the tiny model.
ANSWER = (
    "<mam> wears a dark blue jacket over a white shirt and smiles at the camera. "
    "<mam> holds an old silver camera with both hands close to a long grey coat."
)
MAX_TOKENS = 256
RUN_FLAGS = (
    *("--model", TINY_MODEL, "--question", "What is {tag} wearing?", "--strategy", "direct", "--no-probes"),
    # Greedy, so that the same request has the same tokens again.
    *("--temperature", "0", "--max-tokens", str(MAX_TOKENS)),
    *("--extra-body", json.dumps({"structured_outputs": {"choice": [ANSWER]}})),
    *("--json", "--quiet", "--fresh"),
)

# The data set of vllm bench serve has one user turn, in which these marks of the model end one turn and begin the next.
NEXT_TURN = "<|im_end|>\n<|im_start|>user\n"


@dataclass(frozen=True, slots=True)
class Measured:
    """Rows per second of one client in one round, and the server's counts of the tokens in a row."""

    rate: float
    prompt_tokens: float
    generated_tokens: float


Round = dict[Client, Measured]


@dataclass(frozen=True, slots=True)
class Work:
    """What all clients send to the server ``url``: the rows, and the requests of ``persqa run`` for them."""

    url: str
    folder: Path
    rows: Path
    bodies: Path
    dataset: Path
    extra_body: dict[str, Any]

    def measure(self, client: Client, count: int) -> Measured:
        """By the server's counts, one client at a time."""
        before = self._read_tokens()
        rate = self._run(client, count)
        prompt, generated = ((now - then) / count for now, then in zip(self._read_tokens(), before, strict=True))
        return Measured(rate, prompt, generated)

    def _read_tokens(self) -> tuple[float, float]:
        metrics = fetch(f"{self.url.removesuffix('/v1')}/metrics").decode()
        return sum_counter(metrics, "prompt_tokens"), sum_counter(metrics, "generation_tokens")

    def _run(self, client: Client, count: int) -> float:
        if client == "bare loop":
            return run_bare_loop(self.url, count, self.bodies)
        if client == "vllm bench serve":
            return run_vllm_bench(self.url, count, self.dataset, self.extra_body)
        concurrency = "auto" if client == "persqa run, auto" else str(CONCURRENCY)
        return run_persqa(self.url, count, self.rows, self.folder / "out.jsonl", concurrency)


def measure(folder: Path) -> Iterator[Figure]:
    if not has_tiny_vllm():
        return
    with run_tiny_vllm(PORT, *NO_CACHES) as (url, _):
        work = prepare(url, folder)
        wait_for_health(url)
        rates = {client: work.measure(client, WARM_UP_ROWS).rate for client in CLIENTS}
        count = round(min(MOST_ROWS, max(FEWEST_ROWS, SECONDS * rates["bare loop"])))
        rounds: list[Round] = []
        for number in range(ROUNDS):
            # Each client is the first of a round, the second and so on.
            order = (*CLIENTS[number % len(CLIENTS) :], *CLIENTS[: number % len(CLIENTS)])
            rounds.append({client: work.measure(client, count) for client in order})
            yield describe_round(number + 1, count, rounds[-1])
    yield from judge(rounds)


def prepare(url: str, folder: Path) -> Work:
    rows, bodies, dataset = write_new_rows(folder, MOST_ROWS, SIDE), folder / "bodies.jsonl", folder / "dataset.jsonl"
    record_bodies(rows, bodies, folder / "recorded.jsonl", MOST_ROWS)
    return Work(url, folder, rows, bodies, dataset, write_dataset(bodies, dataset))


def record_bodies(rows: Path, bodies: Path, output: Path, count: int) -> None:
    """What ``persqa run`` sends, in the order of the rows."""
    bodies.unlink(missing_ok=True)
    with run_bare_server(0.0, bodies) as url:
        run_persqa(url, count, rows, output, "1")
    recorded = bodies.read_bytes().count(b"\n")
    assert recorded == count, f"{recorded} requests for {count} rows"


def write_dataset(bodies: Path, dataset: Path) -> dict[str, Any]:
    """The same pictures and prompts as rows of ``--dataset-name custom_image``. Gives the other fields of a request."""
    with bodies.open("rb") as lines, dataset.open("w", encoding="utf-8") as file:
        for line in lines:
            body = json.loads(line)
            system, user = (message["content"] for message in body["messages"])
            content = [{"type": "text", "text": system + NEXT_TURN}, *user]
            file.write(json.dumps({"content": content}) + "\n")
    return {name: value for name, value in body.items() if name not in ("model", "messages", "max_tokens")}


def run_persqa(url: str, count: int, rows: Path, output: Path, concurrency: str) -> float:
    """Rows per second, from the check of the settings to the end of the files."""
    words = ("-o", output, "--base-url", url, "--limit", str(count), "--concurrency", concurrency)
    result = call_persqa("run", rows, *words, *RUN_FLAGS)
    assert result["answered"] == result["requests"] == count, result
    return float(result["rows_per_second"])


def run_bare_loop(url: str, count: int, bodies: Path) -> float:
    client = Path(__file__).parent / "bare_client.py"
    return float(measure_success([sys.executable, client, url, str(count), str(CONCURRENCY), bodies]).output)


def run_vllm_bench(url: str, count: int, dataset: Path, extra_body: dict[str, Any]) -> float:
    words = (
        *("--backend", "openai-chat", "--base-url", url.removesuffix("/v1"), "--endpoint", "/v1/chat/completions"),
        *("--model", TINY_MODEL, "--skip-tokenizer-init", "--max-concurrency", str(CONCURRENCY)),
        *("--dataset-name", "custom_image", "--dataset-path", str(dataset), "--enable-multimodal-chat"),
        *("--disable-shuffle", "--num-prompts", str(count), "--custom-output-len", str(MAX_TOKENS)),
        *("--extra-body", json.dumps(extra_body), "--disable-tqdm"),
        *("--save-result", "--result-dir", str(dataset.parent), "--result-filename", "vllm.json"),
    )
    command = [str(TINY_HOME / "venv" / "bin" / "vllm"), "bench", "serve", *words]
    variables = os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    assert result.returncode == 0, result.stderr
    figures = json.loads((dataset.parent / "vllm.json").read_text())
    assert figures["completed"] == count, result.stdout
    return float(figures["request_throughput"])


def describe_round(number: int, count: int, measured: Round) -> Figure:
    rates = "; ".join(f"{client} {measured[client].rate:.1f}" for client in CLIENTS)
    return Figure(f"round {number} of {ROUNDS}, {count:,} rows at {CONCURRENCY} in flight, rows/s", rates, "–", None)


def judge(rounds: Sequence[Round]) -> Iterator[Figure]:
    """The medians of the rounds, and whether all clients have had the same work."""
    for client, other, bar in BARS:
        shares = [each[client].rate / each[other].rate for each in rounds]
        share = statistics.median(shares)
        value = f"{share:.3f} ({min(shares):.3f} to {max(shares):.3f})"
        yield Figure(f"{client}, rows/s relative to {other}", value, f"≥ {bar:.2f}", share >= bar)
    prompt = [statistics.fmean(each[client].prompt_tokens for each in rounds) for client in CLIENTS]
    generated = [statistics.fmean(each[client].generated_tokens for each in rounds) for client in CLIENTS]
    for what, tokens in (("prompt", prompt), ("generated", generated)):
        ratio = max(tokens) / min(tokens)
        value = f"{ratio:.4f} ({max(tokens):.1f} a row)"
        what = f"{what} tokens by the server's count, most of a client relative to the fewest"
        yield Figure(what, value, f"≤ {TOKENS_BAR}", ratio <= TOKENS_BAR)
