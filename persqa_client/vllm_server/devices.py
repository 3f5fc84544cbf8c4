"""Whether this machine has an accelerator that vLLM could use. Looks at device files; loads no torch."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

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
