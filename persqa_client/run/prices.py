"""Prices of hosted models, from the data of genai-prices."""

from __future__ import annotations

from datetime import date
from importlib.metadata import version
from typing import NamedTuple

from persqa_client.config import UNKNOWN_MODEL, Limits, Price
from persqa_client.engines.budget import cost_of
from persqa_client.errors import SettingsError
from persqa_client.run.settings import RunSettings

# Some models cost more with a long context, which requests with a picture do not have.
THOUSAND = 1000


def find_price(model: str, base_url: str) -> Price | None:
    """The price in US dollars. None if the host of the URL is no provider with a known price for the model: elsewhere,
    the same model is free or has another price.
    """
    # Imported here: it takes 0.3 s, and most runs need no price.
    from genai_prices import Usage, calc_price

    try:
        prompt, completion = (
            calc_price(usage, model_ref=model, provider_api_url=base_url).total_price * THOUSAND
            for usage in (Usage(input_tokens=THOUSAND), Usage(output_tokens=THOUSAND))
        )
    except (LookupError, ValueError):
        return None
    return Price(float(prompt), float(completion))


def find_common_price(settings: RunSettings) -> Price | None:
    """None if it is unknown, or differs between the endpoints."""
    prices = {find_price(settings.endpoint.model, endpoint.base_url) for endpoint in settings.endpoints}
    return prices.pop() if len(prices) == 1 else None


class KnownPrice(NamedTuple):
    price: Price
    # None for prices that the user gave, in any currency.
    currency: str | None
    source: str

    def cost(self, prompt_tokens: float, completion_tokens: float) -> float:
        return cost_of(self.price, prompt_tokens, completion_tokens)

    def to_json(self, prompt_tokens: float, completion_tokens: float) -> dict[str, object]:
        return {
            "amount": round(self.cost(prompt_tokens, completion_tokens), 6),
            "currency": self.currency,
            "price_in": self.price.prompt,
            "price_out": self.price.completion,
            "source": self.source,
        }


def find_known_price(settings: RunSettings) -> KnownPrice | None:
    """The user's prices, or those of genai-prices for today."""
    if settings.limits.price is not None:
        return KnownPrice(settings.limits.price, None, "--price-in and --price-out")
    price = find_common_price(settings)
    if price is None:
        return None
    return KnownPrice(price, "USD", f"genai-prices {version('genai-prices')} for {date.today().isoformat()}")


def complete_prices(settings: RunSettings) -> Limits:
    """The limits with a price, if --max-cost needs one. Raises SettingsError if it is not known, unless the model is
    not, either.
    """
    limits = settings.limits
    if limits.max_cost is None or limits.price is not None or settings.endpoint.model == UNKNOWN_MODEL:
        return limits
    price = find_common_price(settings)
    if price is None:
        raise SettingsError(
            f"--max-cost: the price of {settings.endpoint.model} at this endpoint is not known; give --price-in and "
            "--price-out, the prices of a million tokens."
        )
    return limits.model_copy(update={"price_in": price.prompt, "price_out": price.completion})
