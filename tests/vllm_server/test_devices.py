"""Whether a machine has an accelerator, by the files that it would have."""

from __future__ import annotations

from pathlib import Path

import pytest

from persqa_client.vllm_server.command import Device, has_accelerator, nvidia_lists_one, takes_cpu

NOWHERE = {"PATH": "/nowhere"}


@pytest.mark.parametrize(
    "sign", ["dev/nvidia0", "dev/nvidia15", "dev/kfd", "dev/dxg", "dev/accel0", "etc/nv_tegra_release"]
)
def test_a_device_file_is_a_sign(tmp_path: Path, sign: str) -> None:
    (tmp_path / sign).parent.mkdir()
    (tmp_path / sign).touch()
    assert has_accelerator(NOWHERE, tmp_path)
    assert not has_accelerator({**NOWHERE, "CUDA_VISIBLE_DEVICES": ""}, tmp_path), "hidden by the person"
    assert has_accelerator({**NOWHERE, "CUDA_VISIBLE_DEVICES": "0"}, tmp_path)


@pytest.mark.parametrize("file", ["dev/null", "dev/nvidiactl", "dev/nvidia-uvm", "dev/dri/renderD128"])
def test_other_files_are_none(tmp_path: Path, file: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).touch()
    assert not has_accelerator(NOWHERE, tmp_path)


@pytest.mark.parametrize(
    ("driver", "kind", "there"), [("xe", "0x030000", True), ("i915", "0x038000", True), ("i915", "0x030000", False)]
)
def test_a_card_of_intels_counts_where_it_is_for_computing(tmp_path: Path, driver: str, kind: str, there: bool) -> None:
    device = tmp_path / "sys/class/drm/renderD128/device"
    device.mkdir(parents=True)
    (tmp_path / driver).mkdir()
    (device / "driver").symlink_to(tmp_path / driver)
    (device / "class").write_text(f"{kind}\n")
    assert has_accelerator(NOWHERE, tmp_path) is there


@pytest.mark.parametrize(
    ("says", "code", "there"),
    [("GPU 0: NVIDIA H100 (UUID: GPU-1)", 0, True), ("No devices were found", 0, False), ("GPU 0: dead", 9, False)],
)
def test_nvidia_smi_is_believed(tmp_path: Path, says: str, code: int, there: bool) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n")
    program.chmod(0o755)
    assert nvidia_lists_one({"PATH": str(tmp_path)}) is there


@pytest.mark.parametrize(
    ("device", "environ", "gpu", "cpu"),
    [
        ("cpu", {}, True, True),
        ("cuda", {}, False, False),
        ("auto", {}, True, False),
        ("auto", {}, False, True),
        ("auto", {"VLLM_TARGET_DEVICE": "cpu"}, True, True),
        ("auto", {"VLLM_TARGET_DEVICE": "xpu"}, False, False),
    ],
)
def test_the_cpu_is_taken_when_asked_for_or_for_want_of_others(
    tmp_path: Path, device: Device, environ: dict[str, str], gpu: bool, cpu: bool
) -> None:
    if gpu:
        (tmp_path / "dev").mkdir()
        (tmp_path / "dev/nvidia0").touch()
    assert takes_cpu(device, {**NOWHERE, **environ}, tmp_path) is cpu
