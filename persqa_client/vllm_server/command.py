"""Command line and environment of ``vllm serve``."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from persqa_client.errors import SettingsError

# ``cuda``: the accelerator found by vLLM; ``auto``: that, or the CPU without an accelerator.
Device = Literal["auto", "cpu", "cuda"]

HOST = "127.0.0.1"

# Environment variable with the ``vllm`` program.
COMMAND_VARIABLE = "PERSQA_VLLM"
# vLLM's environment variable with the key for clients.
API_KEY_VARIABLE = "VLLM_API_KEY"

# Images and videos per request; without a limit vLLM reserves memory for the worst case.
DEFAULT_LIMITS = {"image": 4, "video": 0}
# Tokens of prompt and answer: room for four images of 1,280 tokens, a question and an answer of 512.
DEFAULT_CONTEXT = 8192
# GiB of KV cache on a CPU; vLLM's default is a share of all memory.
CPU_CACHE_GIB = "4"

# Options not allowed in ``extra_args``, with the reason.
MANAGED_OPTIONS = {
    "--host": "the server listens on this machine only",
    "--port": "give the argument port",
    "--uds": "the server listens on a port",
    "--model": "the model is the first argument",
    "--served-model-name": "give the argument served_model_name (--model of persqa run)",
    "--api-key": f"all users of this machine could read the key there; set the variable {API_KEY_VARIABLE}",
}

# Variables that hide accelerators from vLLM.
VISIBLE_DEVICES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
# Files that exist on machines with an accelerator.
ACCELERATOR_FILES = (
    "dev/nvidia[0-9]*",
    "dev/kfd",  # AMD
    "dev/dxg",  # a GPU of Windows, in WSL
    "dev/davinci[0-9]*",  # Ascend
    "dev/accel*",  # TPU, Gaudi
    "dev/vfio/[0-9]*",  # TPU
    "etc/nv_tegra_release",  # Jetson
)


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Options of ``vllm serve`` under their own names; None uses vLLM's default.

    ``extra_args`` come last and override other options.
    """

    served_model_name: str | None = None
    tensor_parallel_size: int = 1
    max_model_len: int | None = DEFAULT_CONTEXT
    gpu_memory_utilization: float | None = None
    limit_mm_per_prompt: Mapping[str, Any] | None = field(default_factory=lambda: DEFAULT_LIMITS)
    dtype: str | None = None
    seed: int | None = None
    trust_remote_code: bool = False
    extra_args: Sequence[str] = ()


def serve_command(vllm: Sequence[str], model: str, port: int, options: ServeOptions, *, cpu: bool) -> list[str]:
    check_extra_args(options.extra_args)
    limits = options.limit_mm_per_prompt
    valued = {
        "--host": HOST,
        "--port": port,
        "--served-model-name": options.served_model_name,
        "--tensor-parallel-size": options.tensor_parallel_size if options.tensor_parallel_size != 1 else None,
        "--max-model-len": options.max_model_len,
        "--gpu-memory-utilization": options.gpu_memory_utilization,
        "--limit-mm-per-prompt": None if limits is None else json.dumps(dict(limits)),
        # bfloat16 is fast on most CPUs, float16 (the dtype of some checkpoints) is slow.
        "--dtype": options.dtype or ("bfloat16" if cpu else None),
        "--seed": options.seed,
        # Ignores the model's own sampling defaults, which the run file could not record.
        "--generation-config": "vllm",
    }
    switches = {
        "--trust-remote-code": options.trust_remote_code,
        # The common prefix of all questions about one image is computed once.
        "--enable-prefix-caching": True,
        "--enable-prompt-tokens-details": True,
        # One log line per request would be too many.
        "--disable-uvicorn-access-log": True,
        # vLLM 0.32 crashes on a CPU if it splits a prompt with a seed; all requests have a seed.
        "--no-enable-chunked-prefill": cpu,
    }
    words = [word for name, value in valued.items() if value is not None for word in (name, str(value))]
    return [*vllm, "serve", model, *words, *(name for name, on in switches.items() if on), *options.extra_args]


def check_extra_args(extra_args: Sequence[str]) -> None:
    if isinstance(extra_args, str):
        raise SettingsError("extra_args must be a list of words, such as ['--max-num-seqs', '32'], not one string.")
    for word in extra_args:
        name = word.split("=")[0].replace("_", "-")
        if name in MANAGED_OPTIONS:
            raise SettingsError(f"{name} can't be passed to vllm serve: {MANAGED_OPTIONS[name]}.")


def split_arguments(text: str, source: str) -> list[str]:
    """Splits like a shell. Raises SettingsError that names ``source``."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise SettingsError(f"{source} can't be split into words ({error}): {text}") from error


def find_vllm(
    given: str | Sequence[str] | None,
    environ: Mapping[str, str],
    which: Callable[[str], str | None],
    python: Path,
) -> list[str]:
    """Command words: from ``given``, PERSQA_VLLM, the PATH, or the folder of the ``python`` interpreter.

    ``which`` finds programs, like ``shutil.which``. Raises SettingsError.
    """
    from_environ = environ.get(COMMAND_VARIABLE, "").strip()
    source, wanted = ("--vllm-command", given) if given else (COMMAND_VARIABLE, from_environ)
    if not wanted:
        found = which("vllm") or which(str(python.with_name("vllm")))
        if found is None:
            raise SettingsError(
                "vllm is not on the PATH: activate its environment, or set --vllm-command or "
                f"{COMMAND_VARIABLE}, such as {COMMAND_VARIABLE}=/path/to/venv/bin/vllm "
                "(to install it on a machine with a GPU: pip install vllm)."
            )
        return [found]
    if not isinstance(wanted, str):
        words = list(wanted)
    else:
        # A path with spaces is one word if the program exists.
        words = [wanted] if which(wanted) else split_arguments(wanted, source)
    found = which(words[0]) if words else None
    if found is None:
        raise SettingsError(f"{source} names {words[0] if words else 'nothing'}, which is not an executable program.")
    return [found, *words[1:]]


def serve_environment(
    environ: Mapping[str, str], vllm: Sequence[str], more: Mapping[str, str], *, cpu: bool
) -> dict[str, str]:
    """The current environment plus CPU settings and ``more``.

    vllm's folder is first on the PATH, because vLLM calls compilers there.
    """
    path = os.pathsep.join(word for word in (os.path.dirname(vllm[0]), environ.get("PATH", "")) if word)
    # This variable selects the CPU; vLLM has no --device since 0.9.
    on_cpu = {"VLLM_TARGET_DEVICE": "cpu", "VLLM_CPU_KVCACHE_SPACE": CPU_CACHE_GIB} if cpu else {}
    return {**on_cpu, **environ, "PATH": path, **more}


def uses_cpu(device: Device, environ: Mapping[str, str], root: Path = Path("/")) -> bool:
    """By ``device``, by VLLM_TARGET_DEVICE, or because there is no accelerator."""
    if device != "auto":
        return device == "cpu"
    if target := environ.get("VLLM_TARGET_DEVICE"):
        return target.lower() == "cpu"
    return not has_accelerator(environ, root)


def has_accelerator(environ: Mapping[str, str], root: Path = Path("/")) -> bool:
    """By the files below ``root``, unless the environment hides it."""
    if any(environ.get(name) in {"", "-1"} for name in VISIBLE_DEVICES):
        return False
    return any(next(root.glob(pattern), None) is not None for pattern in ACCELERATOR_FILES)
