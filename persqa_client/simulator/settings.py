"""What a simulated endpoint is like: its models, its pace, its limits and its faults. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from persqa_client.errors import SettingsError
from persqa_client.simulator.faults import KINDS, Choice

Shape = Literal["vllm", "hosted"]

DEFAULT_MODEL = "persqa-simulator"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimSettings:
    """One simulated endpoint. Raises SettingsError where a value makes no sense.

    SimSettings(latency=0.2, slots=64, faults={"503": 0.05, "no_tag": 0.02})
    SimSettings(shape="hosted", api_key="secret", reject=("seed",))
    SimSettings(script=("ok", "reset", "429"))
    """

    models: tuple[str, ...] = (DEFAULT_MODEL,)
    """Names it answers to, the first one for requests that name none."""
    latency: float = 0.05
    """Seconds of service, after the wait for a slot."""
    jitter: float = 0.0
    """Service takes latency * (1 ± jitter), evenly spread; 0 to 1."""
    slots: int = 32
    """Requests served at once; the rest wait in order."""
    slots_at: Mapping[float, int] = field(default_factory=dict)
    """How many slots there are from a time on, in seconds after the first chat request."""
    max_queued: int | None = None
    """Requests that may wait; beyond that the answer is 503."""
    link_mbps: float | None = None
    """Megabits a second of the one link that all request bodies pass."""
    api_key: str | None = field(default=None, repr=False)
    max_model_len: int = 8192
    limit_images: int = 4
    max_picture_tokens: int = 1280
    """A larger picture counts as if scaled down to this many 28x28 patches (the most that Qwen advises)."""
    guided: bool = False
    """Obey guided_regex, guided_choice and guided_json, as vLLM did before 0.12, and ignore structured_outputs."""
    blind: bool = False
    """Take pictures and drop them without a word, as text-only servers do: no tokens, answers without them."""
    shape: Shape = "vllm"
    reject: tuple[str, ...] = ()
    """Further parameters that the hosted shape refuses."""
    partial: bool = False
    """In the hosted shape: go on from a last message that is marked ``partial``, as Alibaba Model Studio does."""
    faults: Mapping[str, float] = field(default_factory=dict)
    """How often each kind of fault comes (simulator/faults.py lists them), 0 to 1 in all."""
    fault_seed: int = 0
    retry_after: float = 1.0
    """Seconds that a 429 names; fractions are sent as they are."""
    script: tuple[str, ...] | list[str] = ()
    """Faults of the first chat requests, in order, "ok" for none; afterwards ``faults`` decide."""
    answers: Mapping[str, Choice] = field(default_factory=dict, repr=False)
    """What is answered to these questions, whatever the pictures show; others are answered as always."""
    cached_pictures: int = 16384
    """Pictures (by content) and uuids that are remembered, each; the oldest go first."""
    keep_pictures: Path | None = None
    """Folder for the bytes of each distinct picture that arrives, as NNNNN.ext by its declared type."""

    def __post_init__(self) -> None:
        _positive(slots=self.slots, max_model_len=self.max_model_len, max_picture_tokens=self.max_picture_tokens)
        _positive(cached_pictures=self.cached_pictures)
        for seconds, slots in self.slots_at.items():
            _positive(slots_at=slots)
            _not_negative(slots_at=seconds)
        _not_negative(latency=self.latency, limit_images=self.limit_images, retry_after=self.retry_after)
        if not self.models or not all(self.models):
            raise SettingsError("A simulator needs a model name; give --model NAME or leave it out.")
        if not 0 <= self.jitter <= 1:
            raise SettingsError(f"jitter is {self.jitter}, but must lie between 0 and 1.")
        if self.max_queued is not None:
            _not_negative(max_queued=self.max_queued)
        if self.link_mbps is not None:
            _positive(link_mbps=self.link_mbps)
        if self.shape not in ("vllm", "hosted"):
            raise SettingsError(f"shape is {self.shape!r}, but must be vllm or hosted.")
        _known((*self.faults, *(kind for kind in self.script if kind != "ok")))
        _rates(self.faults)


def read_faults(texts: Iterable[str]) -> dict[str, float]:
    """Read ``KIND=RATE`` as the command line has it, such as ``["503=0.05", "no_tag=0.01"]``; raises SettingsError."""
    faults = {}
    for text in texts:
        kind, _, rate = text.partition("=")
        try:
            faults[kind.strip()] = float(rate)
        except ValueError:
            raise SettingsError(f"--fault {text} should look like 503=0.05, a kind and how often it comes.") from None
    return faults


def read_slots(texts: Iterable[str]) -> dict[float, int]:
    """Read ``SECONDS=SLOTS`` as the command line has it, such as ``["60=64"]``; raises SettingsError."""
    changes = {}
    for text in texts:
        seconds, _, slots = text.partition("=")
        try:
            changes[float(seconds)] = int(slots)
        except ValueError:
            raise SettingsError(f"--slots-at {text} should look like 60=64, a time in seconds and slots.") from None
    return changes


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise SettingsError(f"{name} is {value}, but must be more than 0.")


def _not_negative(**values: float) -> None:
    for name, value in values.items():
        if not value >= 0:
            raise SettingsError(f"{name} is {value}, but can't be less than 0.")


def _known(kinds: Iterable[str]) -> None:
    for kind in kinds:
        if kind not in KINDS:
            raise SettingsError(f"There is no fault {kind!r}; the kinds are {', '.join(KINDS)}.")


def _rates(faults: Mapping[str, float]) -> None:
    for kind, rate in faults.items():
        if not 0 <= rate <= 1:
            raise SettingsError(f"The fault {kind} has the rate {rate}, but rates lie between 0 and 1.")
    if sum(faults.values()) > 1 + 1e-9:
        raise SettingsError(f"The rates of all faults add up to {sum(faults.values()):g}, but can't exceed 1.")
