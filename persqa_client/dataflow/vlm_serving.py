"""What DataFlow's operators call a serving by, over any endpoint. Talks to it through dataflow/requests.py."""

from __future__ import annotations

import json
import logging
import os
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from persqa_client.config import Endpoint, Limits, Sampling, build_settings
from persqa_client.dataflow.base import in_arguments
from persqa_client.dataflow.requests import Prompt, Talk, Told, beside, prompt_of_conversation, prompt_of_text
from persqa_client.endpoints.credentials import find_api_key
from persqa_client.errors import RowError, SettingsError

if TYPE_CHECKING:
    ServingBase = object
else:
    from persqa_client.dataflow.base import ServingBase


ASSISTANT = "You are a helpful assistant."

logger = logging.getLogger(__name__)


class VLMServing(ServingBase):
    """Asks a vision-language model, for any operator of DataFlow's.

    An input that gets no answer is None in the list, with its reason in ``failures`` by its number, until the next
    call; ``placeholder`` stands there instead of None, for operators that take text alone. Where the endpoint refuses
    all, RunStopped is raised.
    """

    def __init__(self, sampling: Sampling, limits: Limits, placeholder: str | None = None) -> None:
        self.sampling = sampling
        self.limits = limits
        self.placeholder = placeholder
        self.failures: dict[int, RowError] = {}
        self._talks: dict[tuple[str, str], Talk] = {}

    @property
    @abstractmethod
    def endpoint(self) -> Endpoint:
        """Where the model answers; what has to be started for it is started."""

    @property
    @abstractmethod
    def model_name(self) -> str:
        """Known also before the endpoint is."""

    def start_serving(self) -> None:
        """Nothing has to be started for an endpoint that runs elsewhere."""

    def cleanup(self) -> None:
        """Ends the connections; a later call opens new ones."""
        while self._talks:
            self._talks.popitem()[1].close()

    def generate_from_input(
        self,
        user_inputs: Sequence[str],
        system_prompt: str = ASSISTANT,
        image_inputs: Sequence[Any] | None = None,
        video_inputs: Sequence[Any] | None = None,
        audio_inputs: Sequence[Any] | None = None,
        json_schema: dict[str, Any] | None = None,
    ) -> list[str | None]:
        """Answers to texts, each with its pictures in ``image_inputs``. Without those, an input that names a picture is
        that picture, and ``system_prompt`` the question about it."""
        refuse_media(video_inputs, audio_inputs)
        prompts = [
            attempt(prompt_of_text, text, beside(image_inputs, number), system_prompt)
            for number, text in enumerate(user_inputs)
        ]
        return self._answers(prompts, json_schema=json_schema)

    def generate_from_input_messages(
        self,
        conversations: Sequence[Any],
        image_list: Sequence[Any] | None = None,
        video_list: Sequence[Any] | None = None,
        audio_list: Sequence[Any] | None = None,
        system_prompt: str = ASSISTANT,
        json_schema: dict[str, Any] | None = None,
    ) -> list[str | None]:
        """Answers to conversations of ``from``/``value`` or ``role``/``content`` turns, with or without ``<image>``."""
        refuse_media(video_list, audio_list)
        prompts = [
            attempt(prompt_of_conversation, turns, beside(image_list, number), system_prompt)
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
        """Answers to one text about one picture each. ``timeout`` is the serving's own, whatever is given here."""
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
        """Answers to one text about several pictures each, which are told by their labels, in order, before it."""
        texts = user_prompts if user_prompts is not None else [""] * len(list_of_image_paths)
        same_length(list_of_image_paths, texts)
        if list_of_image_labels is not None:
            same_length(list_of_image_paths, list_of_image_labels)
            texts = [labelled(text, labels) for text, labels in zip(texts, list_of_image_labels, strict=True)]
        prompts = [
            attempt(prompt_of_text, text, images, system_prompt)
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
        """The answer to a question about one picture. Raises RowError, whose ``code`` says why, where there is none."""
        told = self._ask([attempt(prompt_of_text, text_prompt, [image_path], "")], model, json_schema)[0]
        if isinstance(told, RowError):
            raise told
        return told

    def _answers(
        self, prompts: Sequence[Prompt | RowError], model: str | None = None, json_schema: dict[str, Any] | None = None
    ) -> list[str | None]:
        told = self._ask(prompts, model, json_schema) if prompts else []
        self.failures = {number: error for number, error in enumerate(told) if isinstance(error, RowError)}
        if self.failures:
            number, error = next(iter(self.failures.items()))
            logger.warning(
                "%d of %d inputs got no answer; the first, number %d: %s: %s",
                len(self.failures),
                len(told),
                number,
                error.code,
                error,
            )
        return [self._text(answer) for answer in told]

    def _ask(
        self, prompts: Sequence[Prompt | RowError], model: str | None, json_schema: dict[str, Any] | None
    ) -> list[Told]:
        with in_arguments():
            return self._talk(model, json_schema).ask(prompts)

    def _text(self, told: Told) -> str | None:
        return told if isinstance(told, str) else self.placeholder

    def _talk(self, model: str | None, json_schema: dict[str, Any] | None) -> Talk:
        """For the serving's own model, or another one; the schema belongs to the requests' fields."""
        endpoint, sampling = self.endpoint, self.sampling
        key = (model or endpoint.model, json.dumps(json_schema, sort_keys=True))
        if key not in self._talks:
            if model is not None:
                endpoint = build_settings(Endpoint, **{**dict(endpoint), "model": model})
            if json_schema is not None:
                schema = {"name": "answer", "strict": True, "schema": json_schema}
                form = {"response_format": {"type": "json_schema", "json_schema": schema}}
                sampling = build_settings(Sampling, **{**dict(sampling), "extra_body": sampling.extra_body | form})
            self._talks[key] = Talk(endpoint, sampling, self.limits)
        return self._talks[key]


def attempt(make: Callable[..., Prompt], *given: Any) -> Prompt | RowError:
    """An input that can't be asked fails alone, not the list that it stands in."""
    try:
        return make(*given)
    except RowError as error:
        return error


def refuse_media(*lists: Sequence[Any] | None) -> None:
    if any(item for given in lists for item in given or ()):
        raise SettingsError("This serving sends text and pictures; videos and sounds can't be asked about.")


def same_length(one: Sequence[Any], other: Sequence[Any]) -> None:
    if len(one) != len(other):
        raise SettingsError(f"{len(one)} inputs have {len(other)} texts or labels: give one for each.")


def labelled(text: str, labels: Sequence[str]) -> str:
    told = ", ".join(f"{number}. {label}" for number, label in enumerate(labels, 1))
    return f"The pictures, in order: {told}\n\n{text}".strip() if labels else text


# A serving over an endpoint that runs already: a hosted model, or a server of one's own. Reads the key's variable.

KEY_ENV = "DF_API_KEY"
"""The variable in which DataFlow keeps the key for whatever URL stands beside it."""


class OpenAIVLMServing(VLMServing):
    """DataFlow's ``APIVLMServing_openai``: the model behind any OpenAI-compatible endpoint.

    ``api_url`` is the root of the API. The key is read once, from the named variable, and goes to ``api_url`` alone; a
    server without keys needs no variable. ``max_workers``: requests at once, or ``auto``. ``timeout``: seconds for one
    attempt. ``send_request_stream`` changes nothing: whole answers are given in any case. Raises SettingsError where a
    variable is named that is not set.
    """

    @in_arguments()
    def __init__(
        self,
        api_url: str = "https://api.openai.com/v1",
        key_name_of_api_key: str | None = KEY_ENV,
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
            raise SettingsError("image_io is for models that draw pictures, which this serving does not read.")
        named = None if key_name_of_api_key == KEY_ENV and not os.environ.get(KEY_ENV) else key_name_of_api_key
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


APIVLMServing_openai = OpenAIVLMServing
"""DataFlow's own name for it."""
