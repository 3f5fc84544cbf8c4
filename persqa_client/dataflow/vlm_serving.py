"""DataFlow's serving interface over an OpenAI-compatible endpoint."""

from __future__ import annotations

import json
import logging
import os
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from persqa_client.config import Endpoint, Limits, Sampling, build_settings
from persqa_client.dataflow.base import errors_name_arguments
from persqa_client.dataflow.requests import (
    BlockingClient,
    Prompt,
    PromptResult,
    build_conversation_prompt,
    build_text_prompt,
    item_at,
)
from persqa_client.endpoints.credentials import find_api_key
from persqa_client.errors import RowError, SettingsError

if TYPE_CHECKING:
    ServingBase = object
else:
    from persqa_client.dataflow.base import ServingBase


DEFAULT_SYSTEM_PROMPT = "You are a helpful assistant."

logger = logging.getLogger(__name__)


class VLMServing(ServingBase):
    """Base class: answers requests of any DataFlow operator.

    Inputs without an answer are None in the result, or ``placeholder``; ``failures`` holds their RowErrors by index.
    Raises RunStopped if the endpoint rejects all requests.
    """

    def __init__(self, sampling: Sampling, limits: Limits, placeholder: str | None = None) -> None:
        self.sampling = sampling
        self.limits = limits
        self.placeholder = placeholder
        self.failures: dict[int, RowError] = {}
        self._clients: dict[tuple[str, str], BlockingClient] = {}

    @property
    @abstractmethod
    def endpoint(self) -> Endpoint:
        """Starts a local server first."""

    @property
    @abstractmethod
    def model_name(self) -> str:
        """Known before the endpoint is."""

    def start_serving(self) -> None:
        """Starts a local server; does nothing for other endpoints."""

    def cleanup(self) -> None:
        """Closes the connections; a later call opens new ones."""
        while self._clients:
            self._clients.popitem()[1].close()

    def generate_from_input(
        self,
        user_inputs: Sequence[str],
        system_prompt: str = DEFAULT_SYSTEM_PROMPT,
        image_inputs: Sequence[Any] | None = None,
        video_inputs: Sequence[Any] | None = None,
        audio_inputs: Sequence[Any] | None = None,
        json_schema: dict[str, Any] | None = None,
    ) -> list[str | None]:
        """If there are no ``image_inputs``, an input that is an image reference is the image, and ``system_prompt`` the
        question.
        """
        reject_media(video_inputs, audio_inputs)
        prompts = [
            build_or_error(build_text_prompt, text, item_at(image_inputs, number), system_prompt)
            for number, text in enumerate(user_inputs)
        ]
        return self._answers(prompts, json_schema=json_schema)

    def generate_from_input_messages(
        self,
        conversations: Sequence[Any],
        image_list: Sequence[Any] | None = None,
        video_list: Sequence[Any] | None = None,
        audio_list: Sequence[Any] | None = None,
        system_prompt: str = DEFAULT_SYSTEM_PROMPT,
        json_schema: dict[str, Any] | None = None,
    ) -> list[str | None]:
        """Answers conversations of ``from``/``value`` or ``role``/``content`` turns, with or without ``<image>``."""
        reject_media(video_list, audio_list)
        prompts = [
            build_or_error(build_conversation_prompt, turns, item_at(image_list, number), system_prompt)
            for number, turns in enumerate(conversations)
        ]
        return self._answers(prompts, json_schema=json_schema)

    def generate_from_input_one_image(
        self,
        image_paths: Sequence[str],
        text_prompts: Sequence[str],
        system_prompt: str = "",
        model: str | None = None,
        timeout: float | None = None,
        json_schema: dict[str, Any] | None = None,
    ) -> list[str | None]:
        """``timeout`` is ignored in favour of the serving's own."""
        return self.generate_from_input_multi_images(
            [[path] for path in image_paths], None, system_prompt, text_prompts, model, timeout, json_schema
        )

    def generate_from_input_multi_images(
        self,
        list_of_image_paths: Sequence[Sequence[str]],
        list_of_image_labels: Sequence[Sequence[str]] | None = None,
        system_prompt: str = "",
        user_prompts: Sequence[str] | None = None,
        model: str | None = None,
        timeout: float | None = None,
        json_schema: dict[str, Any] | None = None,
    ) -> list[str | None]:
        """Labels are listed before the text."""
        texts = user_prompts if user_prompts is not None else [""] * len(list_of_image_paths)
        check_same_length(list_of_image_paths, texts)
        if list_of_image_labels is not None:
            check_same_length(list_of_image_paths, list_of_image_labels)
            texts = [prepend_labels(text, labels) for text, labels in zip(texts, list_of_image_labels, strict=True)]
        prompts = [
            build_or_error(build_text_prompt, text, images, system_prompt)
            for text, images in zip(texts, list_of_image_paths, strict=True)
        ]
        return self._answers(prompts, model, json_schema)

    def chat_with_one_image(
        self,
        image_path: str,
        text_prompt: str,
        model: str | None = None,
        timeout: float | None = None,
        json_schema: dict[str, Any] | None = None,
    ) -> str:
        """Raises RowError if there is no answer."""
        answer = self._ask([build_or_error(build_text_prompt, text_prompt, [image_path], "")], model, json_schema)[0]
        if isinstance(answer, RowError):
            raise answer
        return answer

    def _answers(
        self, prompts: Sequence[Prompt | RowError], model: str | None = None, json_schema: dict[str, Any] | None = None
    ) -> list[str | None]:
        answers = self._ask(prompts, model, json_schema) if prompts else []
        self.failures = {number: error for number, error in enumerate(answers) if isinstance(error, RowError)}
        if self.failures:
            number, error = next(iter(self.failures.items()))
            logger.warning(
                "%d of %d inputs have no answer; first, index %d: %s: %s",
                len(self.failures),
                len(answers),
                number,
                error.code,
                error,
            )
        return [self._text(answer) for answer in answers]

    def _ask(
        self, prompts: Sequence[Prompt | RowError], model: str | None, json_schema: dict[str, Any] | None
    ) -> list[PromptResult]:
        with errors_name_arguments():
            return self._client_for(model, json_schema).ask(prompts)

    def _text(self, answer: PromptResult) -> str | None:
        return answer if isinstance(answer, str) else self.placeholder

    def _client_for(self, model: str | None, json_schema: dict[str, Any] | None) -> BlockingClient:
        endpoint, sampling = self.endpoint, self.sampling
        key = (model or endpoint.model, json.dumps(json_schema, sort_keys=True))
        if key not in self._clients:
            if model is not None:
                endpoint = build_settings(Endpoint, **{**dict(endpoint), "model": model})
            if json_schema is not None:
                schema = {"name": "answer", "strict": True, "schema": json_schema}
                form = {"response_format": {"type": "json_schema", "json_schema": schema}}
                sampling = build_settings(Sampling, **{**dict(sampling), "extra_body": sampling.extra_body | form})
            self._clients[key] = BlockingClient(endpoint, sampling, self.limits)
        return self._clients[key]


