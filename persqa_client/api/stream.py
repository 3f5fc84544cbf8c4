"""The answers about rows one after the other, by a client that is closed after the last one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

import httpx2

from persqa_client.api.argument_errors import IN_GROUPS, explains_arguments
from persqa_client.api.arguments import check_rows
from persqa_client.api.client import PersQAClient
from persqa_client.config import Endpoint, Limits, Recipe, Sampling
from persqa_client.inputs.memory_pictures import Rows
from persqa_client.outcomes import Outcome
from persqa_client.run.progress import OnProgress, check_callback
from persqa_client.run.settings import UuidChoice
from persqa_client.task_groups import InnerGenerator
from persqa_client.types import BadRow, Row


@explains_arguments("stream", IN_GROUPS)
def stream(
    rows: Rows,
    endpoint: Endpoint | Sequence[Endpoint],
    *,
    sampling: Sampling | None = None,
    limits: Limits | None = None,
    recipe: Recipe | None = None,
    image_root: str | Path | None = None,
    probes: bool = True,
    uuid: bool | UuidChoice = "auto",
    http_client: httpx2.AsyncClient | None = None,
    on_progress: OnProgress | None = None,
    progress: bool = False,
) -> AsyncGenerator[tuple[Row | BadRow, Outcome], None]:
    """Opens a client for the endpoint, and closes it after the last row.

    The arguments are those of ``PersQAClient``; see ``PersQAClient.stream`` for the rows.
    """
    check_rows(rows)
    check_callback(on_progress)
    client = PersQAClient(
        endpoint,
        sampling=sampling,
        limits=limits,
        recipe=recipe,
        image_root=image_root,
        probes=probes,
        uuid=uuid,
        http_client=http_client,
    )
    return stream_and_close(client, rows, on_progress, progress)


async def stream_and_close(
    client: PersQAClient, rows: Rows, on_progress: OnProgress | None, progress: bool
) -> AsyncGenerator[tuple[Row | BadRow, Outcome], None]:
    async with (
        client,
        aclosing(InnerGenerator(client.stream(rows, on_progress=on_progress, progress=progress))) as answers,
    ):
        async for answer in answers:
            yield answer
