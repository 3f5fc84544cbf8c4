"""Settings: what a person can choose, checked once, frozen afterwards. Pure (the environment is passed in)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from persqa_client.errors import RunStopped, SettingsError

ROUTE = re.compile(r"(/chat)?/completions$")
STEERING_FIELDS = frozenset({"id", "question", "tag", "category", "language"})
"""Fields of a row that say how it is asked about."""
RUN_FIELDS = frozenset({"model", "messages", "stream", "n", "seed"})
DEFAULT_MAX_PIXELS = 1280 * 28 * 28
"""1,003,520: 1,280 picture tokens of 28x28 pixels, the upper end that Qwen's own model cards suggest."""


class Settings(BaseModel):
    """Base of the settings: frozen, and an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Kind = TypeVar("Kind", bound=Settings)


def check_base_url(url: str) -> str:
    url = url.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        well_formed = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        # An IPv6 address without its bracket, a port that is no number.
        well_formed = False
    if not well_formed:
        raise ValueError("must look like http://HOST:PORT/v1")
    if parts.username or parts.password:
        raise ValueError("must not hold a user name or password; use --api-key-env instead")
    if parts.query or parts.fragment:
        raise ValueError("must end with its path, without ? or #")
    if (root := ROUTE.sub("", url)) != url:
        raise ValueError(f"must be the root of the API, {root}, and not one of its routes")
    return url


def is_loopback(url: str) -> bool:
    """Whether the URL names this machine; proxies from the environment are not asked for it."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Endpoint(Settings):
    """Where the model answers. The key is shown nowhere, ``repr`` included.

    >>> Endpoint(base_url="http://127.0.0.1:8000/v1", model="Qwen/Qwen2.5-VL-3B-Instruct")
    """

    base_url: Annotated[str, AfterValidator(check_base_url)]
    model: Annotated[str, Field(min_length=1)]
    api_key: SecretStr | None = None
    exit_error: Annotated[Callable[[], RunStopped | None] | None, Field(exclude=True, repr=False)] = None
    """For a server that this program has started itself: why it is gone for good, None while it is there. Whoever finds
    it silent asks this, and waits for it no longer. One that runs elsewhere may come back."""

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).netloc

    @property
    def root_url(self) -> str:
        """The server without ``/v1``: where vLLM has /health, /version and /metrics."""
        return self.base_url.removesuffix("/v1")


def check_extra_body(fields: dict[str, Any]) -> dict[str, Any]:
    """Further request fields: what the run itself sets is not among them, and what is sent is what was given."""
    if taken := fields.keys() & RUN_FIELDS:
        raise ValueError(f"can't set {min(taken)}: the run sets that itself")
    try:
        as_sent = orjson.loads(orjson.dumps(fields))
    except TypeError as error:
        raise ValueError(f"can't be sent as JSON ({error})") from error
    if as_sent != fields:
        name = next(name for name in fields if as_sent[name] != fields[name])
        raise ValueError(f"can't be sent as JSON (the value of {name} would become another)")
    return fields


