"""The command line and the environment of ``vllm serve``, and how the ``vllm`` program is found."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from persqa_client.errors import SettingsError

# ``cuda``: the accelerator that vLLM finds; ``auto``: that, or the CPU if there is none.
Device = Literal["auto", "cpu", "cuda"]

HOST = "127.0.0.1"

# Names the ``vllm`` program where it is not on the PATH.
COMMAND_VARIABLE = "PERSQA_VLLM"
# vLLM reads from it the key that clients must send.
API_KEY_VARIABLE = "VLLM_API_KEY"

# Images and videos per request. Without a limit, vLLM reserves memory for the worst case.
DEFAULT_LIMITS = {"image": 4, "video": 0}
# Tokens of prompt and answer: four images of 1,280 tokens, a question and an answer of 512 fit.
DEFAULT_CONTEXT = 8192
# GiB of KV cache on a CPU, where vLLM takes a share of all memory by default.
CPU_CACHE_GIB = "4"

# Options that ``extra_args`` must not have, and why.
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
# Files that exist where there is an accelerator.
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
    """Options of ``vllm serve`` by their own names; None leaves an option to vLLM.

    ``extra_args`` come last on the command line, so they can change each other option.
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
        # bfloat16 is fast on most CPUs; float16, the dtype of some checkpoints, is slow on them.
        "--dtype": options.dtype or ("bfloat16" if cpu else None),
        "--seed": options.seed,
        # The model's own sampling defaults would apply without a trace in the run file.
        "--generation-config": "vllm",
    }
    switches = {
        "--trust-remote-code": options.trust_remote_code,
        # The common beginning of all questions about one image is computed once.
        "--enable-prefix-caching": True,
        "--enable-prompt-tokens-details": True,
        # One log line per request is too many.
        "--disable-uvicorn-access-log": True,
        # On a CPU, vLLM 0.32 crashes on a request with a seed whose prompt it splits; all requests have a seed.
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
            raise SettingsError(f"{name} can't be passed on to vllm serve: {MANAGED_OPTIONS[name]}.")


def split_arguments(text: str, source: str) -> list[str]:
    """Split words as a shell does. Raises SettingsError with the name of their ``source``."""
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
    """The words that call vllm: from ``given``, PERSQA_VLLM, the PATH, or the folder of the ``python`` interpreter.

    ``which`` finds a program by its name or path, like ``shutil.which``. Raises SettingsError.
    """
    from_environ = environ.get(COMMAND_VARIABLE, "").strip()
    source, wanted = ("--vllm-command", given) if given else (COMMAND_VARIABLE, from_environ)
    if not wanted:
        found = which("vllm") or which(str(python.with_name("vllm")))
        if found is None:
            raise SettingsError(
                "vllm is not on the PATH: activate its environment, or name it by --vllm-command or "
                f"{COMMAND_VARIABLE}, such as {COMMAND_VARIABLE}=/path/to/venv/bin/vllm "
                "(to install it on a machine with a GPU: pip install vllm)."
            )
        return [found]
    if not isinstance(wanted, str):
        words = list(wanted)
    else:
        # A path with spaces in it is one word, if there is such a program.
        words = [wanted] if which(wanted) else split_arguments(wanted, source)
    found = which(words[0]) if words else None
    if found is None:
        raise SettingsError(f"{source} names {words[0] if words else 'nothing'}, which is not an executable program.")
    return [found, *words[1:]]


def serve_environment(
    environ: Mapping[str, str], vllm: Sequence[str], more: Mapping[str, str], *, cpu: bool
) -> dict[str, str]:
    """The server's environment: the current one, the settings for a CPU, and ``more`` on top.

    The folder of vllm is first on the PATH, as in its activated environment, since vLLM calls compilers there.
    """
    path = os.pathsep.join(word for word in (os.path.dirname(vllm[0]), environ.get("PATH", "")) if word)
    # vLLM has no --device since 0.9: this variable selects the CPU.
    on_cpu = {"VLLM_TARGET_DEVICE": "cpu", "VLLM_CPU_KVCACHE_SPACE": CPU_CACHE_GIB} if cpu else {}
    return {**on_cpu, **environ, "PATH": path, **more}


def uses_cpu(device: Device, environ: Mapping[str, str], root: Path = Path("/")) -> bool:
    """Whether vLLM runs on the CPU: by ``device``, by VLLM_TARGET_DEVICE, or because there is no accelerator."""
    if device != "auto":
        return device == "cpu"
    if target := environ.get("VLLM_TARGET_DEVICE"):
        return target.lower() == "cpu"
    return not has_accelerator(environ, root)


def has_accelerator(environ: Mapping[str, str], root: Path = Path("/")) -> bool:
    """Whether there is an accelerator by the files below ``root``, and the environment does not hide it."""
    if any(environ.get(name) in {"", "-1"} for name in VISIBLE_DEVICES):
        return False
    return any(next(root.glob(pattern), None) is not None for pattern in ACCELERATOR_FILES)
