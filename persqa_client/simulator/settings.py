"""Settings of a simulated endpoint, and parsers for command line values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import orjson

from persqa_client.errors import SettingsError
from persqa_client.simulator.faults import FAULT_KINDS, Choice

Shape = Literal["vllm", "hosted"]
# ``all``: the model sees all images. The others are faults of servers that answer nevertheless. ``counted``: none, but
# their tokens are counted. ``base64``: it reads their base64 as text. ``first``, ``last``: one of those in a request.
# ``replayed``: those of the first request with the same texts and the same number of image tokens, as from a prefix
# cache of token ids.
ImageUse = Literal["all", "counted", "base64", "first", "last", "replayed"]

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

    # Models to serve; the first is used for requests without a model.
    models: tuple[str, ...] = (DEFAULT_MODEL,)
    # Seconds per request after the wait for a slot: latency * (1 ± jitter).
    latency: float = 0.05
    jitter: float = 0.0
    # Concurrent requests; others wait in order.
    slots: int = 32
    # Number of slots by seconds after the first chat request.
    slots_at: Mapping[float, int] = field(default_factory=dict)
    # Waiting requests; others get a 503.
    max_queued: int | None = None
    # Megabits per second of a link shared by all request bodies.
    link_mbps: float | None = None
    api_key: str | None = field(default=None, repr=False)
    max_model_len: int = 8192
    limit_images: int = 4
    # Larger images count as this many patches of 28x28 pixels, Qwen's recommended maximum.
    max_picture_tokens: int = 1280
    # Tokens that each answer counts beside its text, as of a model that thinks: the median of a heavy-tailed number.
    hidden_tokens: int = 0
    # Support guided_regex, guided_choice and guided_json and ignore structured_outputs, like vLLM before 0.12.
    guided: bool = False
    # Ignore images, like servers of text models: no tokens, no effect on the answer.
    blind: bool = False
    # Which images of a request the model sees.
    image_use: ImageUse = "all"
    # An image sent by its uuid alone is counted, but not shown to the model, whether the server has it or not.
    blind_to_uuids: bool = False
    # Request fields that are removed without a word, as by a gateway that forwards only the fields it knows.
    strip: tuple[str, ...] = ()
    shape: Shape = "vllm"
    # Parameters that the hosted shape also rejects.
    reject: tuple[str, ...] = ()
    # In the hosted shape: continue a last message marked ``partial``, like Alibaba Model Studio.
    partial: bool = False
    # Rates by kind of fault (faults.py); their sum is at most 1.
    faults: Mapping[str, float] = field(default_factory=dict)
    fault_seed: int = 0
    # Retry-After of a 429, in seconds; may be a fraction.
    retry_after: float = 1.0
    # Faults of the first chat requests, in order; "ok" is none. Then ``faults`` apply.
    script: tuple[str, ...] | list[str] = ()
    # Fixed answers by question; other questions are answered from the images.
    answers: Mapping[str, Choice] = field(default_factory=dict, repr=False)
    # Number of cached images, and of cached uuids.
    cached_pictures: int = 16384
    # Folder for the bytes of each distinct image, as NNNNN.ext.
    keep_pictures: Path | None = None

    def __post_init__(self) -> None:
        _check_positive(slots=self.slots, max_model_len=self.max_model_len, max_picture_tokens=self.max_picture_tokens)
        _check_positive(cached_pictures=self.cached_pictures)
        for seconds, slots in self.slots_at.items():
            _check_positive(slots_at=slots)
            _check_not_negative(slots_at=seconds)
        _check_not_negative(hidden_tokens=self.hidden_tokens)
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
        if self.image_use not in get_args(ImageUse):
            raise SettingsError(f"image_use is {self.image_use!r}, but must be one of {', '.join(get_args(ImageUse))}.")
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
    """``["503=0.05", "no_tag=0.01"]``. Raises SettingsError."""
    faults = {}
    for text in texts:
        kind, _, rate = text.partition("=")
        try:
            faults[kind.strip()] = float(rate)
        except ValueError:
            raise SettingsError(f"--fault {text} should look like 503=0.05: a kind and its rate.") from None
    return faults


def parse_slot_changes(texts: Iterable[str]) -> dict[float, int]:
    """``["60=64"]``. Raises SettingsError."""
    changes = {}
    for text in texts:
        seconds, _, slots = text.partition("=")
        try:
            changes[float(seconds)] = int(slots)
        except ValueError:
            raise SettingsError(f"--slots-at {text} should look like 60=64: a time in seconds and slots.") from None
    return changes


def read_answers(path: Path) -> dict[str, Choice]:
    """JSON lines with question, answer and optional finish_reason. Raises SettingsError."""
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
