"""Checks parameters like vLLM or OpenAI, with their error messages."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from persqa_client.simulator.error_responses import ErrorResponse, bad_request_error, malformed_error
from persqa_client.simulator.prompt import ChatRequest
from persqa_client.simulator.settings import SimSettings

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
