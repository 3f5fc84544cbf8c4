"""Compares the tokens that ``persqa estimate`` predicts from a pilot of 20 rows with those of the run.

The simulator counts hidden tokens, as of a model that thinks, whose numbers have a heavy tail. With short prompts the
answers have most of the tokens, and 20 of them can't tell the mean within 15 %; the interval must hold all the same.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from benches.common import SIMULATED_MODEL, Figure, call_persqa, run_simulator, write_rows

PILOT = 20
HIDDEN_TOKENS = 60
# Sides of the pictures in pixels, from which their tokens follow.
PHOTO_SIDES, SMALL_SIDES = (448, 1008), (56, 112)
ERROR_BAR = 0.15


class Told(NamedTuple):
    """Tokens: as told, with the interval, and as taken."""

    value: float
    low: float
    high: float
    taken: int

    @property
    def error(self) -> float:
        return self.value / self.taken - 1

    @property
    def holds(self) -> bool:
        return self.low <= self.taken <= self.high

    def __str__(self) -> str:
        told = f"{self.value:,.0f} ({self.low:,.0f} to {self.high:,.0f})"
        return f"{told}, taken {self.taken:,}: {self.error:+.1%}"


class Comparison(NamedTuple):
    """One estimate and its run."""

    in_all: Told
    answers: Told


def measure(folder: Path, *, rows: int = 500, rounds: int = 5) -> Iterator[Figure]:
    for name, sides in (("photos", PHOTO_SIDES), ("small pictures", SMALL_SIDES)):
        found = [compare(folder, sides, rows, seed) for seed in range(rounds)]
        for in_all, answers in found:
            print(f"{name}: {in_all}; of the answers {answers}", flush=True)
        worst = max(abs(each.in_all.error) for each in found)
        what = f"{name}: error of the tokens that a pilot of {PILOT} tells for {rows} rows, the worst of {rounds}"
        bar, met = (f"≤ {ERROR_BAR:.0%}", worst <= ERROR_BAR) if sides == PHOTO_SIDES else ("–", None)
        yield Figure(what, f"{worst:.1%}", bar, met)
        held = sum(each.in_all.holds and each.answers.holds for each in found)
        what = f"{name}: runs whose tokens, and those of the answers, are in their intervals"
        # One of 20 may miss.
        yield Figure(what, f"{held} of {rounds}", f"≥ {rounds - 1}", held >= rounds - 1)


def compare(folder: Path, sides: tuple[int, int], rows: int, seed: int) -> Comparison:
    source = write_pictures(folder, sides, rows, seed)
    flags = ["--model", SIMULATED_MODEL, "--seed", str(seed), "--json", "--quiet"]
    with run_simulator("--latency", 0.02, "--slots", 64, "--hidden-tokens", HIDDEN_TOKENS) as (url, _):
        estimate = call_persqa("estimate", source, "--pilot", str(PILOT), "--base-url", url, *flags)["estimate"]
    # Another simulator, whose caches are empty.
    with run_simulator("--latency", 0.02, "--slots", 64, "--hidden-tokens", HIDDEN_TOKENS) as (url, _):
        taken = call_persqa("run", source, "-o", folder / "qa.jsonl", "--fresh", "--base-url", url, *flags)["tokens"]
    prompt, completion = taken["prompt"], taken["completion"]
    return Comparison(
        read_told(estimate["tokens"], prompt + completion), read_told(estimate["completion_tokens"], completion)
    )


def read_told(told: dict[str, float], taken: int) -> Told:
    return Told(told["value"], told["low"], told["high"], taken)


def write_pictures(folder: Path, sides: tuple[int, int], count: int, seed: int) -> Path:
    """Rows of new pictures of different sizes."""
    rng = random.Random(f"{seed} {sides}")
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    paths = [folder / "pictures" / f"{number:04}.jpg" for number in range(count)]
    for path in paths:
        colours = Image.frombytes("RGB", (4, 4), rng.randbytes(48))
        colours.resize((rng.randint(*sides), rng.randint(*sides))).save(path, "JPEG", quality=60)
    return write_rows(folder / "rows.jsonl", paths)
