"""The command line and the environment of ``vllm serve``, and the choice of the device."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.vllm_server.command import (
    Device,
    ServeOptions,
    check_extra_args,
    find_vllm,
    has_accelerator,
    serve_command,
    serve_environment,
    split_arguments,
    uses_cpu,
)
from tests.support.cases import each_case

BESIDE = Path("/ours/bin/python")


def test_the_default_command() -> None:
    assert serve_command(["/bin/vllm"], "some/model", 8123, ServeOptions(), cpu=False) == [
        *("/bin/vllm", "serve", "some/model", "--host", "127.0.0.1", "--port", "8123"),
        *("--max-model-len", "8192", "--limit-mm-per-prompt", '{"image": 4, "video": 0}'),
        *("--generation-config", "vllm", "--enable-prefix-caching", "--enable-prompt-tokens-details"),
        "--disable-uvicorn-access-log",
    ]


def test_options_have_vllms_names_and_extra_args_come_last() -> None:
    options = ServeOptions(
        served_model_name="name",
        tensor_parallel_size=2,
        max_model_len=None,
        gpu_memory_utilization=0.8,
        limit_mm_per_prompt={"image": {"count": 2}},
        dtype="float16",
        seed=7,
        trust_remote_code=True,
        extra_args=["--max-num-seqs", "32"],
    )
    assert serve_command(["vllm"], "m", 1, options, cpu=False)[3:] == [
        *("--host", "127.0.0.1", "--port", "1", "--served-model-name", "name", "--tensor-parallel-size", "2"),
        *("--gpu-memory-utilization", "0.8", "--limit-mm-per-prompt", '{"image": {"count": 2}}', "--dtype", "float16"),
        *("--seed", "7", "--generation-config", "vllm", "--trust-remote-code", "--enable-prefix-caching"),
        *("--enable-prompt-tokens-details", "--disable-uvicorn-access-log", "--max-num-seqs", "32"),
    ]


def test_a_seed_of_zero_and_empty_limits_are_passed_on() -> None:
    words = serve_command([], "m", 1, ServeOptions(seed=0, limit_mm_per_prompt={}), cpu=False)
    assert words[words.index("--seed") + 1] == "0"
    assert words[words.index("--limit-mm-per-prompt") + 1] == "{}"
    assert "--limit-mm-per-prompt" not in serve_command([], "m", 1, ServeOptions(limit_mm_per_prompt=None), cpu=False)


@pytest.mark.parametrize(("dtype", "expected"), [(None, "bfloat16"), ("float32", "float32")])
def test_on_a_cpu_chunked_prefill_is_off_and_the_dtype_is_bfloat16(dtype: str | None, expected: str) -> None:
    words = serve_command([], "m", 1, ServeOptions(dtype=dtype), cpu=True)
    assert words[words.index("--dtype") + 1] == expected
    assert words[-1] == "--no-enable-chunked-prefill"


@pytest.mark.parametrize(
    "words", [["--port", "1"], ["--port=1"], ["--served_model_name", "x"], ["--api-key", "k"], ["--host", "0.0.0.0"]]
)
def test_managed_options_are_rejected_as_extra_args(words: list[str]) -> None:
    with pytest.raises(SettingsError, match=re.escape(words[0].split("=")[0].replace("_", "-"))):
        check_extra_args(["--max-num-seqs", "3", *words])


def test_extra_args_must_not_be_one_string() -> None:
    with pytest.raises(SettingsError, match="must be a list of words"):
        serve_command([], "m", 1, ServeOptions(extra_args="--max-num-seqs 32"), cpu=False)


def test_arguments_are_split_like_in_a_shell() -> None:
    assert split_arguments("""--a '{"b": 1}' c""", "--serve-args") == ["--a", '{"b": 1}', "c"]
    with pytest.raises(SettingsError, match="--serve-args can't be split into words"):
        split_arguments("'", "--serve-args")


def make_which(*paths: str) -> Callable[[str], str | None]:
    """A ``shutil.which`` for a machine with these programs, whose PATH is /bin."""
    return lambda name: name if name in paths else f"/bin/{name}" if f"/bin/{name}" in paths else None


@each_case(
    ("given", "variable", "programs", "found"),
    [
        (None, None, ["/bin/vllm"], ["/bin/vllm"]),
        (None, None, ["/ours/bin/vllm"], ["/ours/bin/vllm"]),
        (None, None, ["/bin/vllm", "/ours/bin/vllm"], ["/bin/vllm"]),
        (None, "/v/vllm", ["/v/vllm", "/bin/vllm"], ["/v/vllm"]),
        (None, " ", ["/bin/vllm"], ["/bin/vllm"]),
        (None, "uv run vllm", ["/bin/uv"], ["/bin/uv", "run", "vllm"]),
        ("/g/vllm", "/v/vllm", ["/g/vllm", "/v/vllm"], ["/g/vllm"]),
        ("/with space/vllm", None, ["/with space/vllm"], ["/with space/vllm"]),
        ("'/with space/vllm' -v", None, ["/with space/vllm"], ["/with space/vllm", "-v"]),
        (["/with space/vllm", "a b"], None, ["/with space/vllm"], ["/with space/vllm", "a b"]),
    ],
)
def test_vllm_is_found(
    given: str | list[str] | None, variable: str | None, programs: list[str], found: list[str]
) -> None:
    environ = {} if variable is None else {"PERSQA_VLLM": variable}
    assert find_vllm(given, environ, make_which(*programs), BESIDE) == found


@pytest.mark.parametrize(
    ("given", "variable", "words"),
    [
        (None, "", "vllm is not on the PATH"),
        (None, "/missing/vllm", "PERSQA_VLLM names /missing/vllm, which is not"),
        ("missing", "", "--vllm-command names missing"),
        ("'", "", "--vllm-command can't be split"),
    ],
)
def test_a_missing_vllm_is_reported(given: str | None, variable: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        find_vllm(given, {"PERSQA_VLLM": variable}, make_which("/bin/other"), BESIDE)


def test_the_folder_of_vllm_is_first_on_the_path() -> None:
    environ = {"PATH": "/bin", "HOME": "/h"}
    assert serve_environment(environ, ["/v/bin/vllm"], {}, cpu=False) == {"PATH": "/v/bin:/bin", "HOME": "/h"}


def test_settings_for_a_cpu_yield_to_the_environment() -> None:
    environ = {"PATH": "/bin", "VLLM_CPU_KVCACHE_SPACE": "9"}
    environment = serve_environment(environ, ["/bin/vllm"], {"VLLM_TARGET_DEVICE": "xpu", "MORE": "1"}, cpu=True)
    assert (environment["VLLM_CPU_KVCACHE_SPACE"], environment["VLLM_TARGET_DEVICE"], environment["MORE"]) == (
        "9",
        "xpu",
        "1",
    )
    assert serve_environment({}, ["/bin/vllm"], {}, cpu=True)["VLLM_TARGET_DEVICE"] == "cpu"


@pytest.mark.parametrize(
    "file", ["dev/nvidia0", "dev/nvidia15", "dev/kfd", "dev/dxg", "dev/accel0", "etc/nv_tegra_release"]
)
def test_an_accelerator_is_recognised_by_its_file(tmp_path: Path, file: str) -> None:
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).touch()
    assert has_accelerator({}, tmp_path)
    assert not has_accelerator({"CUDA_VISIBLE_DEVICES": ""}, tmp_path), "hidden by the environment"
    assert has_accelerator({"CUDA_VISIBLE_DEVICES": "0"}, tmp_path)


@pytest.mark.parametrize("file", ["dev/null", "dev/nvidiactl", "dev/nvidia-uvm", "dev/dri/renderD128"])
def test_other_files_are_no_accelerator(tmp_path: Path, file: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).touch()
    assert not has_accelerator({}, tmp_path)


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
def test_the_cpu_is_used_on_request_or_without_an_accelerator(
    tmp_path: Path, device: Device, environ: dict[str, str], gpu: bool, cpu: bool
) -> None:
    if gpu:
        (tmp_path / "dev").mkdir()
        (tmp_path / "dev/nvidia0").touch()
    assert uses_cpu(device, environ, tmp_path) is cpu
