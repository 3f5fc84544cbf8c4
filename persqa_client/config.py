"""Settings of an endpoint, of requests, and of how questions are asked. Invalid values raise SettingsError, in the
words of usage errors: by the names of arguments if the class is called, by those of flags in ``build_settings``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints, model_validator

from persqa_client.errors import RunStopped, SettingsError
from persqa_client.types import (
    AnswerStyle,
    BoxFormat,
    BoxMode,
    OutputStyle,
    QuestionLanguage,
    RowLayoutChoice,
    SteeringText,
)
from persqa_client.urls import add_query, expand_home, parse_base_url
from persqa_client.validation import Settings as Settings
from persqa_client.validation import (
    as_tuple,
    check_extra_body,
    check_header_name,
    check_header_value,
    name_fields,
    read_duration,
    read_path,
    read_picture_setting,
)
from persqa_client.validation import build_settings as build_settings
from persqa_client.validation import describe_reason as describe_reason

# Row fields that affect the question.
STEERING_FIELDS = frozenset({"id", "question", "tag", "category", "language"})
# 1,280 image tokens of 28x28 pixels, the maximum that Qwen's model cards recommend.
DEFAULT_MAX_PIXELS = 1280 * 28 * 28
CONCURRENCY_CEILING = 4096
UNKNOWN_MODEL = "?"  # until the endpoint is asked for it


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
    # If it is missing, the only model in the endpoint's list is used. The list is read before the first question.
    model: Annotated[str, Field(min_length=1)] = UNKNOWN_MODEL
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
    # Whether nothing is sent to public addresses (``--local-only``). An HTTP client of the caller's is not restricted.
    local_only: Annotated[bool, Field(exclude=True, repr=False)] = False
    # For a server started by this program: returns its exit error, or None while it runs. A run does not wait for such
    # a server to recover.
    exit_error: Annotated[Callable[[], RunStopped | None] | None, Field(exclude=True, repr=False)] = None

    if TYPE_CHECKING:
        # What is accepted, which is more than what is kept.
        def __init__(
            self,
            *,
            base_url: str,
            model: str | None = None,
            api_key: str | SecretStr | None = None,
            api_key_command: str | None = None,
            headers: Mapping[str, str | SecretStr] = {},
            query: str = "",
            ca_cert: str | Path | None = None,
            client_cert: str | Path | None = None,
            client_key: str | Path | None = None,
            local_only: bool = False,
            exit_error: Callable[[], RunStopped | None] | None = None,
        ) -> None: ...

    @model_validator(mode="before")
    @classmethod
    def read_address(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(url := values.get("base_url"), str):
            return values
        if values.get("model", "") is None:
            values = {**values, "model": UNKNOWN_MODEL}
        try:
            base_url, query = parse_base_url(url)
        except ValueError as error:
            raise ValueError(f"--base-url: {error}") from error
        return {**values, "base_url": base_url, "query": query or values.get("query", "")}

    @property
    def root_url(self) -> str:
        """The URL below which vLLM has /health, /version and /metrics."""
        return self.base_url.removesuffix("/v1")

    @property
    def full_url(self) -> str:
        """The URL as given, with the query."""
        return add_query(self.base_url, self.query)


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


class Price(NamedTuple):
    """Price of a million tokens of each kind."""

    prompt: float
    completion: float


class Limits(Settings):
    """Limits do not affect the answers. Times are in seconds."""

    # Concurrent requests. "auto" searches for the best number, up to max_concurrency.
    concurrency: Annotated[int | Literal["auto"], BeforeValidator(check_concurrency)] = "auto"
    max_concurrency: Annotated[int, Field(ge=1, le=CONCURRENCY_CEILING)] = 512
    rps: Annotated[float, Field(gt=0)] | None = None
    rpm: Annotated[float, Field(gt=0)] | None = None
    # Tokens per minute. Requests are estimated, including images and max_tokens; responses correct the estimate.
    tpm: Annotated[int, Field(ge=1)] | None = None
    # The folder through which processes of this machine share these limits; None for limits of this process alone.
    share_limits: UserPath | None = None
    # Time of one attempt, until the last byte of the response.
    timeout: Annotated[float, Field(gt=0)] = 120.0
    max_attempts: Annotated[int, Field(ge=1)] = 5
    max_outage: Annotated[float, Field(ge=0)] = 600.0
    # Rows in a row whose answers fail the checks, after which the run stops unless an answered row is answered again.
    # 0: such rows fail.
    max_bad_answers: Annotated[int, Field(ge=0)] = 20
    # Number of unusable rows at the beginning after which the run stops. 0: such rows fail.
    max_bad_rows: Annotated[int, Field(ge=0)] = 200
    # The budget: reaching it stops the run, which can be resumed. Tokens and cost are those of the whole run, failures
    # and time those of one process.
    max_tokens_total: Annotated[int, Field(ge=1)] | None = None
    max_cost: Annotated[float, Field(gt=0)] | None = None
    max_failures: Annotated[int, Field(ge=1)] | None = None
    max_wall: Annotated[float, Field(gt=0), BeforeValidator(read_duration)] | None = None
    # Prices of a million tokens, in any currency.
    price_in: Annotated[float, Field(ge=0)] | None = None
    price_out: Annotated[float, Field(ge=0)] | None = None
    # Memory for input lines and images in progress. A single row may exceed it.
    max_inflight_mb: Annotated[int, Field(ge=1)] = 256

    @model_validator(mode="after")
    def check_both_prices(self) -> Self:
        if (self.price_in is None) != (self.price_out is None):
            raise ValueError("--price-in and --price-out belong together; give both")
        return self

    @property
    def price(self) -> Price | None:
        return None if self.price_in is None or self.price_out is None else Price(self.price_in, self.price_out)

    @property
    def concurrency_cap(self) -> int:
        return self.max_concurrency if self.concurrency == "auto" else self.concurrency

    @property
    def max_inflight_bytes(self) -> int:
        return self.max_inflight_mb * 1024 * 1024 - self.image_cache_bytes

    @property
    def image_cache_bytes(self) -> int:
        return self.max_inflight_mb * 1024 * 1024 // 4


OwnText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
FieldName = Annotated[str, Field(min_length=1)]
VerifyChoice = Literal["doubtful", "all", "off"]
if TYPE_CHECKING:
    from persqa_client.inputs.memory_pictures import Picture as PictureSource

    SteeringTexts = SteeringText | Sequence[SteeringText]  # one is accepted in place of a list
else:
    PictureSource = Path | str
    SteeringTexts = Sequence[SteeringText]


class Recipe(Settings):
    """How questions are asked, checked and written. With Sampling, these settings determine the data."""

    image_key: Annotated[str, Field(min_length=1)] = "image"
    output_key: Annotated[str, Field(min_length=1)] = "pers_qa"
    # Whether rows of trainers (``messages``, ``conversations``) are asked their own questions.
    row_layout: RowLayoutChoice = "auto"
    # Whether images outside of the folders where relative paths start are refused, links followed.
    confine_images: bool = False
    tag: str = "mam"
    # Category of a built-in question bank, or path of a bank file.
    bank: Annotated[str, Field(min_length=1), AfterValidator(expand_bank)] = "human"
    # None means English, or the language of the bank file.
    language: QuestionLanguage | None = None
    # Asked about every row that has no question of its own, instead of those of the bank.
    question: Annotated[str | None, Field(min_length=1)] = None
    # Questions per row, one output line each.
    questions: Annotated[int, Field(ge=1, le=1000)] = 1
    # Include questions about skin, age and body.
    sensitive: bool = False
    # Leave out questions about these (face, eyes, ...).
    without: Annotated[Sequence[str], BeforeValidator(as_tuple)] = ()
    # File of real names that answers must not contain, one per line.
    names: UserPath | None = None
    # "auto" is "constrain" if the server supports it, else "direct".
    strategy: Literal["auto", "direct", "constrain", "prefill", "surrogate"] = "auto"
    # Templates that replace the built-in texts, with {question}, {tag}, {category} and fields of the row.
    system: OwnText | None = None
    prompt: OwnText | None = None
    answer_style: AnswerStyle = "sentences"
    # Which texts a row's field of the same name replaces.
    steer: Annotated[SteeringTexts, BeforeValidator(as_tuple)] = ()
    max_pixels: Annotated[int, Field(ge=28 * 28)] = DEFAULT_MAX_PIXELS
    output_style: OutputStyle = "qa"
    # How the rows' image paths are written. None: as given in rows of the user's own; others resolve from the output.
    paths: Literal["as-given", "absolute", "relative"] | None = None
    details: bool = False
    # Which accepted answers the model verifies, with the picture: those with a doubt, all, or none.
    verify: VerifyChoice = "off"
    # Field of a row's own tag. Where the tag of a row without one comes from; None: from ``tag``.
    tag_key: FieldName = "tag"
    tag_from: Literal["folder"] | None = None
    # Who the main character is: a template, and the field of a row with its own words.
    describe: OwnText | None = None
    describe_key: FieldName | None = None
    # An image that shows the main character, and the field of a row with its own one.
    reference: Annotated[PictureSource | None, BeforeValidator(read_picture_setting), Field(repr=False)] = None
    reference_key: FieldName | None = None
    # What is done with the box around the main character, which each row has; None: boxes are not read.
    box: BoxMode | None = None
    box_key: FieldName = "box"
    box_format: BoxFormat = "xyxy"

    if not TYPE_CHECKING:

        def __init__(self, *positional: object, **values: Any) -> None:
            super().__init__(*positional, **values)
            if not values:
                return
            # Imported here, because it needs these settings.
            from persqa_client.run.plan import check_recipe

            try:
                check_recipe(self)
            except SettingsError as error:
                raise SettingsError(name_fields(str(error), type(self))) from error.__cause__

    @property
    def subject_fields(self) -> dict[str, str]:
        """The fields of rows that say who the main character is, by flag."""
        fields = {"tag-key": self.tag_key, "describe-key": self.describe_key, "reference-key": self.reference_key}
        fields["box-key"] = None if self.box is None else self.box_key
        return {flag: name for flag, name in fields.items() if name is not None}

    @property
    def introduces(self) -> bool:
        """Whether the prompt says who the main character is."""
        given = (self.describe, self.describe_key, self.reference, self.reference_key)
        return self.box == "drawn" or any(each is not None for each in given)

    @property
    def row_fields(self) -> frozenset[str]:
        """The fields of rows that are read, besides the images."""
        return STEERING_FIELDS | {*self.steer, *self.subject_fields.values()}

    @model_validator(mode="after")
    def check_one_question(self) -> Self:
        if self.question is not None and self.questions > 1:
            raise ValueError("--question is one question about each row, and --questions asks several; give only one")
        if self.question is not None and "{tag}" not in self.question:
            tag = f"<{self.tag.strip('<>')}>"
            if tag not in self.question or self.tag_from is not None:
                raise ValueError(f"--question must have {{tag}} in it, which becomes {tag} or the row's own tag")
        return self

    @model_validator(mode="after")
    def check_output_key(self) -> Self:
        taken = {self.image_key, "error", "line", "conversation", *self.row_fields}
        if self.output_key in taken:
            raise ValueError(f"--output-key {self.output_key} is a field of the input rows; choose another name")
        if self.details and self.image_key == f"{self.output_key}_meta":
            raise ValueError(f"--image-key {self.image_key} is what --details adds; choose another --output-key")
        return self

    @model_validator(mode="after")
    def check_box_is_used(self) -> Self:
        flag = "--box-key" if self.box_key != "box" else "--box-format" if self.box_format != "xyxy" else None
        if self.box is None and flag is not None:
            raise ValueError(f"{flag} says how the box of a row is read; say with --box whether it is drawn or cropped")
        return self

    @model_validator(mode="after")
    def check_subject_fields(self) -> Self:
        taken = {self.image_key: "--image-key", "error": "the failure file"}
        taken |= {name: "something else" for name in (*STEERING_FIELDS, *self.steer) if name != "tag"}
        for flag, name in self.subject_fields.items():
            if name in taken:
                raise ValueError(f"--{flag} {name} is a field for {taken[name]}; name another field of the rows")
            taken[name] = f"--{flag}"
        return self

    @model_validator(mode="after")
    def check_image_key(self) -> Self:
        if self.image_key == "error":
            raise ValueError("--image-key error: the failure file has its reasons in error; rename the rows' field")
        if self.image_key in self.row_fields:
            raise ValueError(
                f"--image-key {self.image_key} is the field of a row's {self.image_key}; name the field with the images"
            )
        return self
