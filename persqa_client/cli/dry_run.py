"""``persqa run --dry-run``: prints the requests of the first rows, and sends nothing."""

from __future__ import annotations

from itertools import islice

from persqa_client.cli.messages import print_warning, show_controls
from persqa_client.client.dialect import Dialect
from persqa_client.client.request import render_preview
from persqa_client.endpoints.credentials import PLACEHOLDER_URL
from persqa_client.errors import RowError, SettingsError
from persqa_client.images.prepare import load_image
from persqa_client.inputs.shards import iterate_rows
from persqa_client.inputs.sources import Source
from persqa_client.keys import mask_keys, mask_secrets
from persqa_client.probing.only_model import lacks_model
from persqa_client.questions.tasks import TaskMaker, name_row
from persqa_client.run.compose import fetch_pictures
from persqa_client.run.plan import RunPlan
from persqa_client.run.run_input import plan_for_source
from persqa_client.run.settings import RunSettings
from persqa_client.types import BadRow, Request, Row, TaskId
from persqa_client.urls import add_query

# Rows shown.
DRY_RUN_ROWS = 3
# In place of a model that the endpoint is asked for.
ONLY_MODEL = "(the only model of the endpoint)"


def print_requests(settings: RunSettings, source: Source) -> bool:
    """Whether any of the rows that are shown is usable. Raises SettingsError."""
    # Pictures are downloaded for the moment: a dry run leaves nothing in the folder of the output.
    plan = plan_for_source(settings.model_copy(update={"output": None}), source)
    reader = plan.make_row_reader()
    # Without a probe the server's features are unknown, so requests are shown as for vLLM 0.12 and later.
    strategy = settings.recipe.strategy
    task_maker = plan.make_task_maker("constrain" if strategy == "auto" else strategy)
    roots = ["…/v1" if each.base_url == PLACEHOLDER_URL else each.base_url for each in settings.endpoints]
    urls = " or ".join(
        add_query(f"{root}/chat/completions", endpoint.query)
        for root, endpoint in zip(roots, settings.endpoints, strict=True)
    )
    usable = False
    shown = list(islice(iterate_rows(source, settings.limit, settings.shard), DRY_RUN_ROWS))
    if not shown and settings.shard is not None:
        raise SettingsError(f"None of the rows is in the shard {settings.shard}.")
    for line, position, name, path in shown:
        row = reader.parse(position.number, line, name, path)
        place = f"{plan.counted_as} {position.number}" if path is None else name_row(position.number, path)
        print(show_controls(f"--- {place}: POST {urls}"))
        if isinstance(row, BadRow):
            print(show_controls(f"would fail: {row.message} ({row.code})"))
            continue
        for task_id in reader.task_ids(row):
            try:
                print(show_controls(render_request(row, task_id, plan, task_maker)))
                usable = True
            except RowError as error:
                print(show_controls(f"would fail: {error.message} ({error.code})"))
    for warning in source.warnings():
        print_warning(warning)
    return usable


def render_request(row: Row, task_id: TaskId, plan: RunPlan, task_maker: TaskMaker) -> str:
    """Raises RowError for a row that would fail before its request."""
    settings = plan.settings
    task = task_maker.make_task(row, task_id)
    fetch_pictures(plan, row.pictures)
    images = tuple(
        load_image(reference, plan.picture_roots, max_pixels=settings.recipe.max_pixels, mark=mark)
        for reference, mark in row.views
    )
    return render_preview(
        Request(task.system, images, task.prompt, task.seed, task.pattern, task.prefill),
        model=ONLY_MODEL if lacks_model(settings.endpoints) else mask_keys(settings.endpoint.model),
        sampling=settings.sampling.model_copy(update={"extra_body": mask_secrets(settings.sampling.extra_body)}),
        dialect=Dialect(constraint="structured_outputs", prefill="continue_final_message"),
    )