def build_or_error(make: Callable[..., Prompt], *given: Any) -> Prompt | RowError:
    try:
        return make(*given)
    except RowError as error:
        return error


def reject_media(*lists: Sequence[Any] | None) -> None:
    if any(item for given in lists for item in given or ()):
        raise SettingsError("This serving sends text and images only; remove the video and audio inputs.")


def check_same_length(one: Sequence[Any], other: Sequence[Any]) -> None:
    if len(one) != len(other):
        raise SettingsError(f"There are {len(one)} inputs but {len(other)} texts or labels: pass one for each input.")


def prepend_labels(text: str, labels: Sequence[str]) -> str:
    listed = ", ".join(f"{number}. {label}" for number, label in enumerate(labels, 1))
    return f"The pictures, in order: {listed}\n\n{text}".strip() if labels else text


# Variable of DataFlow's API key.
DATAFLOW_KEY_VARIABLE = "DF_API_KEY"


class OpenAIVLMServing(VLMServing):
    """DataFlow's ``APIVLMServing_openai``, for any OpenAI-compatible endpoint.

    The key is read from the variable ``key_name_of_api_key`` and sent only to ``api_url``; servers without keys need no
    variable. ``max_workers`` is the number of concurrent requests, or ``"auto"``. ``timeout`` is for one attempt.
    ``send_request_stream`` has no effect. Raises SettingsError if the named variable is not set.
    """

    @errors_name_arguments()
    def __init__(
        self,
        api_url: str = "https://api.openai.com/v1",
        key_name_of_api_key: str | None = DATAFLOW_KEY_VARIABLE,
        model_name: str = "o4-mini",
        max_workers: int | Literal["auto"] = 10,
        timeout: float = 1800,
        temperature: float = 0.0,
        *,
        top_p: float = 1.0,
        max_tokens: int = 1024,
        seed: int = 0,
        max_attempts: int = 5,
        max_outage: float = 600,
        rps: float | None = None,
        extra_body: dict[str, Any] | None = None,
        placeholder: str | None = None,
        image_io: None = None,
        send_request_stream: bool = False,
    ) -> None:
        if image_io is not None:
            raise SettingsError("image_io is for models that generate images, which this serving does not support.")
        named = (
            None
            if key_name_of_api_key == DATAFLOW_KEY_VARIABLE and not os.environ.get(DATAFLOW_KEY_VARIABLE)
            else key_name_of_api_key
        )
        self._endpoint = build_settings(
            Endpoint, base_url=api_url, model=model_name, api_key=find_api_key(api_url, named, os.environ)
        )
        super().__init__(
            build_settings(
                Sampling,
                temperature=temperature,
                top_p=top_p,
                max_tokens=max_tokens,
                seed=seed,
                extra_body=extra_body or {},
            ),
            build_settings(
                Limits,
                concurrency=max_workers,
                timeout=timeout,
                max_attempts=max_attempts,
                max_outage=max_outage,
                rps=rps,
            ),
            placeholder,
        )

    @property
    def endpoint(self) -> Endpoint:
        return self._endpoint

    @property
    def model_name(self) -> str:
        return self._endpoint.model


APIVLMServing_openai = OpenAIVLMServing  # DataFlow's name
