#!/usr/bin/env python3
"""Tries bytes that cover new code, with atheris, on what reads rows, replies, answers, pictures and files of a run.

usage: scripts/fuzz.py [TARGET …] [--seconds N]    all targets of tests/support/fuzz_targets.py, a minute each

It installs atheris into .venv-fuzz, and writes what crashes or hangs to tests/corpus, where the tests try it again. The
exit code is 1 if there is any.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
CORPUS = ROOT / "tests" / "corpus"
VENV = ROOT / ".venv-fuzz"
HANG_SECONDS, MEMORY_MB = 20, 2048
# Runs one target in the environment with atheris, until libFuzzer ends the process.
TARGET = """
import sys
import atheris
with atheris.instrument_imports(include=["persqa_client"]):
    from tests.support.fuzz_targets import TARGETS
name, seeds, *flags = sys.argv[1:]
from pathlib import Path
for number, seed in enumerate(TARGETS[name].seeds):
    Path(seeds, f"{number}").write_bytes(seed)
atheris.Setup(["fuzz", seeds, *flags], TARGETS[name].run)
atheris.Fuzz()
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    python = prepare_environment()
    listed = "from tests.support.fuzz_targets import TARGETS; print(*TARGETS)"
    known = subprocess.run([python, "-c", listed], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    if unknown := set(options.targets) - set(known):
        parser.error(f"no target is named {min(unknown)!r}; choose from {', '.join(known)}")
    found = {name: fuzz(python, name, options.seconds) for name in options.targets or known}
    for name, paths in found.items():
        print(f"{name}: {', '.join(map(str, paths)) or 'nothing'}")
    return 1 if any(found.values()) else 0


def prepare_environment() -> Path:
    """The environment of the checkout with atheris, as a layer over the present one."""
    python = VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", "atheris", "-e", f"{ROOT}[dev]"], check=True)
    return python


def fuzz(python: Path, name: str, seconds: int) -> list[Path]:
    """The files that were added to the corpus."""
    folder, seeds = CORPUS / name, VENV / "seeds" / name
    for each in (folder, seeds):
        each.mkdir(parents=True, exist_ok=True)
    before = set(folder.iterdir())
    flags = [f"-max_total_time={seconds}", f"-timeout={HANG_SECONDS}", f"-rss_limit_mb={MEMORY_MB}"]
    command = [python, "-c", TARGET, name, seeds, *flags, f"-artifact_prefix={folder}/", "-print_final_stats=1"]
    subprocess.run([str(word) for word in command], cwd=ROOT)
    added = []
    for path in set(folder.iterdir()) - before:
        added.append(path.rename(path.with_name(f"{path.name}.bin")))
    if not any(folder.iterdir()):
        folder.rmdir()
    return added


if __name__ == "__main__":
    sys.exit(main())
