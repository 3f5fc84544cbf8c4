"""Parses chat requests: images, tag and question; and checks their parameters like vLLM or OpenAI, with their error
messages.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from persqa_client.simulator.error_responses import ErrorResponse, bad_request_error, malformed_error
from persqa_client.simulator.settings import SimSettings

TAG = re.compile(r"<[^<>\s/|][^<>\n/|]{0,62}>")
# An ordinary name that the prompt gives the main character.
CALLED = re.compile(r"\bis called ([^\W\d_][\w'-]*)\.|叫做([^\W\d_]+)。")
QUESTION = re.compile(r"(?:question|问题)\s*[:：]\s*", re.IGNORECASE)

# Tokens of Qwen's chat template: per message, for its end (missing in an unfinished message), and for the start of the
# answer.
MESSAGE_TOKENS = 6
END_TOKENS = 2
GENERATION_TOKENS = 3

# Fields of OpenAI's chat requests; others get a 400.
# fmt: off
HOSTED_FIELDS = frozenset(
    {
        "model", "messages", "max_completion_tokens", "max_tokens", "temperature", "top_p", "n",
        "stop", "seed", "stream", "stream_options", "user", "logprobs", "top_logprobs",
        "logit_bias", "presence_penalty", "frequency_penalty", "response_format", "tools",
        "tool_choice", "parallel_tool_calls", "store", "metadata", "modalities", "reasoning_effort",
        "service_tier", "verbosity", "safety_identifier", "prompt_cache_key",
    }
)
# fmt: on

# Parameters for which OpenAI's reasoning models suggest another name.
REPLACEMENTS = {"max_tokens": "max_completion_tokens"}


@dataclass(frozen=True, slots=True)
class ImagePart:
    url: str | None
    uuid: str | None = None


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message; text parts are joined by line breaks. ``partial``: it is the beginning of the answer."""

    role: str
    text: str
    images: tuple[ImagePart, ...] = ()
    partial: bool = False


