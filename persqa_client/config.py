"""Settings of a run."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import orjson
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    model_validator,
)

from persqa_client.errors import RunStopped, SettingsError
from persqa_client.keys import is_key
from persqa_client.settings_base import Settings
from persqa_client.suggestions import find_similar_name
from persqa_client.urls import add_query, expand_home, parse_base_url

HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
# Headers that say how the request and its response are framed and encoded.
OWN_HEADERS = frozenset(
    {"accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host"}
    | {"keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
# Row fields that affect the question.
STEERING_FIELDS = frozenset({"id", "question", "tag", "category", "language"})
# Request fields that --extra-body must not set.
RESERVED_REQUEST_FIELDS = frozenset({"model", "messages", "stream", "n", "seed"})
# 1,280 image tokens of 28x28 pixels, the maximum that Qwen's model cards recommend.
DEFAULT_MAX_PIXELS = 1280 * 28 * 28
CONCURRENCY_CEILING = 4096
# In place of an output file.
STANDARD_STREAM = "-"


Kind = TypeVar("Kind", bound=Settings)


def check_header_name(name: str) -> str:
    if not HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a header")
    if name.lower() in OWN_HEADERS:
        raise ValueError(f"{name} is set by the client itself")
    return name


def check_header_value(value: SecretStr) -> SecretStr:
    if not HEADER_VALUE.fullmatch(value.get_secret_value()):
        raise ValueError("the value is empty, or contains a line break or a non-ASCII character")
    return value


def read_path(value: object) -> object:
    """An empty one, perhaps from a variable that is not set, would be the working directory."""
    if isinstance(value, str) and not value.strip():
        raise ValueError("must not be empty; name a file, or a folder (. for the working directory)")
    return expand_home(value) if isinstance(value, str | Path) else value


def has_traces(output: Path) -> bool:
    """Whether a run has written the output, or has begun to."""
    return any(os.path.lexists(f"{output}{ending}") for ending in ("", ".partial", ".checkpoint"))


def expand_bank(name: str) -> str:
    return str(expand_home(name)) if name.startswith("~") else name


UserPath = Annotated[Path, BeforeValidator(read_path)]


HeaderName = Annotated[str, AfterValidator(check_header_name)]
HeaderSecret = Annotated[SecretStr, AfterValidator(check_header_value)]


class Endpoint(Settings):
    """``repr`` and files never contain the API key and the values of headers.

    >>> Endpoint(base_url="http://127.0.0.1:8000/v1", model="Qwen/Qwen2.5-VL-3B-Instruct")
    """

    base_url: str
    model: Annotated[str, Field(min_length=1)]
    api_key: HeaderSecret | None = None
    # Command whose output is the key, for keys that expire.
    api_key_command: Annotated[str | None, Field(repr=False)] = None
    # Sent with each request, such as Azure's api-key.
    headers: Mapping[HeaderName, HeaderSecret] = {}
    # The part of ``base_url`` after its question mark.
    query: str = ""
    # PEM files: certificates to trust instead of the system's; the client's own certificate and its key.
    ca_cert: UserPath | None = None
    client_cert: UserPath | None = None
    client_key: UserPath | None = None
    # For a server started by this program: returns its exit error, or None while it runs. A run does not wait for such
    # a server to recover.
    exit_error: Annotated[Callable[[], RunStopped | None] | None, Field(exclude=True, repr=False)] = None

    @model_validator(mode="before")
    @classmethod
    def split_query(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(url := values.get("base_url"), str):
            return values
        try:
            base_url, query = parse_base_url(url)
        except ValueError as error:
            raise ValueError(f"--base-url: {error}") from error
        return {**values, "base_url": base_url, "query": query or values.get("query", "")}

    @property
    def root_url(self) -> str:
        """For vLLM's /health, /version and /metrics."""
        return self.base_url.removesuffix("/v1")

    @property
    def full_url(self) -> str:
        """As given, with the query."""
        return add_query(self.base_url, self.query)