class Sampling(Settings):
    """How the model draws its answers. Sent whole, so that a server's own defaults never mix in."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.9
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] = 512
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] = 0
    extra_body: Annotated[dict[str, Any], AfterValidator(check_extra_body)] = {}


CONCURRENCY_CEILING = 4096


def check_concurrency(value: object) -> object:
    if value == "auto":
        return value
    try:
        number = int(value) if isinstance(value, int | str) and not isinstance(value, bool) else 0
    except ValueError:
        number = 0
    if not 1 <= number <= CONCURRENCY_CEILING:
        raise ValueError(f"must be auto, or a number from 1 to {CONCURRENCY_CEILING}")
    return number


class Limits(Settings):
    """How hard the endpoint is worked. Times in seconds; none of these changes what comes out."""

    concurrency: Annotated[int | Literal["auto"], BeforeValidator(check_concurrency)] = "auto"
    """Requests at once; ``auto`` finds out how many the server can use, up to ``max_concurrency``."""
    max_concurrency: Annotated[int, Field(ge=1, le=CONCURRENCY_CEILING)] = 512
    rps: Annotated[float, Field(gt=0)] | None = None
    rpm: Annotated[float, Field(gt=0)] | None = None
    tpm: Annotated[int, Field(ge=1)] | None = None
    """Tokens a minute, pictures and the longest answer included; corrected by what the server counts."""
    timeout: Annotated[float, Field(gt=0)] = 120.0
    """Wall time of one attempt, from sending to the last byte."""
    max_attempts: Annotated[int, Field(ge=1)] = 5
    max_outage: Annotated[float, Field(ge=0)] = 600.0
    max_inflight_mb: Annotated[int, Field(ge=1)] = 256
    """Input lines and pictures held at once; one row may exceed it alone."""

    @property
    def concurrency_cap(self) -> int:
        """A number that requests at once never exceed."""
        return self.max_concurrency if self.concurrency == "auto" else self.concurrency

    @property
    def max_inflight_bytes(self) -> int:
        """What rows under way may hold."""
        return self.max_inflight_mb * 1024 * 1024 - self.image_cache_bytes

    @property
    def image_cache_bytes(self) -> int:
        """What of the budget is for pictures that may come again."""
        return self.max_inflight_mb * 1024 * 1024 // 4


class Recipe(Settings):
    """What is asked, how it is judged and how it is written: with the sampling, all that decides the data."""

    image_key: Annotated[str, Field(min_length=1)] = "image"
    output_key: Annotated[str, Field(min_length=1)] = "pers_qa"
    tag: str = "mam"
    bank: Annotated[str, Field(min_length=1)] = "human"
    """One of the package's banks by its category, or a file of one's own."""
    language: Literal["en", "zh"] | None = None
    """Of the questions that are drawn; None: English, or a file's own language."""
    questions: Annotated[int, Field(ge=1, le=1000)] = 1
    """Different ones for each row, an output line each."""
    sensitive: bool = False
    """Whether questions about skin, age, body and the like are drawn, too."""
    without: tuple[str, ...] = ()
    """What pictures lack (``face``, ``eyes`` …): no question that presupposes it is drawn."""
    names: Path | None = None
    """A file of real names, one on a line, that no answer may have."""
    strategy: Literal["auto", "direct", "constrain", "prefill", "surrogate"] = "auto"
    """``auto``: ``constrain`` where a probe shows that the server obeys, else ``direct``."""
    max_pixels: Annotated[int, Field(ge=28 * 28)] = DEFAULT_MAX_PIXELS
    output_style: Literal["qa", "answer"] = "qa"
    details: bool = False

    @model_validator(mode="after")
    def keys_differ(self) -> Self:
        taken = {self.image_key, "error", "line", "conversation", *STEERING_FIELDS}
        if self.output_key in taken:
            raise ValueError(f"--output-key {self.output_key} is a field that rows already use; choose another name")
        return self


class RunSettings(Settings):
    """One run of the toolkit. ``output`` None keeps the records in memory instead of files."""

    input: Path | None
    output: Path | None
    endpoint: Endpoint
    further_endpoints: tuple[Endpoint, ...] = ()
    """More endpoints of the same model, which share the work with the first."""
    sampling: Sampling = Sampling()
    limits: Limits = Limits()
    recipe: Recipe = Recipe()
    image_root: Path | None = None
    fallback_roots: tuple[Path, ...] = ()
    """Where relative paths are looked up last; where these lie decides nothing."""
    limit: Annotated[int, Field(ge=1)] | None = None
    fresh: bool = False
    retry_failed: bool = False
    probes: bool = True
    """Whether the server is tried out before the first row."""
    uuid: bool = True
    """Whether a picture is sent once, and then named, where the server was found to keep it."""

    @model_validator(mode="after")
    def strategy_can_be_known(self) -> Self:
        if not self.probes and self.recipe.strategy in ("constrain", "prefill"):
            raise ValueError(f"--strategy {self.recipe.strategy} needs the probes, which show how it can be")
        return self

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return (self.endpoint, *self.further_endpoints)

    @model_validator(mode="after")
    def endpoints_fit_together(self) -> Self:
        urls = [endpoint.base_url for endpoint in self.endpoints]
        if twice := [url for url in urls if urls.count(url) > 1]:
            raise ValueError(f"--base-url {twice[0]} is given twice")
        if len(models := {endpoint.model for endpoint in self.endpoints}) > 1:
            raise ValueError(f"all endpoints of a run must serve one model, not {' and '.join(sorted(models))}")
        return self

    def identity(self) -> dict[str, Any]:
        """The settings that decide the data, by flag name: a resumed run must be given the same."""
        return {
            "model": self.endpoint.model,
            "image-root": None if self.image_root is None else str(self.image_root),
            **{name.replace("_", "-"): value for name, value in self.sampling.model_dump().items()},
            **{name.replace("_", "-"): value for name, value in self.recipe.model_dump(mode="json").items()},
        }


def explain(error: ValidationError) -> str:
    """One sentence for the first thing that is wrong with the settings, by the name of its flag."""
    first = error.errors(include_url=False, include_input=False)[0]
    path = [str(part) for part in first["loc"] if isinstance(part, str)]
    reason = first["msg"].removeprefix("Value error, ")
    reason = reason[0].lower() + reason[1:]
    return f"--{path[-1].replace('_', '-')}: {reason}." if path else f"{reason[0].upper()}{reason[1:]}."


def build_settings(kind: type[Kind], **values: Any) -> Kind:
    """Makes settings from values of outside; what is wrong comes as one SettingsError."""
    try:
        return kind(**values)
    except ValidationError as error:
        raise SettingsError(explain(error)) from error
