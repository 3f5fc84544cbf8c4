"""Prices of hosted models, from the data of genai-prices."""

from __future__ import annotations

from importlib.metadata import version

from persqa_client.config import Limits, Price
from persqa_client.errors import SettingsError
from persqa_client.run.settings import RunSettings

SOURCE = "genai-prices"
MILLION = 1_000_000


def find_price(model: str, base_url: str) -> Price | None:
    """In US dollars. None if the host of the URL is no provider with a known price for the model: the same model costs
    nothing, or something else, elsewhere.
    """
    # Imported here: it takes 0.3 s, and most runs need no price.
    from genai_prices import Usage, calc_price

    try:
        prompt, completion = (
            calc_price(usage, model_ref=model, provider_api_url=base_url).total_price
            for usage in (Usage(input_tokens=MILLION), Usage(output_tokens=MILLION))
        )
    except (LookupError, ValueError):
        return None
    return Price(float(prompt), float(completion))


def complete_prices(settings: RunSettings) -> Limits:
    """The limits with a price, if --max-cost needs one. Raises SettingsError if it is not known."""
    limits = settings.limits
    if limits.max_cost is None or limits.price is not None:
        return limits
    prices = {find_price(settings.endpoint.model, endpoint.base_url) for endpoint in settings.endpoints}
    price = prices.pop()
    if price is None or prices:
        raise SettingsError(
            f"--max-cost: the price of {settings.endpoint.model} at this endpoint is not known; give --price-in and "
            "--price-out, the prices of a million tokens."
        )
    return limits.model_copy(update={"price_in": price.prompt, "price_out": price.completion})


def describe_price_source() -> str:
    return f"{SOURCE} {version(SOURCE)}"
