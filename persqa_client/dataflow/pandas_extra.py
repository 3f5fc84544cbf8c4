"""pandas, which comes with an extra of its own. Imports it."""

from __future__ import annotations

try:
    import pandas
except ImportError as error:
    raise ImportError(
        "persqa_client.dataflow works on pandas' data frames: pip install 'persqa-client[dataflow]'", name="pandas"
    ) from error

__all__ = ["pandas"]
