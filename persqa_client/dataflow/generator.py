"""DataFlow's operator: adds checked questions and answers to a data frame."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from persqa_client.config import Endpoint, Limits, Recipe, build_settings
from persqa_client.dataflow.base import errors_name_arguments, replace_flags
from persqa_client.dataflow.cells import ImageFolder
from persqa_client.dataflow.foreign_serving import ForeignPool
from persqa_client.dataflow.frames import (
    OUTPUT_KEY,
    ROW_KEY,
    RowAnswer,
    add_answers,
    collect_answers,
    get_data_frame,
    iter_frame_rows,
)
from persqa_client.dataflow.vlm_serving import VLMServing
from persqa_client.endpoints.credentials import PLACEHOLDER_URL
from persqa_client.errors import RowError, SettingsError, StorageError
from persqa_client.inputs.files import FileSource
from persqa_client.inputs.sources import InMemorySource, Source
from persqa_client.jsonl import dump_compact, dump_spaced, load_object
from persqa_client.run.background import Monitor, execute_blocking
from persqa_client.run.plan import RunPlan
from persqa_client.run.progress_display import show_progress
from persqa_client.run.run import Run
from persqa_client.run.settings import RunSettings, UuidChoice, make_run_settings
from persqa_client.run.summary import Summary
from persqa_client.storage.run_files import RunFiles
from persqa_client.terminals import QuietConsole
from persqa_client.types import OutputStyle, QuestionLanguage

if TYPE_CHECKING:
    OperatorBase = object
else:
    from persqa_client.dataflow.base import OperatorBase


Line = dict[str, Any]

# Settings of Recipe that the operator takes as they are.
RECIPE_ARGUMENTS = frozenset(
    (
        "sensitive",
        "without",
        "names",
        "strategy",
        "max_pixels",
        "verify",
        "question",
        "system",
        "prompt",
        "answer_style",
    )
)
# Folder in the storage's cache for journals and embedded images.
RUNS_FOLDER = "persqa_runs"


def find_cache_folder(storage: Any) -> Path | None:
    cache = getattr(storage, "cache_path", None)
    return Path(cache) / RUNS_FOLDER if cache else None


@contextmanager
def open_image_folder(storage: Any) -> Iterator[ImageFolder]:
    """One folder per storage; temporary for a storage in memory."""
    if (cache := find_cache_folder(storage)) is not None:
        yield ImageFolder(cache / "pictures")
        return
    with TemporaryDirectory(prefix="persqa-") as folder:
        yield ImageFolder(Path(folder))


def find_run_folder(storage: Any, output_key: str, identity: object, rows: Sequence[bytes]) -> Path | None:
    """Folder for these rows and settings, so that the same call resumes; None for a storage in memory."""
    if (cache := find_cache_folder(storage)) is None:
        return None
    digest = blake2b(dump_compact(identity), digest_size=6)
    for row in rows:
        digest.update(row + b"\n")
    prefix = getattr(storage, "file_name_prefix", None) or "dataflow"
    step = getattr(storage, "operator_step", None)
    name = f"{prefix}_step{step + 1}" if isinstance(step, int) else str(prefix)
    return cache / f"{name}_{output_key}_{digest.hexdigest()}".replace("/", "_")


def write_rows(folder: Path, rows: Sequence[bytes]) -> Path:
    path = folder / "rows.jsonl"
    text = b"".join(row + b"\n" for row in rows)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_bytes() != text:
            path.write_bytes(text)
    except OSError as error:
        raise StorageError(f"The rows can't be written to {path}: {error.strerror or error}.") from error
    return path


def iter_json_lines(path: Path) -> Iterator[Line]:
    """Lazy, because details make lines several times larger than rows."""
    if path.exists():
        with path.open("rb") as file:
            yield from map(load_object, file)


logger = logging.getLogger(__name__)


class PersQAGenerator(OperatorBase):
    """Adds ``Question: …, Answer: …`` about the main character to each row of a data frame.

    ``llm_serving`` is a serving of this package or of DataFlow. Keyword arguments are named like the flags.
    ``steering`` names the columns (``question``, ``tag``, ``category``, ``language``) that apply to their rows.
    ``batch_size`` is for DataFlow's servings.
    """

    @errors_name_arguments()
    def __init__(
        self,
        llm_serving: Any,
        *,
        tag: str = "mam",
        bank: str | Path = "human",
        language: QuestionLanguage | None = None,
        seed: int | None = None,
        questions: int = 1,
        output_style: OutputStyle = "qa",
        steering: Sequence[str] = (),
        image_root: str | Path = "",
        fresh: bool = False,
        retry_failed: bool = True,
        recheck_pictures: bool = False,
        probes: bool = True,
        uuid: bool | UuidChoice = "auto",
        batch_size: int = 32,
        max_bad_answers: int = 20,
        max_bad_rows: int = 200,
        progress: bool = True,
        **recipe: Any,
    ) -> None:
        super().__init__()
        if unknown := recipe.keys() - RECIPE_ARGUMENTS:
            raise TypeError(f"PersQAGenerator() got an unexpected keyword argument {min(unknown)!r}")
        self.serving = llm_serving
        self.recipe = build_settings(
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
        self.stops = {"max_bad_answers": max_bad_answers, "max_bad_rows": max_bad_rows}
        self.progress = progress
        self.flags = {
            "image_root": Path(image_root),
            "fresh": fresh,
            "retry_failed": retry_failed,
            # A second call meets all pictures again.
            "recheck_pictures": "ask" if recheck_pictures else "report",
            "probes": probes,
            "uuid": uuid,
        }

    @staticmethod
    def get_desc(lang: str = "zh") -> str:
        if lang == "zh":
            return (
                "针对每张图片的主角（默认标签 <mam>）提问，写入“Question: ..., Answer: ...”；"
                "没有合格回答的行，原因写入 {output_key}_error 列。"
            )
        return (
            "Asks a question about the main character of each picture, called <mam> by default, and adds "
            "'Question: ..., Answer: ...'. The column {output_key}_error holds the reason for rows without an answer."
        )

    @errors_name_arguments()
    def run(self, storage: Any, input_modal_key: str = "image", output_key: str = "output") -> list[str]:
        """Asks about each row of the storage's data frame, and writes it back with ``output_key``; None for failed
        rows.

        Raises SettingsError before anything is sent, and RunStopped if the endpoint rejects all requests; the same call
        then resumes.
        """
        if not output_key or output_key == input_modal_key:
            raise SettingsError("output_key must name a column other than input_modal_key.")
        frame = get_data_frame(storage)
        answers = self._answers(storage, frame, input_modal_key, output_key)
        result = add_answers(
            frame,
            [[self._in_style(answer) for answer in given] for given in answers],
            output_key,
            into_conversation=self.output_style == "answer",
            # A storage in batches appends to one file with fixed columns.
            always_errors=bool(getattr(storage, "batch_size", None)),
        )
        storage.write(result)
        log_result(answers)
        return [output_key]

    def _answers(self, storage: Any, frame: Any, image_key: str, output_key: str) -> list[list[RowAnswer]]:
        settings, pool = self._settings()
        with open_image_folder(storage) as pictures:
            rows: list[bytes] = []
            refused: dict[int, RowAnswer] = {}
            for number, row in enumerate(iter_frame_rows(frame, image_key, self.steering, pictures.store), 1):
                if isinstance(row, RowError):
                    refused[number] = RowAnswer(None, error=f"{row.code}: {row}.")
                else:
                    rows.append(dump_spaced({**row, ROW_KEY: number}))
            settings = settings.model_copy(update={"fallback_roots": pictures.roots, "is_part": True})
            records, failures = self._ask(storage, output_key, rows, settings, pool) if rows else ((), ())
        answers = collect_answers(len(frame), records, failures)
        return [[refused[number]] if number in refused else given for number, given in enumerate(answers, 1)]

    def _ask(
        self, storage: Any, output_key: str, rows: list[bytes], settings: RunSettings, pool: ForeignPool | None
    ) -> tuple[Iterable[Line], Iterable[Line]]:
        folder = find_run_folder(storage, output_key, RunPlan(settings).identity(), rows)
        if folder is None:
            summary = self._execute(settings, InMemorySource(list(map(load_object, rows))), pool)
            return summary.records, summary.failures
        files = RunFiles.for_output(folder / "answers.jsonl")
        # Only failed rows of an earlier call are asked again.
        again = settings.retry_failed and files.run.exists()
        settings = settings.model_copy(update={"output": files.output, "retry_failed": again})
        self._execute(settings, FileSource(write_rows(folder, rows)), pool)
        return iter_json_lines(files.output), iter_json_lines(files.failed)

    def _execute(self, settings: RunSettings, source: Source, pool: ForeignPool | None) -> Summary:
        run = Run(settings, source, pool=pool, warn=lambda text: logger.warning(replace_flags(text)))
        if not isinstance(self.serving, VLMServing):
            return execute_blocking(run, *self._progress_monitors())
        with run.hold_files() as has_work:
            if has_work:
                run.use_endpoint(self.serving.endpoint)
            return execute_blocking(run, *self._progress_monitors())

    def _progress_monitors(self) -> list[Monitor]:
        """The progress display. Uses stderr also in notebooks, where only that works from other threads."""
        console = QuietConsole(stderr=True, force_jupyter=False)
        return [partial(show_progress, console=console)] if self.progress else []

    def _settings(self) -> tuple[RunSettings, ForeignPool | None]:
        """Settings with a placeholder endpoint, and the pool for DataFlow's servings."""
        serving, seed = self.serving, self.seed
        if isinstance(serving, VLMServing):
            sampling = serving.sampling if seed is None else serving.sampling.model_copy(update={"seed": seed})
            endpoint = build_settings(Endpoint, base_url=PLACEHOLDER_URL, model=serving.model_name)
            limits = build_settings(Limits, **{**serving.limits.model_dump(), **self.stops})
            return make_run_settings([endpoint], self.flags, sampling=sampling, limits=limits, recipe=self.recipe), None
        if self.recipe.strategy in ("constrain", "prefill"):
            raise SettingsError(
                f"{type(serving).__name__} does not support constrained or prefilled answers: use strategy='auto'."
            )
        pool = ForeignPool(serving, self.batch_size)
        names = [type(serving).__name__, getattr(serving, "model_name", None)]
        model = " ".join(name for name in names if isinstance(name, str))
        endpoint = build_settings(Endpoint, base_url=PLACEHOLDER_URL, model=model)
        flags = {**self.flags, "seed": seed or 0, "concurrency": pool.permits, **self.stops}
        return make_run_settings([endpoint], flags, recipe=self.recipe), pool

    def _in_style(self, answer: RowAnswer) -> RowAnswer:
        if answer.text is None or self.output_style == "answer":
            return answer
        return answer._replace(text=f"Question: {answer.question}, Answer: {answer.text}")


def log_result(answers: Sequence[Sequence[RowAnswer]]) -> None:
    flat = [answer for given in answers for answer in given]
    failed = [answer.error for answer in flat if answer.error]
    logger.info("%d questions answered.", len(flat) - len(failed))
    if failed:
        logger.warning("%d of %d questions have no answer; first reason: %s", len(failed), len(flat), failed[0])
