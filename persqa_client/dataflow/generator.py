"""DataFlow's operator that asks about the main character of each picture of a data frame. Composes a run."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from persqa_client.config import Endpoint, Limits, Recipe, RunSettings, Sampling, build_settings
from persqa_client.dataflow.base import in_arguments
from persqa_client.dataflow.cells import PictureFolder
from persqa_client.dataflow.foreign_serving import ForeignPool
from persqa_client.dataflow.frames import OUTPUT_KEY, ROW_KEY, Answer, answers_of, frame_of, rows_of, with_answers
from persqa_client.dataflow.vlm_serving import VLMServing
from persqa_client.endpoints.credentials import PLACEHOLDER_URL
from persqa_client.errors import RowError, SettingsError, StorageError
from persqa_client.inputs.sources import FileSource, InMemorySource, Source
from persqa_client.jsonl import dump_compact, dump_spaced, load_object
from persqa_client.run.background import Monitor, execute_blocking
from persqa_client.run.plan import RunPlan
from persqa_client.run.progress import QuietConsole, show_progress
from persqa_client.run.run import Run
from persqa_client.run.summary import Summary
from persqa_client.storage.run_files import RunFiles

if TYPE_CHECKING:
    OperatorBase = object
else:
    from persqa_client.dataflow.base import OperatorBase


# Where the run behind an operator keeps its journal, by what is asked, and the pictures that its frame held: in the
# storage's cache folder. Reads and writes files.

Line = dict[str, Any]

FOLDER = "persqa_runs"


def cache_folder(storage: Any) -> Path | None:
    """None where the storage keeps all in memory."""
    cache = getattr(storage, "cache_path", None)
    return Path(cache) / FOLDER if cache else None


@contextmanager
def picture_folder(storage: Any) -> Iterator[PictureFolder]:
    """One for all runs of the storage; without a cache folder, one for as long as it is held."""
    if (cache := cache_folder(storage)) is not None:
        yield PictureFolder(cache / "pictures")
        return
    with TemporaryDirectory(prefix="persqa-") as folder:
        yield PictureFolder(Path(folder))


def run_folder(storage: Any, output_key: str, identity: object, rows: Sequence[bytes]) -> Path | None:
    """The folder of the run that asks these rows in this way; None where the storage has no cache folder.

    The same frame and settings find the same folder, and go on there; others are a run of their own.
    """
    if (cache := cache_folder(storage)) is None:
        return None
    digest = blake2b(dump_compact(identity), digest_size=6)
    for row in rows:
        digest.update(row + b"\n")
    prefix = getattr(storage, "file_name_prefix", None) or "dataflow"
    step = getattr(storage, "operator_step", None)
    name = f"{prefix}_step{step + 1}" if isinstance(step, int) else str(prefix)
    return cache / f"{name}_{output_key}_{digest.hexdigest()}".replace("/", "_")


def write_rows(folder: Path, rows: Sequence[bytes]) -> Path:
    """The rows as the input of the run, unless they lie there already. Raises StorageError."""
    path = folder / "rows.jsonl"
    text = b"".join(row + b"\n" for row in rows)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_bytes() != text:
            path.write_bytes(text)
    except OSError as error:
        raise StorageError(f"The rows can't be written to {path}: {error.strerror or error}.") from error
    return path


def lines_of(path: Path) -> Iterator[Line]:
    """Bit by bit: with what is told of each answer, they are several times the size of the rows."""
    if path.exists():
        with path.open("rb") as file:
            yield from map(load_object, file)


logger = logging.getLogger(__name__)


class PersQAGenerator(OperatorBase):
    """Adds ``Question: …, Answer: …`` about the main character to each row of a data frame.

    ``llm_serving`` is one of ours or any of DataFlow's; the keyword arguments are the command's flags by their Python
    names. ``questions`` above 1 gives each row as many times, one after the other. ``steering`` names columns
    (``question``, ``tag``, ``category``, ``language``) that decide for their rows. ``fresh`` asks again what was
    answered before, ``retry_failed`` what failed then. ``batch_size`` is for servings that are not ours. ``progress``
    shows on stderr how it goes: a bar at a terminal, elsewhere a line every ten seconds.
    """

    @in_arguments()
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
        progress: bool = True,
        **recipe: Any,
    ) -> None:
        super().__init__()
        if unknown := recipe.keys() - {"sensitive", "without", "names", "strategy", "max_pixels"}:
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
        self.progress = progress
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

    @in_arguments()
    def run(self, storage: Any, input_modal_key: str = "image", output_key: str = "output") -> list[str]:
        """Reads the storage's data frame, asks about each row, writes it back with ``output_key`` added.

        A row that failed has None there. Raises SettingsError before anything is sent, and RunStopped where the
        endpoint refuses all; the same call goes on later where it was.
        """
        if not output_key or output_key == input_modal_key:
            raise SettingsError("output_key must name a column of its own.")
        frame = frame_of(storage)
        answers = self._answers(storage, frame, input_modal_key, output_key)
        result = with_answers(
            frame,
            [[self._in_style(answer) for answer in given] for given in answers],
            output_key,
            into_conversation=self.output_style == "answer",
            # A storage that takes a frame in batches appends them to one file, whose columns can't change.
            always_errors=bool(getattr(storage, "batch_size", None)),
        )
        storage.write(result)
        tell(answers)
        return [output_key]

    def _answers(self, storage: Any, frame: Any, image_key: str, output_key: str) -> list[list[Answer]]:
        """For each row of the frame. Those that can't be asked about have no part in the run."""
        settings, pool = self._settings()
        with picture_folder(storage) as pictures:
            rows: list[bytes] = []
            refused: dict[int, Answer] = {}
            for number, row in enumerate(rows_of(frame, image_key, self.steering, pictures.keep), 1):
                if isinstance(row, RowError):
                    refused[number] = Answer(None, error=f"{row.code}: {row}.")
                else:
                    rows.append(dump_spaced({**row, ROW_KEY: number}))
            settings = settings.model_copy(update={"further_roots": pictures.roots})
            records, failures = self._ask(storage, output_key, rows, settings, pool) if rows else ((), ())
        answers = answers_of(len(frame), records, failures)
        return [[refused[number]] if number in refused else given for number, given in enumerate(answers, 1)]

    def _ask(
        self, storage: Any, output_key: str, rows: list[bytes], settings: RunSettings, pool: ForeignPool | None
    ) -> tuple[Iterable[Line], Iterable[Line]]:
        """The rows with their answers, and those that failed; a run before over the same ones is gone on with."""
        folder = run_folder(storage, output_key, RunPlan(settings).identity(), rows)
        if folder is None:
            summary = self._execute(settings, InMemorySource(list(map(load_object, rows))), pool)
            return summary.records, summary.failures
        files = RunFiles.for_output(folder / "answers.jsonl")
        # Of an earlier call alone: what fails in this one is not tried twice.
        again = settings.retry_failed and files.run.exists()
        settings = settings.model_copy(update={"output": files.output, "retry_failed": again})
        self._execute(settings, FileSource(write_rows(folder, rows)), pool)
        return lines_of(files.output), lines_of(files.failed)

    def _execute(self, settings: RunSettings, source: Source, pool: ForeignPool | None) -> Summary:
        """The run; a serving of ours has its server started only where there is something to ask."""
        run = Run(settings, source, pool=pool)
        for warning in run.plan.warnings():
            logger.warning(warning)
        run.pool.warn = logger.warning
        if not isinstance(self.serving, VLMServing):
            return execute_blocking(run, *self._beside())
        with run.hold_files() as has_work:
            if has_work:
                run.use_endpoint(self.serving.endpoint)
            return execute_blocking(run, *self._beside())

    def _beside(self) -> list[Monitor]:
        """In a notebook, too, stderr is what can be written to from another thread."""
        console = QuietConsole(stderr=True, force_jupyter=False)
        return [partial(show_progress, console=console)] if self.progress else []

    def _settings(self) -> tuple[RunSettings, ForeignPool | None]:
        """Of the run, whose endpoint is known when it is needed, and the pool in its place for foreign servings."""
        serving, seed = self.serving, self.seed
        if isinstance(serving, VLMServing):
            sampling = serving.sampling if seed is None else serving.sampling.model_copy(update={"seed": seed})
            return self._build(serving.model_name, sampling, serving.limits), None
        if self.recipe.strategy in ("constrain", "prefill"):
            raise SettingsError(f"{type(serving).__name__} can't be held to the tag: use strategy='auto'.")
        pool = ForeignPool(serving, self.batch_size)
        names = [type(serving).__name__, getattr(serving, "model_name", None)]
        model = " ".join(name for name in names if isinstance(name, str))
        return self._build(
            model, build_settings(Sampling, seed=seed or 0), build_settings(Limits, concurrency=pool.slots)
        ), pool

    def _build(self, model: str, sampling: Sampling, limits: Limits) -> RunSettings:
        return build_settings(
            RunSettings,
            input=None,
            output=None,
            endpoint=build_settings(Endpoint, base_url=PLACEHOLDER_URL, model=model),
            sampling=sampling,
            limits=limits,
            recipe=self.recipe,
            **self.flags,
        )

    def _in_style(self, answer: Answer) -> Answer:
        if answer.text is None or self.output_style == "answer":
            return answer
        return answer._replace(text=f"Question: {answer.question}, Answer: {answer.text}")


def tell(answers: Sequence[Sequence[Answer]]) -> None:
    flat = [answer for given in answers for answer in given]
    failed = [answer.error for answer in flat if answer.error]
    logger.info("%d questions answered.", len(flat) - len(failed))
    if failed:
        logger.warning("%d of %d questions got no answer; the first: %s", len(failed), len(flat), failed[0])
