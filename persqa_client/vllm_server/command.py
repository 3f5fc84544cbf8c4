"""The command line and the environment of ``vllm serve``, and how vllm is found. Pure (the machine is passed in)."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from persqa_client.errors import SettingsError

# Whether this machine has an accelerator that vLLM could use. Looks at device files; loads no torch.

Device = Literal["auto", "cpu", "cuda"]
"""``cuda``: whatever accelerator vLLM finds; ``auto``: the CPU where there is none."""

HIDING = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
SIGNS = (
    "dev/nvidia[0-9]*",
    "dev/kfd",  # AMD
    "dev/dxg",  # a GPU that Windows lends to its Linux
    "dev/davinci[0-9]*",  # Ascend
    "dev/accel*",  # TPU, Gaudi
    "dev/vfio/[0-9]*",  # TPU
    "etc/nv_tegra_release",  # Jetson
)
"""Files that are there where an accelerator is."""


def takes_cpu(device: Device, environ: Mapping[str, str], root: Path = Path("/")) -> bool:
    """Whether vLLM is to run on the CPU: by what was asked for, by ``VLLM_TARGET_DEVICE``, or for want of others."""
    if device != "auto":
        return device == "cpu"
    if target := environ.get("VLLM_TARGET_DEVICE"):
        return target.lower() == "cpu"
    return not has_accelerator(environ, root)


def has_accelerator(environ: Mapping[str, str], root: Path = Path("/")) -> bool:
    """By the device files below ``root``; one that the environment hides does not count. Asks ``nvidia-smi`` last."""
    if any(environ.get(name) in {"", "-1"} for name in HIDING):
        return False
    if any(next(root.glob(sign), None) is not None for sign in SIGNS):
        return True
    return has_intel_gpu(root) or nvidia_lists_one(environ)


def has_intel_gpu(root: Path) -> bool:
    """One for computing: driven by ``xe``, or without a screen of its own (class 0x0380) by ``i915``."""
    for card in root.glob("sys/class/drm/renderD*/device"):
        driver = (card / "driver").resolve().name
        kind = (card / "class").read_text() if (card / "class").exists() else ""
        if driver == "xe" or (driver == "i915" and kind.startswith("0x0380")):
            return True
    return False


def nvidia_lists_one(environ: Mapping[str, str]) -> bool:
    try:
        told = subprocess.run(
            ["nvidia-smi", "-L"], env=dict(environ), capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return told.returncode == 0 and re.search(r"^GPU \d+:", told.stdout, re.MULTILINE) is not None


HOST = "127.0.0.1"
VARIABLE = "PERSQA_VLLM"
"""Names the command where ``vllm`` is not on the PATH."""
API_KEY_VARIABLE = "VLLM_API_KEY"
"""What vLLM itself reads the key from that clients must send."""

OURS = {
    "--host": "it listens on this machine alone",
    "--port": "give the argument port",
    "--uds": "it listens on a port",
    "--model": "the model is the first argument",
    "--served-model-name": "give the argument served_model_name (--model of persqa run)",
    "--api-key": f"everybody on this machine could read it there; set the variable {API_KEY_VARIABLE}",
}
"""Options that ``extra_args`` can't have, and why."""

PICTURES = {"image": 4, "video": 0}
"""Of one request. Without a bound vLLM sets memory aside for the worst case, videos included."""
CONTEXT = 8192
"""Tokens of prompt and answer: four pictures of 1,280 tokens, a question and an answer of 512 fit."""
CPU_CACHE_GIB = "4"
"""For the KV cache on a CPU, where vLLM would take a share of all memory."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What ``vllm serve`` is told, by its own names. None leaves an option to vLLM."""

    served_model_name: str | None = None
    tensor_parallel_size: int = 1
    max_model_len: int | None = CONTEXT
    gpu_memory_utilization: float | None = None
    limit_mm_per_prompt: Mapping[str, Any] | None = field(default_factory=lambda: PICTURES)
    dtype: str | None = None
    seed: int | None = None
    trust_remote_code: bool = False
    extra_args: Sequence[str] = ()
    """Further options; they come last, so each of those before can be changed."""


