"""DataFlow's local serving, with ``vllm serve`` started on first use."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from persqa_client.config import Endpoint, Limits, Sampling, build_settings
from persqa_client.dataflow.base import errors_name_arguments
from persqa_client.dataflow.vlm_serving import VLMServing
from persqa_client.errors import SettingsError
from persqa_client.vllm_server.server import STARTUP_TIMEOUT, VLLMServer

# Seconds to wait for a running server that does not answer; an exit is detected immediately.
MAX_OUTAGE = 60.0

logger = logging.getLogger(__name__)


class LocalModelVLMServing_vllm(VLMServing):
    """Serves a local model with ``vllm serve``, started by ``start_serving()`` or the first question.

    Sampling arguments are sent with each request; other arguments of DataFlow become options of the server. The rest is
    passed to VLLMServer. Starting raises SettingsError if vllm is not installed, and ServerFailed if the server does
    not become ready.
    """

    @errors_name_arguments(**{name: f"vllm_{name}" for name in ("temperature", "top_p", "max_tokens", "seed")})
    def __init__(
        self,
        hf_model_name_or_path: str | None = None,
        hf_cache_dir: str | None = None,
        hf_local_dir: str | None = None,
        vllm_tensor_parallel_size: int = 1,
        vllm_temperature: float = 0.7,
        vllm_top_p: float = 0.9,
        vllm_max_tokens: int = 1024,
        vllm_top_k: int = 40,
        vllm_repetition_penalty: float = 1.0,
        vllm_seed: int | None = 42,
        vllm_max_model_len: int | None = 4096,
        vllm_gpu_memory_utilization: float | None = 0.9,
        *,
        vllm_limit_mm_per_prompt: int = 4,
        trust_remote_code: bool = False,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        vllm_command: str | Sequence[str] | None = None,
        port: int | None = None,
        extra_args: Sequence[str] = (),
        startup_timeout: float = STARTUP_TIMEOUT,
        log_path: str | None = None,
        on_progress: Callable[[str], None] | None = None,
        timeout: float = 1800,
        max_workers: int | Literal["auto"] = "auto",
        placeholder: str | None = None,
    ) -> None:
        if hf_model_name_or_path is None:
            raise SettingsError("hf_model_name_or_path is missing: pass the name of a model, or its folder.")
        drawn = {"top_k": vllm_top_k, "repetition_penalty": vllm_repetition_penalty}
        super().__init__(
            build_settings(
                Sampling,
                temperature=vllm_temperature,
                top_p=vllm_top_p,
                max_tokens=vllm_max_tokens,
                seed=vllm_seed or 0,
                extra_body=drawn,
            ),
            build_settings(Limits, concurrency=max_workers, timeout=timeout, max_outage=MAX_OUTAGE),
            placeholder,
        )
        cache = [] if hf_cache_dir is None else ["--download-dir", os.path.expanduser(hf_cache_dir)]
        self.server = VLLMServer(
            find_model_folder(hf_model_name_or_path, hf_local_dir),
            served_model_name=hf_model_name_or_path,
            vllm_command=vllm_command,
            port=port,
            device=device,
            tensor_parallel_size=vllm_tensor_parallel_size,
            max_model_len=vllm_max_model_len,
            gpu_memory_utilization=vllm_gpu_memory_utilization,
            limit_mm_per_prompt={"image": vllm_limit_mm_per_prompt, "video": 0},
            trust_remote_code=trust_remote_code,
            extra_args=[*cache, *extra_args],
            startup_timeout=startup_timeout,
            log_path=log_path,
            on_progress=on_progress,
        )

    @property
    def endpoint(self) -> Endpoint:
        self.start_serving()
        return self.server.endpoint

    def start_serving(self) -> None:
        """Returns when the server is ready. Restarts a server that has exited."""
        if self.server.is_alive():
            return
        super().cleanup()
        logger.info("Starting vllm serve %s.", self.server.model_name_or_path)
        self.server.start()
        logger.info("The server is ready: %s.", self.server.base_url)

    @property
    def model_name(self) -> str:
        return self.server.model

    def cleanup(self) -> None:
        super().cleanup()
        self.server.stop()


def find_model_folder(model: str, local_dir: str | None) -> str:
    """``model`` if that path exists, else the downloaded model in ``local_dir``."""
    if local_dir is None or Path(model).exists():
        return model
    if (Path(local_dir) / "config.json").is_file():
        return local_dir
    raise SettingsError(
        f"hf_local_dir {local_dir} holds no model. Download it: hf download {model} --local-dir {local_dir}"
    )
