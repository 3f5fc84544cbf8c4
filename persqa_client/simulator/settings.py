"""Settings of a simulated endpoint, and how the command line's texts become them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import orjson

from persqa_client.errors import SettingsError
from persqa_client.simulator.faults import FAULT_KINDS, Choice

Shape = Literal["vllm", "hosted"]

DEFAULT_MODEL = "persqa-simulator"

ANSWER_FIELDS = frozenset({"question", "answer", "finish_reason"})
ANSWER_LINE = 'write {"question": …, "answer": …} on each line, with a "finish_reason" unless it is stop'


@dataclass(frozen=True, slots=True, kw_only=True)
class SimSettings:
    """Settings of one simulated endpoint. Raises SettingsError for a value out of range.

    SimSettings(latency=0.2, slots=64, faults={"503": 0.05, "no_tag": 0.02})
    SimSettings(shape="hosted", api_key="secret", reject=("seed",))
    SimSettings(script=("ok", "reset", "429"))
    """

    # Model names that are served; the first one answers requests without a model.
    models: tuple[str, ...] = (DEFAULT_MODEL,)
    # Seconds of service, after the wait for a slot; each request takes latency * (1 ± jitter), evenly spread.
    latency: float = 0.05
    jitter: float = 0.0
    # Requests served at once; the others wait in order.
    slots: int = 32
    # New numbers of slots by time, in seconds after the first chat request.
    slots_at: Mapping[float, int] = field(default_factory=dict)
    # Requests that may wait; further ones get a 503.
    max_queued: int | None = None
    # Megabits per second of the one link that all request bodies share.
    link_mbps: float | None = None
    api_key: str | None = field(default=None, repr=False)
    max_model_len: int = 8192
    limit_images: int = 4
    # A larger image counts as if scaled down to this many patches of 28x28 pixels, the most that Qwen advises.
    max_picture_tokens: int = 1280
    # Obey guided_regex, guided_choice and guided_json and ignore structured_outputs, as vLLM did before 0.12.
    guided: bool = False
    # Accept images and ignore them, as servers of text models do: they cost no tokens and change no answer.
    blind: bool = False
    shape: Shape = "vllm"
    # Further parameters that the hosted shape rejects.
    reject: tuple[str, ...] = ()
    # In the hosted shape: continue a last message that is marked ``partial``, as Alibaba Model Studio does.
    partial: bool = False
    # Rate of each kind of fault (see faults.py), at most 1 in all.
    faults: Mapping[str, float] = field(default_factory=dict)
    fault_seed: int = 0
    # Seconds in the Retry-After header of a 429; fractions are sent as they are.
    retry_after: float = 1.0
    # Faults of the first chat requests, in order, "ok" for none; ``faults`` apply afterwards.
    script: tuple[str, ...] | list[str] = ()
    # Fixed answers by question. Other questions are answered from the images.
    answers: Mapping[str, Choice] = field(default_factory=dict, repr=False)
    # How many images (by content) and how many uuids are remembered.
    cached_pictures: int = 16384
    # Folder for the bytes of each distinct image that arrives, as NNNNN.ext by its declared type.
    keep_pictures: Path | None = None

    def __post_init__(self) -> None:
        _check_positive(slots=self.slots, max_model_len=self.max_model_len, max_picture_tokens=self.max_picture_tokens)
        _check_positive(cached_pictures=self.cached_pictures)
        for seconds, slots in self.slots_at.items():
            _check_positive(slots_at=slots)
            _check_not_negative(slots_at=seconds)
        _check_not_negative(latency=self.latency, limit_images=self.limit_images, retry_after=self.retry_after)
        if not self.models or not all(self.models):
            raise SettingsError("A simulator needs a model name: give --model NAME, or leave --model out.")
        if not 0 <= self.jitter <= 1:
            raise SettingsError(f"jitter is {self.jitter}, but must be between 0 and 1.")
        if self.max_queued is not None:
            _check_not_negative(max_queued=self.max_queued)
        if self.link_mbps is not None:
            _check_positive(link_mbps=self.link_mbps)
        if self.shape not in ("vllm", "hosted"):
            raise SettingsError(f"shape is {self.shape!r}, but must be vllm or hosted.")
        _check_kinds((*self.faults, *(kind for kind in self.script if kind != "ok")))
        _check_rates(self.faults)


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise SettingsError(f"{name} is {value}, but must be more than 0.")


def _check_not_negative(**values: float) -> None:
    for name, value in values.items():
        if not value >= 0:
            raise SettingsError(f"{name} is {value}, but must not be less than 0.")


def _check_kinds(kinds: Iterable[str]) -> None:
    for kind in kinds:
        if kind not in FAULT_KINDS:
            raise SettingsError(f"There is no fault {kind!r}; the kinds are {', '.join(FAULT_KINDS)}.")


def _check_rates(faults: Mapping[str, float]) -> None:
    for kind, rate in faults.items():
        if not 0 <= rate <= 1:
            raise SettingsError(f"The fault {kind} has the rate {rate}, but a rate is between 0 and 1.")
    if sum(faults.values()) > 1 + 1e-9:
        raise SettingsError(f"The rates of all faults add up to {sum(faults.values()):g}, but must not exceed 1.")


def parse_faults(texts: Iterable[str]) -> dict[str, float]:
    """Parse ``KIND=RATE`` texts, such as ``["503=0.05", "no_tag=0.01"]``. Raises SettingsError."""
    faults = {}
    for text in texts:
        kind, _, rate = text.partition("=")
        try:
            faults[kind.strip()] = float(rate)
        except ValueError:
            raise SettingsError(f"--fault {text} should look like 503=0.05: a kind and its rate.") from None
    return faults


def parse_slot_changes(texts: Iterable[str]) -> dict[float, int]:
    """Parse ``SECONDS=SLOTS`` texts, such as ``["60=64"]``. Raises SettingsError."""
    changes = {}
    for text in texts:
        seconds, _, slots = text.partition("=")
        try:
            changes[float(seconds)] = int(slots)
        except ValueError:
            raise SettingsError(f"--slots-at {text} should look like 60=64: a time in seconds and slots.") from None
    return changes


def read_answers(path: Path) -> dict[str, Choice]:
    """Read fixed answers from JSON lines with question, answer and optional finish_reason. Raises SettingsError."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--answers: {path} can't be read ({error}).") from error
    return dict(_read_answer(path, number, line) for number, line in enumerate(lines, 1) if line.strip())


def _read_answer(path: Path, number: int, line: str) -> tuple[str, Choice]:
    place = f"--answers: line {number} of {path}"
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise SettingsError(f"{place} is not a JSON object: {ANSWER_LINE}.") from error
    if not isinstance(fields, dict) or not fields.keys() <= ANSWER_FIELDS:
        raise SettingsError(f"{place} is not an object of these fields: {ANSWER_LINE}.")
    if not all(isinstance(value, str) for value in fields.values()):
        raise SettingsError(f"{place} has a value that is not a text: {ANSWER_LINE}.")
    if "question" not in fields or "answer" not in fields:
        raise SettingsError(f"{place} has no question or no answer: {ANSWER_LINE}.")
    return fields["question"].strip(), Choice(fields["answer"], fields.get("finish_reason", "stop"))
