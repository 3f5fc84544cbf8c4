"""The commands in a process of their own: exit codes, messages, signals, a full disk."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest
from PIL import Image

from persqa_client import __version__
from persqa_client.simulator.server import SimSettings, Simulator, run_simulator
from tests.support.commands import PERSQA, Command, persqa, python, start


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 30), (200, 0, 0)).save(tmp_path / "red.png")
    (tmp_path / "rows.jsonl").write_text('{"image": "red.png"}\n')
    (tmp_path / "date.toml").write_text("[extra-body]\nday = 2020-01-31\n")
    (tmp_path / "table.toml").write_text("[run]\nmodel = 'm'\n")
    return tmp_path


def run(folder: Path, server: Simulator, *more: str, input: str = "rows.jsonl") -> subprocess.CompletedProcess[str]:
    return persqa(*arguments(server, input), *more, cwd=folder)


def arguments(server: Simulator, input: str = "rows.jsonl") -> list[str]:
    return ["run", input, "-o", "qa.jsonl", "--base-url", server.base_url, "--model", "persqa-simulator"]


def write_rows(folder: Path, count: int) -> None:
    lines = [f'{{"image": "red.png", "n": {n}}}\n' for n in range(count)]
    (folder / "rows.jsonl").write_text("".join(lines))


@pytest.mark.parametrize("command", ["run", "sim", "doctor"])
def test_help_has_an_example(command: str, tmp_path: Path) -> None:
    result = persqa(command, "--help", cwd=tmp_path)
    assert result.returncode == 0
    assert f"Example: persqa {command}" in " ".join(result.stdout.split())


def test_help_imports_nothing_slow(tmp_path: Path) -> None:
    """The SDK alone takes half a second to import."""
    code = (
        "import sys; from persqa_client.cli.main import app\n"
        "try: app(['run', '--help'])\nexcept SystemExit: pass\n"
        "print([name for name in ('openai', 'aiohttp', 'PIL', 'anyio') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.strip().endswith("[]")


def test_a_run_without_failures_is_exit_0_with_a_table(folder: Path, simulator: Simulator) -> None:
    result = run(folder, simulator)
    assert result.returncode == 0, result.stderr
    table = dict(line.split(maxsplit=1) for line in result.stdout.splitlines() if len(line.split()) > 1)
    assert (table["rows"].strip(), table["answered"].strip(), table["output"].strip()) == ("1", "1", "qa.jsonl")


def test_failed_rows_are_exit_1_also_when_the_command_is_repeated(folder: Path, simulator: Simulator) -> None:
    (folder / "rows.jsonl").write_text('{"image": "red.png"}\n{"image": "missing.png"}\n')
    result = run(folder, simulator)
    assert result.returncode == 1
    assert "image_missing" in result.stdout
    again = run(folder, simulator)
    assert again.returncode == 1
    assert "already finished" in again.stderr
    assert "--retry-failed" in again.stderr


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        pytest.param(["--extra-body", "{"], "--extra-body is not JSON", id="extra body"),
        pytest.param(["--extra-body", '{"model": "x"}'], "can't set model", id="extra body sets the model"),
        pytest.param(["--tag", "a b"], "--tag", id="tag"),
        pytest.param(["--api-key-env", "NO_SUCH_KEY"], "NO_SUCH_KEY", id="key variable"),
        pytest.param(["--rps", "0"], "--rps", id="no requests a second"),
        pytest.param(["--top-p", "7"], "--top-p", id="top-p"),
        pytest.param(["--output-key", "image"], "--output-key image", id="output key"),
        pytest.param(["--temperature", "9"], "--temperature", id="temperature"),
        pytest.param(["--base-url", "localhost:8000"], "--base-url", id="base URL"),
        pytest.param(["-o", "."], "folder", id="output is a folder"),
        pytest.param(["-o", "/dev/null"], "device", id="output is a device"),
        pytest.param(["-o", "rows.jsonl/qa.jsonl"], "can't be created", id="no such place"),
        pytest.param(
            ["--config", "missing.toml"], "missing.toml does not exist; persqa init writes", id="no config file"
        ),
        pytest.param(["--config", "date.toml"], "sent as JSON", id="a date in the config file's request fields"),
        pytest.param(["--base-url", "http://[::1/v1"], "--base-url: must look like", id="half an IPv6 address"),
        pytest.param(["--rps", "inf"], "--rps", id="infinite requests a second"),
        pytest.param(["--seed", "9" * 20], "--seed", id="seed beyond 64 bits"),
        pytest.param(["-o", f"{'x' * 235}.jsonl"], "is too long", id="output name too long"),
        pytest.param(["-o", "-"], "name a file for the others with --failed", id="standard output"),
        pytest.param(["--max-outage", "-1"], "--max-outage: must be greater than or equal to 0", id="plain words"),
        pytest.param(["--tpm", "100"], "--tpm 100 is less than one request", id="tokens for no request"),
        pytest.param(["--header", "api-key=sesame"], "--header takes NAME=@VARIABLE", id="value of a header"),
        pytest.param(["--api-key-command", "false"], "false failed with exit code 1", id="key command"),
        pytest.param(["--ca-cert", "missing.pem"], "--ca-cert: missing.pem can't be read", id="certificates"),
        pytest.param(["--image-root", "nowhere"], "--image-root: nowhere does not exist", id="no image root"),
        pytest.param(["--image-root", "red.png"], "--image-root: red.png is not a folder", id="a file as image root"),
        pytest.param(["--bank", "animals"], "does not exist (did you mean animal?)", id="a category in the plural"),
        pytest.param(["--bank", "scnee"], "does not exist (did you mean scene?)", id="a category with a slip"),
        pytest.param(["--config", "dat.toml"], "dat.toml does not exist (did you mean date.toml?)", id="config slip"),
        pytest.param(["--without", "hairs"], "(did you mean hair?)", id="a need with a slip"),
        pytest.param(["--language", "english"], "is not one of 'en', 'zh'. Did you mean 'en'?", id="a language"),
        pytest.param(["--strategy", "constrained"], "Did you mean 'constrain'?", id="a strategy with a slip"),
        pytest.param(["--base-url", "http://a/v1,http://b/v1"], "--base-url: must be one URL", id="two URLs in one"),
        pytest.param(["--nonsense"], "--nonsense", id="no such flag"),
        pytest.param(["--concurency", "2"], "--concurency. Did you mean --concurrency?", id="a flag with a slip"),
        pytest.param(["-o", "qa.csv"], "will have JSON Lines; name it qa.jsonl, not qa.csv", id="another kind of file"),
        pytest.param(["--tag", "a b"], "40 letters, digits, hyphens, dots and underscores, with a", id="two words"),
        pytest.param(["--config", "table.toml"], "has a table [run]: write its keys above", id="a table of settings"),
    ],
)
def test_invalid_usage_is_exit_2_with_a_message(
    folder: Path, simulator: Simulator, more: list[str], expected: str
) -> None:
    result = run(folder, simulator, *more)
    assert result.returncode == 2
    assert expected in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("by_file", [False, True], ids=["flag", "config file"])
def test_an_empty_input_name_is_not_the_working_directory(folder: Path, simulator: Simulator, by_file: bool) -> None:
    (folder / "run.toml").write_text('input = ""\n')
    words = [word for word in arguments(simulator, "") if word or not by_file]
    result = persqa(*words, *(["--config", "run.toml"] if by_file else []), cwd=folder)
    assert result.returncode == 2
    assert "it is empty" in result.stderr


def test_a_missing_input_is_exit_2(folder: Path, simulator: Simulator) -> None:
    result = run(folder, simulator, input="absent.jsonl")
    assert result.returncode == 2
    assert result.stderr.startswith("Error: The input absent.jsonl does not exist")


@pytest.mark.parametrize(("name", "content"), [("empty.jsonl", "\n"), ("empty.json", "[]"), ("empty.csv", "image,n\n")])
def test_an_input_without_rows_is_exit_2_and_leaves_no_files(
    name: str, content: str, folder: Path, simulator: Simulator
) -> None:
    (folder / name).write_text(content)
    result = run(folder, simulator, input=name)
    assert (result.returncode, result.stderr) == (2, f"Error: {name} has no rows to ask about.\n")
    assert not list(folder.glob("*qa*"))


def test_a_folder_without_images_is_exit_2_and_leaves_no_files(folder: Path, simulator: Simulator) -> None:
    (folder / "empty").mkdir()
    result = run(folder, simulator, input="empty")
    assert (result.returncode, result.stderr) == (2, "Error: empty has no images.\n")
    (folder / "empty" / "notes.txt").write_text("no image")
    result = run(folder, simulator, input="empty")
    assert result.returncode == 2
    assert " ".join(result.stderr.split()) == (
        "Error: empty has no images. In empty, 1 file is not an image and is skipped (1 with .txt)."
    )
    assert not list(folder.glob("*qa*"))


def test_skipped_files_of_a_folder_are_reported(folder: Path, simulator: Simulator) -> None:
    (folder / "photos").mkdir()
    (folder / "photos" / "one").write_bytes((folder / "red.png").read_bytes())
    (folder / "photos" / "notes.txt").write_text("no image")
    result = run(folder, simulator, input="photos")
    assert result.returncode == 0
    assert "Warning: In photos, 1 file is not an image and is skipped (1 with .txt)." in " ".join(result.stderr.split())
    assert len((folder / "qa.jsonl").read_text().splitlines()) == 1


def test_an_unreachable_server_is_exit_3_and_leaves_no_files(folder: Path) -> None:
    with run_simulator(SimSettings()) as stopped:
        pass
    result = run(folder, stopped)
    assert result.returncode == 3
    assert "Nothing listens at" in result.stderr
    assert not list(folder.glob("*qa*")), "nothing was asked"


def test_after_a_wrong_model_the_command_can_be_corrected(folder: Path, simulator: Simulator) -> None:
    assert run(folder, simulator, "--model", "wrong").returncode == 3
    assert run(folder, simulator).returncode == 0


def test_a_finished_output_stays_if_the_server_is_unreachable(folder: Path, simulator: Simulator) -> None:
    assert run(folder, simulator).returncode == 0
    (folder / "rows.jsonl").write_text('{"image": "red.png"}\n{"image": "red.png", "n": 2}\n')
    with run_simulator(SimSettings()) as stopped:
        pass
    assert run(folder, stopped).returncode == 3
    assert len((folder / "qa.jsonl").read_bytes().splitlines()) == 1
    assert run(folder, simulator).returncode == 0
    assert len((folder / "qa.jsonl").read_bytes().splitlines()) == 2


def test_flags_override_the_config_file(folder: Path, simulator: Simulator) -> None:
    (folder / "run.toml").write_text(
        f'input = "rows.jsonl"\noutput = "qa.jsonl"\nbase-url = "{simulator.base_url}"\nmodel = "persqa-simulator"\n'
        'tag = "bo"\noutput-key = "qa"\ndetails = true\n[extra-body]\ntop_k = 20\n'
    )
    assert persqa("run", "--config", "run.toml", "--tag", "ann", cwd=folder).returncode == 0
    row = orjson.loads((folder / "qa.jsonl").read_bytes())
    assert "<ann>" in row["qa"]
    result = orjson.loads((folder / "qa.run.json").read_bytes())
    assert (result["identity"]["extra-body"], result["identity"]["details"]) == ({"top_k": 20}, True)


def test_an_unknown_key_in_the_config_file_is_exit_2(folder: Path, simulator: Simulator) -> None:
    (folder / "run.toml").write_text("temprature = 1\n")
    result = run(folder, simulator, "--config", "run.toml")
    assert result.returncode == 2
    assert "temprature" in result.stderr
    assert "(did you mean temperature?)" in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    "more",
    [
        ["--api-key-env", "sk-proj-4Fq81"],
        ["--api-key-env", "hf_abcdefghijklmnopqrstuvwxyz4Fq81"],
        ["--api-key-env", "-", "sk-proj-4Fq81"],
        ["--api-key=sk-proj-4Fq81"],
        ["--api-key", "sk-proj-4Fq81"],
        ["--api-key-command", "sk-proj-4Fq81"],
        ["--api-key-command", "KEY=sk-proj-4Fq81 printenv KEY"],
        ["--header", "authorization=Bearer sk-proj-4Fq81"],
        ["--header", "api-key=@hf_4Fq81abc"],
        ["--header", "sk-proj-4Fq81=@VARIABLE"],
        ["--strategy", "sk-proj-4Fq81"],
        ["--ca-cert", "hf_4Fq81abc"],
        ["--config", "sk-proj-4Fq81"],
        ["--config", "key.toml"],
        ["-o", "sk-proj-4Fq81"],
    ],
)
def test_a_key_on_the_command_line_is_never_repeated(folder: Path, simulator: Simulator, more: list[str]) -> None:
    (folder / "key.toml").write_text('strategy = "sk-proj-4Fq81"')
    result = run(folder, simulator, *more)
    assert result.returncode == 2
    assert not list(folder.glob("*4Fq81*"))
    assert "4Fq81" not in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-4Fq81",
        pytest.param("Zk4tR9vQ2mX7pL1wBb", marks=pytest.mark.slow),
        pytest.param("0123456789abcdef0123456789abcdef", marks=pytest.mark.slow),
    ],
)
def test_a_key_as_a_command_or_a_value_is_not_repeated(folder: Path, simulator: Simulator, key: str) -> None:
    given = [["--model", key], ["--bank", key], ["--names", key], ["--strategy", key], ["--image-key", key], [key]]
    for result in (persqa(key, cwd=folder), *(run(folder, simulator, *flags) for flags in given)):
        assert result.returncode in (2, 3)
        assert "…" in result.stderr
        assert key not in result.stdout + result.stderr


def test_a_fresh_run_says_where_the_earlier_files_are(folder: Path, simulator: Simulator) -> None:
    run(folder, simulator)
    old = (folder / "qa.jsonl").read_bytes()
    result = run(folder, simulator, "--fresh", "--output-key", "qa")
    assert result.returncode == 0, result.stderr
    assert "earlier run   qa.1.jsonl and its files" in result.stdout
    assert (folder / "qa.1.jsonl").read_bytes() == old
    assert persqa("recheck", "qa.1.jsonl", cwd=folder).returncode == 0


def test_a_dry_run_names_the_files_that_a_run_skips(folder: Path, simulator: Simulator) -> None:
    warning = "Warning: In ., 3 files are not images and are skipped (2 with .toml, 1 with .jsonl)."
    for flags in (["--dry-run"], []):
        result = persqa(*arguments(simulator, "."), *flags, cwd=folder)
        assert result.returncode == 0
        assert result.stderr.count(warning) == 1, result.stderr


def test_a_dry_run_shows_characters_that_a_terminal_would_obey(folder: Path) -> None:
    lines = [{"image": "a\u202e.jpg"}, {"image": "data:;place=a%1Bb%E2%80%AE;base64,aaaa"}, {"image": 5, "\u202e": 1}]
    (folder / "odd.jsonl").write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    result = persqa("run", "odd.jsonl", "--dry-run", "--base-url", "http://127.0.0.1:9/v1", "--model", "m", cwd=folder)
    assert result.stdout.count("would fail: ") == 3
    assert "a\\u202e.jpg" in result.stdout
    assert "a\\x1bb\\u202e" in result.stdout
    assert not {"\u202e", "\x1b"} & set(result.stdout + result.stderr)


def test_a_dry_run_prints_requests_and_sends_none(folder: Path, simulator: Simulator) -> None:
    write_rows(folder, 5)
    asked = simulator.stats()["requests"]
    result = run(folder, simulator, "--dry-run")
    assert result.returncode == 0
    assert result.stdout.count("--- line") == 3
    assert re.search(r"data:image/\w+;base64,\S+… \(43x32", result.stdout)
    assert len(result.stdout) < 6000
    assert simulator.stats()["requests"] == asked
    assert not list(folder.glob("qa*"))


def test_a_stopped_fresh_run_says_how_it_is_resumed(folder: Path) -> None:
    write_rows(folder, 200)
    with run_simulator(SimSettings(latency=0.05, slots=8)) as server:
        flags = ("--concurrency", "8", "--no-probes")
        process = start(*arguments(server), *flags, "--fresh", cwd=folder)
        while server.stats()["answered"] < 30:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, result = process.communicate(timeout=20)
        assert process.returncode == 130
        assert (
            "Leave out --fresh to resume qa.jsonl: with it, everything is asked anew, and the files of this run are "
            in result
        )
        assert "same command" not in result
        assert run(folder, server, *flags).returncode == 0
        assert server.stats()["answered"] == 200, "no row was asked twice"


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, id="SIGTERM", marks=pytest.mark.slow),
    ],
)
def test_a_signal_lets_requests_finish_and_the_run_can_be_resumed(folder: Path, number: signal.Signals) -> None:
    write_rows(folder, 300)
    with run_simulator(SimSettings(latency=0.05, slots=8)) as server:
        process = start(*arguments(server), "--concurrency", "8", "--no-probes", cwd=folder)
        while server.stats()["answered"] < 30:
            time.sleep(0.01)
        process.send_signal(number)
        _, result = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "same command again" in result
        kept = len((folder / "qa.jsonl.partial").read_bytes().splitlines())
        assert kept >= 29, "answers of requests in flight were written"
        assert run(folder, server, "--concurrency", "8", "--no-probes").returncode == 0
        assert server.stats()["answered"] == 300, "no row was asked twice"
    assert [row["n"] for row in map(orjson.loads, (folder / "qa.jsonl").read_bytes().splitlines())] == list(range(300))


def test_the_output_grows_in_input_order_during_the_run(folder: Path) -> None:
    write_rows(folder, 200)
    with run_simulator(SimSettings(latency=0.02, jitter=0.9, slots=16)) as server:
        process = start(*arguments(server), "--concurrency", "16", cwd=folder)
        seen: list[int] = []
        while process.poll() is None and len(seen) < 100:
            partial = folder / "qa.jsonl.partial"
            lines = partial.read_bytes().splitlines(keepends=True) if partial.exists() else []
            seen = [orjson.loads(line)["n"] for line in lines if line.endswith(b"\n")]
            assert seen == list(range(len(seen)))
            time.sleep(0.02)
        assert 100 <= len(seen) < 200
        process.communicate(timeout=20)


def test_a_full_disk_stops_the_run_with_one_message_and_loses_nothing(folder: Path, simulator: Simulator) -> None:
    """A limit on file sizes raises the same error as a full disk."""
    write_rows(folder, 400)
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
    code = limited + "from persqa_client.cli.main import app; app()"
    result = python(code, *arguments(simulator), cwd=folder)
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.count("Error: ") == 1
    assert "Run the same command again to resume qa.jsonl." in result.stderr
    assert run(folder, simulator).returncode == 0
    assert [row["n"] for row in map(orjson.loads, (folder / "qa.jsonl").read_bytes().splitlines())] == list(range(400))


def test_the_version_is_printed(tmp_path: Path) -> None:
    result = persqa("--version", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, f"persqa {__version__}\n")


@pytest.mark.parametrize("more", [["--dry-run"], ["--help"]])
def test_output_to_a_full_disk_is_one_sentence(folder: Path, simulator: Simulator, more: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        command = Command(None, [*arguments(simulator), *more], folder, stdout=full.fileno())
        [errors] = command.communicate(timeout=60)
    assert (command.returncode, errors) == (2, "Error: the output can't be written (No space left on device).\n")


@pytest.mark.parametrize("module", ["typer", "openai"])
def test_ctrl_c_during_the_imports_is_quiet(folder: Path, simulator: Simulator, module: str) -> None:
    code = (
        "import os, signal, sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "from persqa_client.cli.start import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments(simulator)], cwd=folder, capture_output=True, text=True
    )
    assert result.returncode == 130
    assert "Traceback" not in result.stderr
    assert not list(folder.glob("qa*"))


def test_the_installed_command_is_the_module(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("persqa")
    result = subprocess.run([script, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout == subprocess.run([*PERSQA, "--help"], cwd=tmp_path, capture_output=True, text=True).stdout


def test_a_question_that_answers_alone_need_added_is_warned_about_once(folder: Path, simulator: Simulator) -> None:
    write_rows(folder, 3)
    result = run(folder, simulator, "--output-style", "answer")
    warnings = [line for line in result.stderr.splitlines() if "has no question" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith("Warning: A row has no question, and no conversation with")


@pytest.mark.parametrize(
    ("flags", "config", "words"),
    [
        (("--verify", "yes"), "", "'--verify': 'yes' is not one of 'doubtful', 'all', 'off'."),
        (("--language", "de"), "", "'--language': 'de' is not one of 'en', 'zh'."),
        ((), 'verify = "yes"', "'--verify': 'yes' is not one of 'doubtful', 'all', 'off' (in flags.toml)"),
        ((), 'questions = "x"', "'--questions': must be a whole number (in flags.toml)"),
        ((), "input = 5", "'--config': flags.toml has a wrong value for 'input': it must be text in quotes, or a list"),
        ((), "input = []", "'--config': flags.toml has a wrong value for 'input': the list is empty."),
        ((), 'fresh = "no"', "'--config': flags.toml has a wrong value for 'fresh': it must be true or false, without"),
        ((), "output = 5", "'--config': flags.toml has a wrong value for 'output': it must be text in quotes."),
        (
            (),
            "\ufeffoutput = ''",
            "'--output' / '-o': it is empty; name a file, or a folder (. for the working directory) (in flags.toml)",
        ),
        (
            ("--image-root", ""),
            "",
            "'--image-root': it is empty; name a file, or a folder (. for the working directory).",
        ),
        (("--questions", "x"), "questions = 2", "'--questions': must be a whole number"),
        (
            (),
            'bank = "D:\\photos"',
            "'--config': flags.toml is not valid TOML: Unescaped '\\' in a string (at line 1, column 13); "
            "write paths with /, or in single quotes.",
        ),
    ],
)
def test_a_bad_value_is_named_in_plain_words_with_its_file(
    flags: tuple[str, ...], config: str, words: str, folder: Path
) -> None:
    (folder / "flags.toml").write_text(config)
    url = ("--base-url", "http://127.0.0.1:1/v1", "--model", "m", "--config", "flags.toml")
    output = () if "output" in config else ("-o", "qa.jsonl")
    result = persqa("run", "rows.jsonl", *output, *url, *flags, cwd=folder)
    assert result.returncode == 2
    assert f"Invalid value for {words}" in " ".join(result.stderr.replace("│", " ").split())
    assert ("flags.toml" in result.stderr) is ("flags.toml" in words)


def test_a_retry_that_starts_over_is_refused(folder: Path, simulator: Simulator) -> None:
    result = run(folder, simulator, "--fresh", "--retry-failed")
    assert result.returncode == 2
    assert result.stderr == (
        "Error: --fresh discards the rows that --retry-failed would ask again; give only one of them.\n"
    )


def test_a_key_in_a_request_field_is_sent_and_not_repeated(folder: Path, simulator: Simulator) -> None:
    key, other = "sk-proj-4Fq81", "Zk4tR9vQ2mX7pL1wBb"
    before = run(folder, simulator, "--extra-body", json.dumps({"api_key": key}), "--dry-run")
    first = run(folder, simulator, "--extra-body", json.dumps({"api_key": key}))
    assert first.returncode == 0, first.stderr
    changed = run(folder, simulator, "--extra-body", json.dumps({"api_key": other}))
    same = run(folder, simulator, "--extra-body", json.dumps({"api_key": key}))
    assert (changed.returncode, same.returncode) == (2, 0)
    assert "the setting extra-body" in changed.stderr
    texts = [result.stdout + result.stderr for result in (before, first, changed, same)]
    texts += [path.read_text() for path in folder.glob("qa.*")]
    assert len(texts) >= 7
    assert not [text for text in texts if key in text or other in text]


def test_a_fresh_start_over_a_stopped_run_keeps_its_answers_and_says_so(folder: Path) -> None:
    write_rows(folder, 200)
    with run_simulator(SimSettings(latency=0.05, slots=8)) as server:
        flags = ("--concurrency", "8", "--no-probes")
        process = start(*arguments(server), *flags, cwd=folder)
        while server.stats()["answered"] < 30:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        result = run(folder, server, *flags, "--fresh", "--limit", "3")
        assert "The unfinished run is kept: -o qa.1.jsonl, without --fresh, resumes it." in result.stderr
        assert "earlier run   qa.1.jsonl.partial and its files" in result.stdout
        assert len((folder / "qa.1.jsonl.partial").read_bytes().splitlines()) > 5
        resumed = persqa(*arguments(server), *flags, "-o", "qa.1.jsonl", "--limit", "60", cwd=folder)
        assert resumed.returncode == 0, resumed.stderr
    assert len((folder / "qa.1.jsonl").read_bytes().splitlines()) >= 60
