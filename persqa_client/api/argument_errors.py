"""Errors of the Python interface, by the names of its arguments."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from persqa_client.argument_names import name_arguments
from persqa_client.config import Limits, Recipe, Sampling
from persqa_client.errors import MaskedError, RowError, RunStopped, ServerFailed
from persqa_client.run.settings import ENDPOINT_FLAGS, RUN_FLAGS, RunSettings

FIELDS = {
    **{name: field for kind in (Sampling, Limits, Recipe) for name, field in kind.model_fields.items()},
    **{name: RunSettings.model_fields[name] for name in RUN_FLAGS},
}
ARGUMENTS = FIELDS.keys() | ENDPOINT_FLAGS | {"output"}
SWITCHES = {name for name, field in FIELDS.items() if field.annotation is bool} | {"recheck_pictures"}


@contextmanager
def errors_by_arguments() -> Iterator[None]:
    try:
        yield
    except ServerFailed:
        raise  # has no flags, but the server's log
    except (MaskedError, RowError) as error:
        named = error.fresh()
        named.args = (name_arguments(str(error), ARGUMENTS, SWITCHES),)
        if isinstance(named, RunStopped | RowError):
            named.message = named.args[0]
        raise named from error.__cause__
