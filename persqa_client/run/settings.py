"""The settings of a run, and how they are made of flags."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from persqa_client.config import UNKNOWN_MODEL, Endpoint, Limits, Recipe, Sampling, UserPath, build_settings
from persqa_client.errors import SettingsError
from persqa_client.fetching.policy import AllowedHosts, FetchLimits
from persqa_client.inputs.shards import Shard, read_shard
from persqa_client.keys import is_key
from persqa_client.limits.shares import divide_limits
from persqa_client.stores.paths import ObjectPath, restore_object_path
from persqa_client.suggestions import find_similar_name
from persqa_client.validation import Settings, as_tuple

# Settings outside of Sampling, Limits and Recipe.
RUN_FLAGS = frozenset(
    {"image_root", "limit", "shard", "failed", "fresh", "retry_failed", "recheck_pictures"}
    | {"probes", "uuid", "metrics_port", "limits_share", "local_only"}
    | {"fetch", "fetch_allow", "fetch_timeout", "fetch_max_mb", "fetch_per_host"}
)
# Settings of the recipe that runs of earlier versions do not have in their identity.
ADDED_SETTINGS = (
    *("verify", "paths", "question", "system", "prompt", "answer_style", "steer", "row_layout"),
    "confine_images",
    *("tag_key", "tag_from", "describe", "describe_key", "reference", "reference_key", "box", "box_key", "box_format"),
)
DEFAULT_RECIPE = Recipe().model_dump(mode="json")
# Arguments of ``generate`` that describe its endpoints.
ENDPOINT_FLAGS = frozenset(
    {"base_url", "model", "api_key_env", "api_key_command", "header", "ca_cert", "client_cert", "endpoint"}
)
# Name of standard output, in place of an output file.
STANDARD_STREAM = "-"


def has_traces(output: Path) -> bool:
    """Whether a run has written the output, or has begun to."""
    return any(os.path.lexists(f"{output}{ending}") for ending in ("", ".partial", ".checkpoint"))


# ``auto``: if a probe shows that the server finds images by uuid. ``on``: without a probe.
UuidChoice = Literal["auto", "on", "off"]


def read_uuid_choice(value: object) -> object:
    """Accepts a boolean: True is ``auto``, False is ``off``."""
    return {True: "auto", False: "off"}[value] if isinstance(value, bool) else value


def restore_root(path: Path | None) -> Path | None:
    return None if path is None else restore_object_path(path)


# Whether the pictures of finished rows are compared: changes are reported, or the questions also asked again.
PictureChoice = Literal["off", "report", "ask"]


def check_allowed_hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    AllowedHosts.parse(hosts)
    return hosts


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
    # The part of an account's limits that ``limits`` already is; None for all.
    limits_share: Annotated[Shard | None, BeforeValidator(read_shard)] = None
    image_root: Annotated[UserPath | None, AfterValidator(restore_root)] = None
    # Additional folders for relative image paths, searched last. Not part of the run's identity.
    fallback_roots: tuple[Path, ...] = ()
    # Whether the input is a part of a larger one, whose other rows may be usable. Not part of the run's identity.
    is_part: bool = False
    # Maximum number of rows of the input, counted before the shard is taken.
    limit: Annotated[int, Field(ge=1)] | None = None
    # The part of the rows that this run processes; None for all.
    shard: Annotated[Shard | None, BeforeValidator(read_shard)] = None
    # The failure file of a run that writes to standard output.
    failed: UserPath | None = None
    fresh: bool = False
    retry_failed: bool = False
    recheck_pictures: Annotated[PictureChoice, BeforeValidator(read_picture_choice)] = "off"
    # Probe the server before the first row.
    probes: bool = True
    # Send each image once, then only its uuid.
    uuid: Annotated[UuidChoice, BeforeValidator(read_uuid_choice)] = "auto"
    # Whether nothing is asked of public addresses: neither endpoints, which have the same setting, nor pictures.
    local_only: bool = False
    # Whether pictures that rows name by URL are downloaded. None of these settings is part of the run's identity: a
    # picture is the same whoever downloads it.
    fetch: bool = False
    # Hosts and networks that are not public, from which pictures may be downloaded.
    fetch_allow: Annotated[tuple[str, ...], BeforeValidator(as_tuple), AfterValidator(check_allowed_hosts)] = ()
    # Seconds of one attempt; size of one picture; connections to one host.
    fetch_timeout: Annotated[float, Field(gt=0)] = 60.0
    fetch_max_mb: Annotated[int, Field(ge=1, le=1000)] = 50
    fetch_per_host: Annotated[int, Field(ge=1)] = 8
    # Port on the loopback interface at which Prometheus finds the counts of the run; 0 for a free one.
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] | None = None

    @model_validator(mode="after")
    def check_one_start(self) -> Self:
        if self.fresh and self.retry_failed:
            raise ValueError("--fresh discards the rows that --retry-failed would ask again; give only one of them")
        if self.fresh and self.recheck_pictures == "ask":
            raise ValueError("--fresh asks about all pictures, as --recheck-pictures does; give only one of them")
        return self

    @model_validator(mode="after")
    def check_fetch(self) -> Self:
        if self.fetch_allow and not self.fetch:
            raise ValueError("--fetch-allow says from where pictures may be downloaded; give --fetch, too")
        if self.local_only and isinstance(self.image_root, ObjectPath):
            raise ValueError(
                f"--local-only: {self.image_root} is in an object store; copy it to a disk of this machine"
            )
        if self.local_only and self.fetch and not self.fetch_allow:
            raise ValueError("--local-only downloads pictures only from hosts that --fetch-allow names; give it, too")
        return self

    @property
    def fetch_limits(self) -> FetchLimits:
        return FetchLimits(
            max_bytes=self.fetch_max_mb * 1_000_000,
            timeout=self.fetch_timeout,
            read_timeout=min(FetchLimits().read_timeout, self.fetch_timeout),
            per_host=self.fetch_per_host,
        )

    @model_validator(mode="after")
    def check_output_is_local(self) -> Self:
        for flag, path in (("--output", self.output), ("--failed", self.failed)):
            if path is not None and isinstance(url := restore_object_path(path), ObjectPath):
                raise ValueError(
                    f"{flag} {url}: the files of a run are on a disk of this machine; name one there, and write the "
                    f"finished answers to the store with persqa export -o {url.parent}"
                )
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
    def has_other_rows(self) -> bool:
        """Whether the rows of this run are some of those of an input, whose others may be usable."""
        return self.is_part or self.shard is not None

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return (self.endpoint, *self.further_endpoints)

    def with_endpoints(self, endpoints: Sequence[Endpoint]) -> RunSettings:
        first, *further = endpoints
        return self.model_copy(update={"endpoint": first, "further_endpoints": tuple(further)})

    @model_validator(mode="after")
    def check_endpoints_match(self) -> Self:
        urls = [endpoint.full_url for endpoint in self.endpoints]
        if repeated := [url for url in urls if urls.count(url) > 1]:
            raise ValueError(f"--base-url {repeated[0]} is given twice")
        if len(models := {endpoint.model for endpoint in self.endpoints} - {UNKNOWN_MODEL}) > 1:
            raise ValueError(f"all endpoints of a run must serve the same model, not {' and '.join(sorted(models))}")
        return self

    def identity(self) -> dict[str, Any]:
        """The settings that affect the data, by flag name. They must not change when a run is resumed."""
        recipe = self.recipe.model_dump(mode="json")
        for name in ADDED_SETTINGS:
            if recipe[name] == DEFAULT_RECIPE[name]:
                del recipe[name]
        shard = {} if self.shard is None else {"shard": str(self.shard)}
        return {
            "model": self.endpoint.model,
            "image-root": None if self.image_root is None else str(self.image_root),
            **{name.replace("_", "-"): value for name, value in self.sampling.model_dump().items()},
            **{name.replace("_", "-"): value for name, value in recipe.items()},
            **shard,
        }


def as_one_path(inputs: Sequence[str | Path]) -> Path | None:
    return Path(inputs[0]) if len(inputs) == 1 else None


def unknown_setting_error(name: str, known: Iterable[str]) -> SettingsError:
    similar = find_similar_name(name, known)
    meant = "" if similar is None else f"; did you mean {similar.replace('-', '_')}?"
    return SettingsError(f"{name} is not a setting of a run{meant or '.'}")


def read_limits_share(value: object) -> Shard | None:
    """Raises SettingsError."""
    try:
        return read_shard(value)
    except ValueError as error:
        raise SettingsError(f"--limits-share: {error}.") from error


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
    share = read_limits_share(left.pop("limits_share", None))
    if share is not None:
        built["limits"] = divide_limits(cast(Limits, built["limits"]), *share)
    first, *further = endpoints
    return build_settings(
        RunSettings,
        input=input,
        output=output,
        endpoint=first,
        further_endpoints=tuple(further),
        limits_share=share,
        **built,
        **left,
    )