@dataclass(frozen=True, slots=True)
class ChatRequest:
    messages: tuple[ChatMessage, ...]
    # Name of the main character: a tag, or the name in the prompt.
    tag: str | None
    question: str
    fields: dict[str, Any] = field(repr=False)
    knows_partial: bool = False

    @property
    def images(self) -> tuple[ImagePart, ...]:
        return tuple(image for message in self.messages for image in message.images)

    @property
    def text_tokens(self) -> int:
        """Tokens without images: one per four bytes of UTF-8."""
        opening = -END_TOKENS if self.prefix is not None else GENERATION_TOKENS
        if self.prefix is None and self.fields.get("add_generation_prompt") is False:
            opening = 0
        return sum(MESSAGE_TOKENS + len(message.text.encode()) // 4 for message in self.messages) + opening

    @property
    def seed(self) -> int:
        seed = self.fields.get("seed")
        return seed if isinstance(seed, int) else 0

    @property
    def max_tokens(self) -> int | None:
        for name in ("max_completion_tokens", "max_tokens"):
            value = self.fields.get(name)
            if isinstance(value, int):
                return value
        return None

    @property
    def wants_usage(self) -> bool:
        options = self.fields.get("stream_options")
        return isinstance(options, dict) and options.get("include_usage") is True

    @property
    def prefix(self) -> str | None:
        last = self.messages[-1]
        continues = self.fields.get("continue_final_message") or (last.partial and self.knows_partial)
        return last.text if continues and last.role == "assistant" else None


def parse_chat_request(body: Any, *, knows_partial: bool = False) -> ChatRequest:
    """Raises ErrorResponse.

    ``knows_partial``: a last message with ``partial`` is the beginning of the answer; otherwise the field is ignored.
    """
    if not isinstance(body, dict):
        message = "Input should be a valid dictionary or object to extract fields from"
        raise malformed_error("model_attributes_type", "body", message)
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise malformed_error("missing", "body.messages", "Field required")
    if not messages:
        raise bad_request_error("Cannot apply chat template to an empty conversation. Provide at least one message.")
    parsed = tuple(parse_message(message) for message in messages)
    tag, question = find_tag(parsed), find_question(parsed)
    return ChatRequest(messages=parsed, tag=tag, question=question, fields=body, knows_partial=knows_partial)


def parse_message(message: Any) -> ChatMessage:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise malformed_error("dict_type", "body.messages", "Input should be a valid dictionary with a role")
    content, partial = message.get("content"), message.get("partial") is True
    if content is None or isinstance(content, str):
        return ChatMessage(message["role"], content or "", partial=partial)
    if not isinstance(content, list):
        raise malformed_error("string_type", "body.messages.content", "Input should be a valid string or list")
    parts = [parse_part(part) for part in content]
    text = "\n".join(part for part in parts if isinstance(part, str))
    images = tuple(part for part in parts if isinstance(part, ImagePart))
    return ChatMessage(message["role"], text, images, partial)


def parse_part(part: Any) -> ImagePart | str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if kind != "image_url":
        raise malformed_error("literal_error", "body.messages.content.type", f"Unknown part type: {kind}")
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    uuid = part.get("uuid")
    if not (isinstance(url, str) or (url is None and uuid is not None)):
        raise malformed_error("missing", "body.messages.content.image_url.url", "Field required")
    return ImagePart(url, None if uuid is None else str(uuid))


def find_asking_message(messages: Sequence[ChatMessage]) -> ChatMessage | None:
    users = [message for message in messages if message.role == "user"]
    chosen = [message for message in users if message.images] or users
    return chosen[-1] if chosen else None


def find_tag(messages: Sequence[ChatMessage]) -> str | None:
    asking = find_asking_message(messages)
    for message in (*([asking] if asking else []), *messages):
        if found := TAG.search(message.text):
            return found.group()
    called = CALLED.search(asking.text) if asking else None
    return called and (called[1] or called[2])


def find_question(messages: Sequence[ChatMessage]) -> str:
    asking = find_asking_message(messages)
    return "" if asking is None else QUESTION.split(asking.text)[-1].strip()


def check_model(name: Any, models: Collection[str], hosted: bool) -> None:
    if name in models or (name is None and not hosted):
        return
    if name is None:
        raise bad_request_error("you must provide a model parameter")
    if hosted:
        message = f"The model `{name}` does not exist or you do not have access to it."
        raise ErrorResponse(404, message, code="model_not_found")
    raise ErrorResponse(404, f"The model `{name}` does not exist. Valid aliases: {', '.join(models)}.", param="model")


def check_fields(fields: Mapping[str, Any], settings: SimSettings) -> None:
    if settings.shape == "hosted":
        check_hosted_fields(fields, settings.reject)
    else:
        check_vllm_fields(fields, settings.max_model_len)
    if fields.get("n") not in (None, 1):
        raise bad_request_error("The simulator gives one choice; leave `n` out.", param="n", code="unsupported_value")


def check_hosted_fields(fields: Mapping[str, Any], reject: Collection[str]) -> None:
    for name, value in fields.items():
        if name not in HOSTED_FIELDS:
            raise bad_request_error(f"Unrecognized request argument supplied: {name}", code="unknown_parameter")
        if name in REPLACEMENTS:
            raise unsupported_parameter_error(name, f" Use '{REPLACEMENTS[name]}' instead.")
        if name in reject:
            raise unsupported_parameter_error(name, "")
        if name == "temperature" and value not in (None, 1):
            message = (
                f"Unsupported value: 'temperature' does not support {value} with this model. "
                "Only the default (1) value is supported."
            )
            raise bad_request_error(message, param="temperature", code="unsupported_value")


def unsupported_parameter_error(name: str, hint: str) -> ErrorResponse:
    message = f"Unsupported parameter: '{name}' is not supported with this model.{hint}"
    return bad_request_error(message, param=name, code="unsupported_parameter")


def check_vllm_fields(fields: Mapping[str, Any], max_model_len: int) -> None:
    for name in ("mm_processor_kwargs", "media_io_kwargs"):
        if fields.get(name):
            message = (
                f"Per-request {name} are disabled by default because they can change multimodal preprocessing resource "
                "usage. Start the server with --trust-request-mm-kwargs only when clients are trusted."
            )
            raise bad_request_error(message, name)
    for name in ("max_tokens", "max_completion_tokens"):
        check_max_tokens(name, fields.get(name), max_model_len)
    if fields.get("stream_options") and not fields.get("stream"):
        raise bad_request_error("Stream options can only be defined when `stream=True`.", "stream_options")
    if fields.get("continue_final_message") and fields.get("add_generation_prompt", True):
        raise bad_request_error("continue_final_message and add_generation_prompt are not compatible.")


def check_max_tokens(name: str, value: Any, max_model_len: int) -> None:
    """Raises ErrorResponse. vLLM's message always says max_tokens."""
    if value is None:
        return
    if not isinstance(value, int):
        raise malformed_error("int_parsing", f"body.{name}", "Input should be a valid integer")
    if value < 1:
        raise bad_request_error(f"max_tokens must be at least 1, got {value}.", "max_tokens", value=value)
    if value > max_model_len:
        message = f"max_tokens={value} cannot be greater than max_model_len={max_model_len}. "
        raise bad_request_error(message + "Please request fewer output tokens.", "max_tokens", value=value)


def check_content(chat: ChatRequest, hosted: bool, limit_images: int) -> None:
    if len(chat.images) > limit_images:
        raise bad_request_error(f"At most {limit_images} image(s) may be provided in one prompt.", param="image")
    if not hosted:
        return
    for number, message in enumerate(chat.messages):
        if message.partial and not chat.knows_partial:
            raise bad_request_error(f"Unknown parameter: 'messages[{number}].partial'.", code="unknown_parameter")
    if any(image.uuid is not None for image in chat.images):
        raise bad_request_error("Unknown parameter: 'messages[0].content[0].uuid'.", code="unknown_parameter")


def check_length(prompt_tokens: int, max_model_len: int) -> None:
    if prompt_tokens > max_model_len:
        message = (
            f"This model's maximum context length is {max_model_len} tokens. However, your prompt contains at least "
            f"{max_model_len + 1} input tokens, which exceeds this limit even without any output tokens. "
            "Please reduce the length of the input prompt."
        )
        raise bad_request_error(message, "input_tokens", "context_length_exceeded", max_model_len + 1)