def check_extra_body(fields: dict[str, Any]) -> dict[str, Any]:
    if reserved := fields.keys() & RESERVED_REQUEST_FIELDS:
        raise ValueError(f"can't set {min(reserved)}: the run sets it itself")
    try:
        as_sent = orjson.loads(orjson.dumps(fields))
    except TypeError as error:
        raise ValueError(f"can't be sent as JSON ({error})") from error
    if as_sent != fields:
        name = next(name for name in fields if as_sent[name] != fields[name])
        raise ValueError(f"can't be sent as JSON: the value of {name} would change")
    return fields


class Sampling(Settings):
    """All parameters are sent, so that server defaults do not apply."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.9
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] = 512
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] = 0
    extra_body: Annotated[dict[str, Any], AfterValidator(check_extra_body)] = Field(default_factory=dict)


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
    """Limits do not affect the answers. Times are in seconds."""

    # Concurrent requests. "auto" searches for the best number, up to max_concurrency.
    concurrency: Annotated[int | Literal["auto"], BeforeValidator(check_concurrency)] = "auto"
    max_concurrency: Annotated[int, Field(ge=1, le=CONCURRENCY_CEILING)] = 512
    rps: Annotated[float, Field(gt=0)] | None = None
    rpm: Annotated[float, Field(gt=0)] | None = None
    # Tokens per minute. Requests are estimated, including images and max_tokens; responses correct the estimate.
    tpm: Annotated[int, Field(ge=1)] | None = None
    # Time of one attempt, until the last byte of the response.
    timeout: Annotated[float, Field(gt=0)] = 120.0
    max_attempts: Annotated[int, Field(ge=1)] = 5
    max_outage: Annotated[float, Field(ge=0)] = 600.0
    # Rows in a row whose answers fail the checks, after which the run stops unless an answered row is answered again.
    # 0: such rows fail.
    max_bad_answers: Annotated[int, Field(ge=0)] = 20
    # Rows at the beginning, none of which can be asked about, after which the run stops. 0: such rows fail.
    max_bad_rows: Annotated[int, Field(ge=0)] = 200
    # Memory for input lines and images in progress. A single row may exceed it.
    max_inflight_mb: Annotated[int, Field(ge=1)] = 256

    @property
    def concurrency_cap(self) -> int:
        return self.max_concurrency if self.concurrency == "auto" else self.concurrency

    @property
    def max_inflight_bytes(self) -> int:
        return self.max_inflight_mb * 1024 * 1024 - self.image_cache_bytes

    @property
    def image_cache_bytes(self) -> int:
        return self.max_inflight_mb * 1024 * 1024 // 4


VerifyChoice = Literal["doubtful", "all", "off"]


class Recipe(Settings):
    """How questions are asked, checked and written. With Sampling, these settings determine the data."""

    image_key: Annotated[str, Field(min_length=1)] = "image"
    output_key: Annotated[str, Field(min_length=1)] = "pers_qa"
    tag: str = "mam"
    # Category of a built-in question bank, or path of a bank file.
    bank: Annotated[str, Field(min_length=1), AfterValidator(expand_bank)] = "human"
    # None means English, or the language of the bank file.
    language: Literal["en", "zh"] | None = None
    # Questions per row, one output line each.
    questions: Annotated[int, Field(ge=1, le=1000)] = 1
    # Include questions about skin, age and body.
    sensitive: bool = False
    # Leave out questions about these (face, eyes, ...).
    without: tuple[str, ...] = ()
    # File of real names that answers must not contain, one per line.
    names: UserPath | None = None
    # "auto" is "constrain" if the server supports it, else "direct".
    strategy: Literal["auto", "direct", "constrain", "prefill", "surrogate"] = "auto"
    max_pixels: Annotated[int, Field(ge=28 * 28)] = DEFAULT_MAX_PIXELS
    output_style: Literal["qa", "answer"] = "qa"
    # How the rows' image paths are written. None: as given in rows of the user's own; others resolve from the output.
    paths: Literal["as-given", "absolute", "relative"] | None = None
    details: bool = False
    # Which accepted answers the model is asked about again, with the picture: those with a doubt, all, or none.
    verify: VerifyChoice = "off"

    @model_validator(mode="after")
    def check_output_key(self) -> Self:
        taken = {self.image_key, "error", "line", "conversation", *STEERING_FIELDS}
        if self.output_key in taken:
            raise ValueError(f"--output-key {self.output_key} is a field of the input rows; choose another name")
        if self.details and self.image_key == f"{self.output_key}_meta":
            raise ValueError(f"--image-key {self.image_key} is what --details adds; choose another --output-key")
        return self

    @model_validator(mode="after")
    def check_image_key(self) -> Self:
        if self.image_key == "error":
            raise ValueError("--image-key error: the failure file has its reasons in error; rename the rows' field")
        if self.image_key in STEERING_FIELDS:
            raise ValueError(
                f"--image-key {self.image_key} is the field of a row's {self.image_key}; name the field with the images"
            )
        return self


# ``auto``: if a probe shows that the server finds images by uuid. ``on``: without a probe.
UuidChoice = Literal["auto", "on", "off"]


def read_uuid_choice(value: object) -> object:
    """The choice was a flag before: true means ``auto``."""
    return {True: "auto", False: "off"}[value] if isinstance(value, bool) else value


# Whether the pictures of finished rows are looked at: changed ones are reported, or also asked about again.
PictureChoice = Literal["off", "report", "ask"]


def read_picture_choice(value: object) -> object:
    return {True: "ask", False: "off"}[value] if isinstance(value, bool) else value


class RunSettings(Settings):
    """Picklable. With ``output`` None the results are kept in memory."""

    # None for several inputs, and for rows in memory.
    input: Path | None
    output: UserPath | None
    endpoint: Endpoint
    # Further endpoints with the same model.
    further_endpoints: tuple[Endpoint, ...] = ()
    sampling: Sampling = Sampling()
    limits: Limits = Limits()
    recipe: Recipe = Recipe()
    image_root: UserPath | None = None
    # Additional folders for relative image paths, searched last. Not part of the run's identity.
    fallback_roots: tuple[Path, ...] = ()
    # Whether the input is a part of a larger one, whose other rows may be usable. Not part of the run's identity.
    is_part: bool = False
    limit: Annotated[int, Field(ge=1)] | None = None
    # The failure file of a run that writes to standard output.
    failed: UserPath | None = None
    fresh: bool = False
    retry_failed: bool = False
    recheck_pictures: Annotated[PictureChoice, BeforeValidator(read_picture_choice)] = "off"
    # Probe the server before the first row.
    probes: bool = True
    # Send each image once, then only its uuid.
    uuid: Annotated[UuidChoice, BeforeValidator(read_uuid_choice)] = "auto"

    @model_validator(mode="after")
    def check_one_start(self) -> Self:
        if self.fresh and self.retry_failed:
            raise ValueError("--fresh discards the rows that --retry-failed would ask again; give only one of them")
        if self.fresh and self.recheck_pictures == "ask":
            raise ValueError("--fresh asks about all pictures, as --recheck-pictures does; give only one of them")
        return self

    @model_validator(mode="after")
    def check_output_is_no_key(self) -> Self:
        for flag, path in (("--output", self.output), ("--failed", self.failed)):
            if path is not None and is_key(path.name) and not has_traces(path):
                raise ValueError(
                    f"{flag} is the name of a file, and what is given may be a key; give a file the ending .jsonl"
                )
        return self

    @property
    def is_stream(self) -> bool:
        """Whether answers are written to standard output."""
        return self.output is not None and str(self.output) == STANDARD_STREAM

    @model_validator(mode="after")
    def check_stream(self) -> Self:
        if str(self.failed) == STANDARD_STREAM:
            raise ValueError("--failed takes the name of a file; standard output has the answered rows")
        if not self.is_stream:
            if self.failed is not None:
                raise ValueError("--failed is for -o - alone; an output file gets its failed rows in a file beside it")
        elif self.failed is None:
            raise ValueError("-o - writes answered rows to standard output; name a file for the others with --failed")
        elif self.fresh or self.retry_failed or self.recheck_pictures != "off":
            name = "--fresh" if self.fresh else "--retry-failed" if self.retry_failed else "--recheck-pictures"
            raise ValueError(f"{name} needs an output file; with -o - each run starts from the beginning")
        elif self.recipe.paths == "relative":
            raise ValueError("--paths relative needs an output file, to whose folder the paths are relative")
        return self

    @model_validator(mode="after")
    def check_strategy_is_probed(self) -> Self:
        if not self.probes and self.recipe.strategy in ("constrain", "prefill"):
            raise ValueError(f"--strategy {self.recipe.strategy} needs the probes, to find out how the server does it")
        return self

    @model_validator(mode="after")
    def check_tpm_allows_a_request(self) -> Self:
        tpm, answer = self.limits.tpm, self.sampling.max_tokens
        if tpm is not None and tpm < answer:
            raise ValueError(
                f"--tpm {tpm} is less than one request: its longest answer alone counts {answer} tokens "
                "(--max-tokens). Raise --tpm or lower --max-tokens"
            )
        return self

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return (self.endpoint, *self.further_endpoints)

    @model_validator(mode="after")
    def check_endpoints_match(self) -> Self:
        urls = [endpoint.full_url for endpoint in self.endpoints]
        if repeated := [url for url in urls if urls.count(url) > 1]:
            raise ValueError(f"--base-url {repeated[0]} is given twice")
        if len(models := {endpoint.model for endpoint in self.endpoints}) > 1:
            raise ValueError(f"all endpoints of a run must serve the same model, not {' and '.join(sorted(models))}")
        return self

    def identity(self) -> dict[str, Any]:
        """The settings that affect the data, by flag name. They must not change when a run is resumed."""
        recipe = self.recipe.model_dump(mode="json")
        if self.recipe.verify == "off":
            del recipe["verify"]  # runs of earlier versions do not have it
        if self.recipe.paths is None:
            del recipe["paths"]
        return {
            "model": self.endpoint.model,
            "image-root": None if self.image_root is None else str(self.image_root),
            **{name.replace("_", "-"): value for name, value in self.sampling.model_dump().items()},
            **{name.replace("_", "-"): value for name, value in recipe.items()},
        }


def build_settings(kind: type[Kind], **values: Any) -> Kind:
    """``kind(**values)`` for values that a type checker does not know. Raises SettingsError for invalid values."""
    return kind(**values)


def as_one_path(inputs: Sequence[str | Path]) -> Path | None:
    return Path(inputs[0]) if len(inputs) == 1 else None


# Settings outside of Sampling, Limits and Recipe.
RUN_FLAGS = frozenset({"image_root", "limit", "failed", "fresh", "retry_failed", "recheck_pictures", "probes", "uuid"})


# Those of ``generate`` that make its endpoints.
ENDPOINT_FLAGS = frozenset({"base_url", "model", "api_key_env", "api_key_command", "header", "endpoint"})


def unknown_setting_error(name: str, known: Iterable[str]) -> SettingsError:
    similar = find_similar_name(name, known)
    meant = "" if similar is None else f"; did you mean {similar.replace('-', '_')}?"
    return SettingsError(f"{name} is not a setting of a run{meant or '.'}")


def make_run_settings(
    endpoints: Sequence[Endpoint],
    flags: Mapping[str, Any],
    *,
    input: Path | None = None,
    output: str | Path | None = None,
    sampling: Sampling | None = None,
    limits: Limits | None = None,
    recipe: Recipe | None = None,
) -> RunSettings:
    """``flags`` are named like those of ``persqa run``, with underscores.

    Raises SettingsError for an invalid value, and for an unknown name.
    """
    if not endpoints:
        raise SettingsError("Give at least one endpoint.")
    groups: dict[str, type[Settings]] = {"sampling": Sampling, "limits": Limits, "recipe": Recipe}
    given = {"sampling": sampling, "limits": limits, "recipe": recipe}
    left = dict(flags)
    values = {
        group: {name: left.pop(name) for name in kind.model_fields if name in left} for group, kind in groups.items()
    }
    if unknown := left.keys() - RUN_FLAGS:
        known = {name for kind in groups.values() for name in kind.model_fields}
        raise unknown_setting_error(min(unknown), known | RUN_FLAGS | ENDPOINT_FLAGS)
    built = {group: given[group] or build_settings(kind, **values[group]) for group, kind in groups.items()}
    first, *further = endpoints
    return build_settings(
        RunSettings,
        input=input,
        output=output,
        endpoint=first,
        further_endpoints=tuple(further),
        **built,
        **left,
    )
