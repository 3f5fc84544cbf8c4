"""The command line and environment of ``vllm serve``, by values."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from persqa_client.errors import SettingsError
from persqa_client.vllm_server.command import (
    ServeOptions,
    find_vllm,
    refuse_ours,
    serve_command,
    serve_environment,
    split_arguments,
)

BESIDE = Path("/ours/bin/python")


def test_a_plain_command_is_that_of_the_script() -> None:
    assert serve_command(["/bin/vllm"], "some/model", 8123, ServeOptions(), cpu=False) == [
        *("/bin/vllm", "serve", "some/model", "--host", "127.0.0.1", "--port", "8123"),
        *("--max-model-len", "8192", "--limit-mm-per-prompt", '{"image": 4, "video": 0}'),
        *("--generation-config", "vllm", "--enable-prefix-caching", "--enable-prompt-tokens-details"),
        "--disable-uvicorn-access-log",
    ]


def test_every_option_goes_by_its_own_name_and_further_ones_come_last() -> None:
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


def test_a_seed_of_zero_and_no_pictures_are_said_too() -> None:
    words = serve_command([], "m", 1, ServeOptions(seed=0, limit_mm_per_prompt={}), cpu=False)
    assert words[words.index("--seed") + 1] == "0"
    assert words[words.index("--limit-mm-per-prompt") + 1] == "{}"
    assert "--limit-mm-per-prompt" not in serve_command([], "m", 1, ServeOptions(limit_mm_per_prompt=None), cpu=False)


@pytest.mark.parametrize(("dtype", "told"), [(None, "bfloat16"), ("float32", "float32")])
def test_on_a_cpu_prompts_are_not_cut_and_numbers_are_what_it_computes_well(dtype: str | None, told: str) -> None:
    words = serve_command([], "m", 1, ServeOptions(dtype=dtype), cpu=True)
    assert words[words.index("--dtype") + 1] == told
    assert words[-1] == "--no-enable-chunked-prefill"


@pytest.mark.parametrize(
    "words", [["--port", "1"], ["--port=1"], ["--served_model_name", "x"], ["--api-key", "k"], ["--host", "0.0.0.0"]]
)
def test_what_is_set_already_can_not_be_a_further_option(words: list[str]) -> None:
    with pytest.raises(SettingsError, match=re.escape(words[0].split("=")[0].replace("_", "-"))):
        refuse_ours(["--max-num-seqs", "3", *words])


def test_further_options_are_words_and_not_one_text() -> None:
    with pytest.raises(SettingsError, match="is a list of words"):
        serve_command([], "m", 1, ServeOptions(extra_args="--max-num-seqs 32"), cpu=False)


def test_words_are_split_as_a_shell_does_it() -> None:
    assert split_arguments("""--a '{"b": 1}' c""", "--serve-args") == ["--a", '{"b": 1}', "c"]
    with pytest.raises(SettingsError, match="--serve-args can't be read as words"):
        split_arguments("'", "--serve-args")


def there(*paths: str) -> Callable[[str], str | None]:
    """A ``which`` on a machine that has these programs, ``vllm`` on its PATH where /bin/vllm is one."""
    return lambda name: name if name in paths else f"/bin/{name}" if f"/bin/{name}" in paths else None


@pytest.mark.parametrize(
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
    assert find_vllm(given, environ, there(*programs), BESIDE) == found


@pytest.mark.parametrize(
    ("given", "variable", "says"),
    [
        (None, "", "There is no vllm on the PATH"),
        (None, "/gone/vllm", "PERSQA_VLLM names /gone/vllm, which is no program"),
        ("gone", "", "--vllm-command names gone"),
        ("'", "", "--vllm-command can't be read"),
    ],
)
def test_no_vllm_is_a_sentence(given: str | None, variable: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        find_vllm(given, {"PERSQA_VLLM": variable}, there("/bin/other"), BESIDE)


def test_the_environment_is_ours_with_the_folder_of_vllm_in_front() -> None:
    environ = {"PATH": "/bin", "HOME": "/h"}
    assert serve_environment(environ, ["/v/bin/vllm"], {}, cpu=False) == {"PATH": "/v/bin:/bin", "HOME": "/h"}


def test_on_a_cpu_what_a_person_has_set_goes_first() -> None:
    environ = {"PATH": "/bin", "VLLM_CPU_KVCACHE_SPACE": "9"}
    told = serve_environment(environ, ["/bin/vllm"], {"VLLM_TARGET_DEVICE": "xpu", "MORE": "1"}, cpu=True)
    assert (told["VLLM_CPU_KVCACHE_SPACE"], told["VLLM_TARGET_DEVICE"], told["MORE"]) == ("9", "xpu", "1")
    assert serve_environment({}, ["/bin/vllm"], {}, cpu=True)["VLLM_TARGET_DEVICE"] == "cpu"