def serve_command(vllm: Sequence[str], model: str, port: int, options: ServeOptions, *, cpu: bool) -> list[str]:
    """The whole command line. Raises SettingsError where ``extra_args`` holds what must not be there."""
    refuse_ours(options.extra_args)
    limits = options.limit_mm_per_prompt
    valued = {
        "--host": HOST,
        "--port": port,
        "--served-model-name": options.served_model_name,
        "--tensor-parallel-size": options.tensor_parallel_size if options.tensor_parallel_size != 1 else None,
        "--max-model-len": options.max_model_len,
        "--gpu-memory-utilization": options.gpu_memory_utilization,
        "--limit-mm-per-prompt": None if limits is None else json.dumps(dict(limits)),
        # What most CPUs compute well in; half precision (float16), which some checkpoints ask for, is slow on them.
        "--dtype": options.dtype or ("bfloat16" if cpu else None),
        "--seed": options.seed,
        # A model's own sampling defaults would mix into what is asked for without a trace in the run file.
        "--generation-config": "vllm",
    }
    switches = {
        "--trust-remote-code": options.trust_remote_code,
        # The part that questions about one picture share is computed once.
        "--enable-prefix-caching": True,
        "--enable-prompt-tokens-details": True,
        # A line for each of a million requests helps nobody.
        "--disable-uvicorn-access-log": True,
        # On a CPU, vLLM 0.32 dies of a request with a seed whose prompt it cuts in two; ours all have one.
        "--no-enable-chunked-prefill": cpu,
    }
    words = [word for name, value in valued.items() if value is not None for word in (name, str(value))]
    return [*vllm, "serve", model, *words, *(name for name, on in switches.items() if on), *options.extra_args]


def refuse_ours(extra_args: Sequence[str]) -> None:
    if isinstance(extra_args, str):
        raise SettingsError("extra_args is a list of words, such as ['--max-num-seqs', '32'], not one string.")
    for word in extra_args:
        name = word.split("=")[0].replace("_", "-")
        if name in OURS:
            raise SettingsError(f"{name} can't be among the further options of vllm serve: {OURS[name]}.")


def split_arguments(text: str, source: str) -> list[str]:
    """Words as a shell would split them. Raises SettingsError that names ``source``."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise SettingsError(f"{source} can't be read as words of a command line ({error}): {text}") from error


def find_vllm(
    given: str | Sequence[str] | None,
    environ: Mapping[str, str],
    which: Callable[[str], str | None],
    python: Path,
) -> list[str]:
    """The words that call vllm: as ``given``, as ``PERSQA_VLLM`` says, on the PATH, or beside our own ``python``.

    ``which`` finds a program's file by its name or path, None where there is none. Raises SettingsError.
    """
    source, wanted = ("--vllm-command", given) if given else (VARIABLE, environ.get(VARIABLE, "").strip())
    if not wanted:
        found = which("vllm") or which(str(python.with_name("vllm")))
        if found is None:
            raise SettingsError(
                "There is no vllm on the PATH: activate the environment that has it, or name it by --vllm-command or "
                f"{VARIABLE}, such as {VARIABLE}=/path/to/venv/bin/vllm (on a machine with a GPU: pip install vllm)."
            )
        return [found]
    # A path with spaces in it is one word, if it is there.
    words = (
        list(wanted) if not isinstance(wanted, str) else [wanted] if which(wanted) else split_arguments(wanted, source)
    )
    found = which(words[0]) if words else None
    if found is None:
        raise SettingsError(f"{source} names {words[0] if words else 'nothing'}, which is no program that can be run.")
    return [found, *words[1:]]


def serve_environment(
    environ: Mapping[str, str], vllm: Sequence[str], more: Mapping[str, str], *, cpu: bool
) -> dict[str, str]:
    """The server's environment: ours, what a CPU needs, and ``more`` on top.

    The folder of vllm comes first on the PATH, as in its environment when that is active: it calls compilers there.
    """
    path = os.pathsep.join(word for word in (os.path.dirname(vllm[0]), environ.get("PATH", "")) if word)
    # vLLM has had no --device since 0.9: it takes what it finds, unless this names the CPU.
    on_cpu = {"VLLM_TARGET_DEVICE": "cpu", "VLLM_CPU_KVCACHE_SPACE": CPU_CACHE_GIB} if cpu else {}
    return {**on_cpu, **environ, "PATH": path, **more}
