"""DataFlow's operator that asks about the main character of each picture of a data frame. Composes a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from persqa_client.api import execute
from persqa_client.config import Endpoint, Limits, Recipe, RunSettings, Sampling, build
from persqa_client.dataflow.batches import ForeignPool
from persqa_client.dataflow.frames import rows_of, with_answers
from persqa_client.dataflow.outcomes import OUTPUT_KEY, ROW_KEY, Answer, answers_of
from persqa_client.dataflow.run_files import as_lines, run_folder, write_rows
from persqa_client.dataflow.vlm_serving import VLMServing
from persqa_client.errors import SettingsError
from persqa_client.inputs.sources import FileSource, ListedSource, Source
from persqa_client.jsonl import load_object
from persqa_client.outputs.files import RunFiles
from persqa_client.plan import Plan
from persqa_client.runs import Run

if TYPE_CHECKING:
    OperatorBase = object
else:
    from persqa_client.dataflow.abcs import OperatorBase

NOWHERE = "http://127.0.0.1/v1"
"""In place of an endpoint, where a foreign serving knows it alone; nothing is sent there."""

log = logging.getLogger(__name__)


class PersQAGenerator(OperatorBase):
    """Adds ``Question: …, Answer: …`` about the main character to each row of a data frame.

    ``llm_serving`` is one of ours or any of DataFlow's; the keyword arguments are the command's flags by their Python
    names. ``questions`` above 1 gives each row as many times, one after the other. ``steering`` names columns
    (``question``, ``tag``, ``category``, ``language``) that decide for their rows. ``fresh`` asks again what was
    answered before, ``retry_failed`` what failed. ``batch_size`` is for servings that are not ours.
    """

    def __init__(
        self,
        llm_serving: Any,
        *,
        tag: str = "mam",
        bank: str | Path = "human",
        language: Literal["en", "zh"] | None = None,
        seed: int | None = None,
        questions: int = 1,
        output_style: Literal["qa", "answer"] = "qa",
        steering: Sequence[str] = (),
        image_root: str | Path = "",
        fresh: bool = False,
        retry_failed: bool = True,
        probes: bool = True,
        uuid: bool = True,
        batch_size: int = 32,
        **recipe: Any,
    ) -> None:
        super().__init__()
        if unknown := recipe.keys() - {"sensitive", "without", "names", "strategy", "max_pixels"}:
            raise TypeError(f"PersQAGenerator() got an unexpected keyword argument {min(unknown)!r}")
        self.serving = llm_serving
        self.recipe = build(
            Recipe,
            output_key=OUTPUT_KEY,
            output_style="answer",
            details=True,
            tag=tag,
            bank=str(bank),
            language=language,
            questions=questions,
            **recipe,
        )
        self.output_style = output_style
        self.steering = tuple(steering)
        self.seed = seed
        self.batch_size = batch_size
        self.flags = {
            "image_root": Path(image_root),
            "fresh": fresh,
            "retry_failed": retry_failed,
            "probes": probes,
            "uuid": uuid,
        }

    @staticmethod
    def get_desc(lang: str = "zh") -> str:
        """What DataFlow shows of an operator."""
        if lang == "zh":
            return (
                "就每张图片中的主角（默认标记 <mam>）提问，写入“Question: ..., Answer: ...”；"
                "没有合格回答的行，其原因写在 {output_key}_error 中。"
            )
        return (
            "Asks a question about the main character of each picture, called <mam> by default, and adds "
            "'Question: ..., Answer: ...'; a row without a good answer has its reason in {output_key}_error."
        )

    def run(self, storage: Any, input_modal_key: str = "image", output_key: str = "output") -> list[str]:
        """Reads the storage's data frame, asks about each row, writes it back with ``output_key`` added.

        A row that failed has None there. Raises SettingsError before anything is sent, and RunStopped where the
        endpoint refuses all; the same call goes on later where it was.
        """
        if not output_key or output_key == input_modal_key:
            raise SettingsError("output_key must name a column of its own.")
        frame = storage.read("dataframe")
        rows = as_lines(
            [{**row, ROW_KEY: number} for number, row in enumerate(rows_of(frame, input_modal_key, self.steering), 1)]
        )
        answers = self._answers(storage, output_key, rows) if rows else []
        styled = [[self._in_style(answer) for answer in given] for given in answers]
        result = with_answers(frame, styled, output_key, into_conversation=self.output_style == "answer")
        storage.write(result)
        tell(answers)
        return [output_key]

    def _answers(self, storage: Any, output_key: str, rows: list[bytes]) -> list[list[Answer]]:
        settings, pool = self._settings()
        folder = run_folder(storage, output_key, Plan(settings, ListedSource()).identity(), rows)
        if folder is None:
            summary = execute(Run(settings, ListedSource(list(map(load_object, rows))), pool=pool))
            return answers_of(len(rows), summary.records, summary.failures)
        source: Source = FileSource(write_rows(folder, rows))
        output = folder / "answers.jsonl"
        execute(Run(settings.model_copy(update={"output": output}), source, pool=pool))
        files = RunFiles.of(output)
        return answers_of(len(rows), lines_of(files.output), lines_of(files.failed))

    def _settings(self) -> tuple[RunSettings, ForeignPool | None]:
        """Of the run at our own serving's endpoint, or at a pool in its place."""
        serving, seed = self.serving, self.seed
        if isinstance(serving, VLMServing):
            serving.start_serving()
            sampling = serving.sampling if seed is None else serving.sampling.model_copy(update={"seed": seed})
            return self._build(serving.endpoint, sampling, serving.limits), None
        if self.recipe.strategy in ("constrain", "prefill"):
            raise SettingsError(f"{type(serving).__name__} can't be held to the tag: use strategy='auto'.")
        pool = ForeignPool(serving, self.batch_size)
        names = [type(serving).__name__, getattr(serving, "model_name", None)]
        endpoint = build(Endpoint, base_url=NOWHERE, model=" ".join(name for name in names if isinstance(name, str)))
        limits = build(Limits, concurrency=pool.slots)
        return self._build(endpoint, build(Sampling, seed=seed or 0), limits), pool

    def _build(self, endpoint: Endpoint, sampling: Sampling, limits: Limits) -> RunSettings:
        return build(
            RunSettings,
            input=None,
            output=None,
            endpoint=endpoint,
            sampling=sampling,
            limits=limits,
            recipe=self.recipe,
            **self.flags,
        )

    def _in_style(self, answer: Answer) -> Answer:
        if answer.text is None or self.output_style == "answer":
            return answer
        return answer._replace(text=f"Question: {answer.question}, Answer: {answer.text}")


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [load_object(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def tell(answers: Sequence[Sequence[Answer]]) -> None:
    flat = [answer for given in answers for answer in given]
    failed = [answer.error for answer in flat if answer.error]
    log.info("%d questions answered.", len(flat) - len(failed))
    if failed:
        log.warning("%d of %d questions got no answer; the first: %s", len(failed), len(flat), failed[0])
