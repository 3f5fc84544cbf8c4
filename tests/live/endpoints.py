"""The endpoints of the live tests: the one named in the environment, and servers that the tests start."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from persqa_client.urls import is_loopback
from persqa_client.vllm_server.process import ManagedProcess
from persqa_client.vllm_server.server import find_free_port

HERE = Path(__file__).parent / "tiny_vllm"
SERVE = HERE / "serve.sh"
SETUP = HERE / "setup.sh"
#: Seconds for the start of a server, its installation included.
START_TIMEOUT = 1200.0
STOP_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class LiveEndpoint:
    """An endpoint, and what its list of models says about the model."""

    base_url: str
    model: str
    key_env: str | None = None
    owner: str | None = None
    max_model_len: int | None = None

    @property
    def flags(self) -> list[str]:
        key = [] if self.key_env is None else ["--api-key-env", self.key_env]
        return ["--base-url", self.base_url, "--model", self.model, *key]

    @property
    def extra_body(self) -> dict[str, int]:
        """Fields for tests in which each row must succeed: a model with random weights may stop after the tag."""
        return {"min_tokens": 16} if self.owner == "vllm" else {}

    @property
    def wordy_flags(self) -> list[str]:
        return [*self.flags, "--extra-body", json.dumps(self.extra_body)]


def find_endpoint(environ: Mapping[str, str]) -> LiveEndpoint:
    """The endpoint in the variables PERSQA_LIVE_*."""
    base_url = environ["PERSQA_LIVE_BASE_URL"].rstrip("/")
    key_env = environ.get("PERSQA_LIVE_API_KEY_ENV") or None
    cards = list_models(base_url, environ[key_env] if key_env else None)
    model = environ.get("PERSQA_LIVE_MODEL") or str(cards[0]["id"])
    card = next((card for card in cards if card["id"] == model), {})
    length = card.get("max_model_len")
    return LiveEndpoint(base_url, model, key_env, str(card.get("owned_by")), int(str(length)) if length else None)


def list_models(base_url: str, key: str | None) -> list[dict[str, object]]:
    request = urllib.request.Request(f"{base_url}/models")
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    proxies = urllib.request.ProxyHandler({} if is_loopback(base_url) else None)
    with urllib.request.build_opener(proxies).open(request, timeout=30) as reply:
        return list(json.load(reply)["data"])


@dataclass(frozen=True, slots=True)
class TinyVLLMInstall:
    """A folder with vLLM for CPUs and a tiny checkpoint."""

    home: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        return cls(Path(environ.get("TINY_VLLM_HOME") or Path.home() / ".cache" / "tiny-vllm"))

    @property
    def vllm(self) -> Path:
        return self.home / "venv" / "bin" / "vllm"

    @property
    def model(self) -> Path:
        return self.home / "model"

    def install(self) -> None:
        """Installs what is missing."""
        subprocess.run([SETUP, self.home], check=True, timeout=START_TIMEOUT, stdin=subprocess.DEVNULL)


class TinyVLLMServer:
    """The tiny vLLM on a free port, with a key. Its process group may be killed."""

    model = "Qwen/Qwen2.5-VL-3B-Instruct"
    key = "sk-live-tests-own-server"
    key_env = "PERSQA_LIVE_OWN_KEY"

    def __init__(self, log: Path) -> None:
        self.log = log
        self.port = find_free_port()
        self.process: ManagedProcess | None = None

    @property
    def endpoint(self) -> LiveEndpoint:
        return LiveEndpoint(f"http://127.0.0.1:{self.port}/v1", self.model, self.key_env, "vllm", 8192)

    @property
    def environ(self) -> dict[str, str]:
        """The key, for the environment of a command."""
        return {self.key_env: self.key}

    def start(self) -> None:
        """Returns when the server answers. Raises RuntimeError with the end of its log if it exits."""
        began = self.log.stat().st_size if self.log.exists() else 0
        environ = {**os.environ, "VLLM_API_KEY": self.key}
        with self.log.open("ab") as log:
            self.process = ManagedProcess([str(SERVE), str(self.port)], environ, log, grace=STOP_TIMEOUT)
        deadline = time.monotonic() + START_TIMEOUT
        while b"READY" not in self.log.read_bytes()[began:]:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{SERVE} did not come up:\n{self.log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.2)

    def kill(self) -> None:
        """Sends SIGKILL."""
        if self.process is not None:
            self.process.kill()

    def stop(self) -> None:
        """Sends SIGINT, and SIGKILL after `STOP_TIMEOUT`."""
        if self.process is not None:
            self.process.stop()
