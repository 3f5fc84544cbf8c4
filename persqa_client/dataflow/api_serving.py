"""A serving over an endpoint that runs already: a hosted model, or a server of one's own. Reads the key's variable."""

from __future__ import annotations

import os
from typing import Any, Literal

from persqa_client.config import Endpoint, Limits, Sampling, build
from persqa_client.dataflow.base import in_arguments
from persqa_client.dataflow.vlm_serving import VLMServing
from persqa_client.endpoints.credentials import find_key
from persqa_client.errors import SettingsError

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
        self._endpoint = build(
            Endpoint, base_url=api_url, model=model_name, api_key=find_key(api_url, named, os.environ)
        )
        super().__init__(
            build(
                Sampling,
                temperature=temperature,
                top_p=top_p,
                max_tokens=max_tokens,
                seed=seed,
                extra_body=extra_body or {},
            ),
            build(
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
