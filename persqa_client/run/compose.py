"""Builds a pipeline from a run's settings, for the command, Python and DataFlow."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import httpx2

from persqa_client.answers.checks import TAGGED_ANSWER_CHECKS
from persqa_client.answers.phrases import describe_unchecked_language, find_unchecked_language
from persqa_client.config import Endpoint, Limits, Recipe, Sampling
from persqa_client.endpoints.pool import Pool
from persqa_client.endpoints.session import Session
from persqa_client.errors import SettingsError
from persqa_client.images.loader import ImageCache, ImageLoader
from persqa_client.images.references import estimate_reference_size
from persqa_client.images.tokens import ModelFamily, detect_model_family, make_token_counter
from persqa_client.inputs.rows import parse_line
from persqa_client.jsonl import dump_spaced, load_object
from persqa_client.limits.open_files import fit_open_files
from persqa_client.probing.capabilities import ServerCapabilities, list_warnings
from persqa_client.probing.probe import ProbeDepth, probe_all, resolve_common_strategy, shortest_context
from persqa_client.questions.bank import Bank, read_bank_file
from persqa_client.questions.categories import CATEGORIES, parse_need
from persqa_client.questions.prompts import prompts_digest, verification_digest
from persqa_client.questions.tags import find_tag_risks, parse_tag, read_real_names
from persqa_client.questions.tasks import TaskMaker
from persqa_client.run.image_roots import AS_GIVEN, PathWriters, check_image_root, find_image_roots
from persqa_client.run.pipeline import NoteImage, Pipeline, ignore_image
from persqa_client.run.settings import RunSettings
from persqa_client.storage.records import render_outcome
from persqa_client.storage.writer import RenderLine
from persqa_client.types import BadRow, Row, Strategy, TaskId

# During preparation both the file and the encoded image are in memory.
BYTES_PER_IMAGE_BYTE = 2
# One thread per core, because Pillow releases the GIL; at least four, for slow disks.
IMAGE_THREADS = max(4, min(16, os.cpu_count() or 1))
# Model family by the side in pixels of one image token, as measured by the probe.
FAMILY_BY_PATCH: dict[int, ModelFamily] = {28: "qwen2.5-vl", 32: "qwen3-vl"}


class RunPlan:
    """The parts of a run that need no server.

    Relative image paths are looked up first in ``recorded_roots``, those of the run that wrote the input, and then in
    ``input_folder``. Raises SettingsError.
    """

    def __init__(
        self, settings: RunSettings, input_folder: Path | None = None, recorded_roots: tuple[Path, ...] = ()
    ) -> None:
        recipe = settings.recipe
        self.settings = settings
        check_image_root(settings.image_root)
        self.image_roots = (
            *find_image_roots(settings.image_root, input_folder, recorded_roots),
            *settings.fallback_roots,
        )
        self.bank = make_bank(recipe)
        self.names = read_real_names(recipe.names) if recipe.names else ()
        self.tag = make_tag(recipe.tag)

    def with_settings(self, settings: RunSettings) -> RunPlan:
        """The plan for other endpoints. The files of the bank and of the names are not read again."""
        plan = copy.copy(self)
        plan.settings = settings
        return plan

    def make_task_maker(self, strategy: Strategy) -> TaskMaker:
        category, language = default_category_and_language(self.settings.recipe, self.bank)
        return TaskMaker(
            self.tag,
            self.settings.sampling.seed,
            self.bank,
            TAGGED_ANSWER_CHECKS,
            category=category,
            language=language,
            questions=self.settings.recipe.questions,
            strategy=strategy,
            names=self.names,
        )

    def make_row_reader(self, *, share_images: bool = False, paths: PathWriters = AS_GIVEN) -> RowReader:
        return RowReader(self.settings.recipe, self.image_roots, self.make_task_maker("direct"), share_images, paths)

    def identity(self) -> dict[str, Any]:
        """The settings that affect the data, by flag name; files are represented by digests."""
        recipe = self.settings.recipe
        identity = self.settings.identity()
        if recipe.bank not in CATEGORIES:
            identity["bank"] = f"a file with the digest {digest_file(Path(recipe.bank))}"
        if recipe.names is not None:
            identity["names"] = f"a file with the digest {digest_file(recipe.names)}"
        return identity

    def digests(self) -> dict[str, str]:
        """Digests of the built-in questions and prompts, which change with an upgrade that edits them."""
        digests = {"bank-digest": self.bank.digest, "prompts-digest": prompts_digest()}
        if self.settings.recipe.verify != "off":
            digests["verify-digest"] = verification_digest()
        return digests

    def warnings(self) -> tuple[str, ...]:
        return tuple(f"The tag {self.tag}: {risk}." for risk in find_tag_risks(self.settings.recipe.tag))

    def make_renderer(self) -> RenderLine:
        recipe = self.settings.recipe
        return partial(
            render_outcome,
            output_key=recipe.output_key,
            style=recipe.output_style,
            details=recipe.details,
            numbered=recipe.questions > 1,
        )


@dataclass(frozen=True, slots=True)
class RowReader:
    recipe: Recipe
    image_roots: tuple[Path, ...]
    task_maker: TaskMaker
    share_images: bool = False
    paths: PathWriters = AS_GIVEN

    @property
    def jobs_per_permit(self) -> int:
        """Above 1 with several questions per row: later ones wait until the first has uploaded the images."""
        return 2 if self.recipe.questions > 1 else 1

    def parse(self, number: int, line: bytes, name: str | None = None, path: str | None = None) -> Row | BadRow:
        """``name``: name of a listed file, see ``Row.names``. ``path``: the file that is read for the row."""
        row = self._parse(number, line)
        writer = self.paths.rows if path is None else self.paths.listed
        if writer is not None:
            row = writer.rewrite(row, self.recipe.image_key)
        return row if path is None or isinstance(row, BadRow) else locate_row(row, name, path)

    def _parse(self, number: int, line: bytes) -> Row | BadRow:
        recipe = self.recipe
        return parse_line(
            number, line, image_key=recipe.image_key, output_key=recipe.output_key, details=recipe.details
        )

    def parse_answered(self, line: bytes) -> Row | None:
        """The row of a line of the output."""
        try:
            fields = load_object(line)
        except ValueError:
            return None
        added = {self.recipe.output_key, f"{self.recipe.output_key}_meta"}
        row = self._parse(0, dump_spaced({key: value for key, value in fields.items() if key not in added}))
        if isinstance(row, BadRow):
            return None
        writer = self.paths.rows or self.paths.listed
        return row if writer is None else row._replace(images=writer.resolve(row.images))

    def task_ids(self, row: Row | BadRow) -> tuple[TaskId, ...]:
        return (TaskId(row.number),) if isinstance(row, BadRow) else self.task_maker.task_ids(row)

    def weigh(self, row: Row | BadRow, task_id: TaskId) -> int:
        shares = self.share_images and task_id.question > 0
        if isinstance(row, BadRow) or (shares and row.only_question is None):
            return len(row.line)
        images = sum([estimate_reference_size(reference, self.image_roots) for reference in row.images])
        return len(row.line) + BYTES_PER_IMAGE_BYTE * images


def locate_row(row: Row, name: str | None, path: str) -> Row:
    """Returns the row with its image at ``path``. Without ``name``, the image reference in its line identifies it."""
    return row._replace(names=row.images if name is None else (name,), images=(path,))


def make_tag(name: str) -> str:
    try:
        return parse_tag(name)
    except ValueError as error:
        raise SettingsError(f"--tag: {error}.") from error


def make_bank(recipe: Recipe) -> Bank:
    """Raises SettingsError for an invalid bank file, and if the bank has fewer questions than each row needs."""
    own = recipe.bank if recipe.bank in CATEGORIES else read_bank_file(Path(recipe.bank))
    bank = Bank.build(own, sensitive=recipe.sensitive, without=parse_needs(recipe.without))
    category, language = default_category_and_language(recipe, bank)
    available = len(bank.questions(category, language))
    if recipe.questions > available:
        left = " (after --without)" if recipe.without else ""
        raise SettingsError(
            f"--questions {recipe.questions} is more than the bank's {available} questions about category {category} "
            f"in language {language}{left}. Use a smaller --questions or a larger --bank."
        )
    return bank


def default_category_and_language(recipe: Recipe, bank: Bank) -> tuple[str, str]:
    language = recipe.language or bank.languages[0]
    return bank.default_category(language), language


def parse_needs(names: Iterable[str]) -> frozenset[str]:
    try:
        return frozenset(map(parse_need, names))
    except ValueError as error:
        raise SettingsError(f"--without: {error}.") from error


def digest_file(path: Path) -> str:
    return blake2b(path.read_bytes(), digest_size=8).hexdigest()


def ignore_warning(warning: str) -> None:
    """Default for callers that show no warnings."""


class Composition(AbstractAsyncContextManager["Composition"]):
    """Call ``probe`` first, then ``make_pipeline`` and ``make_row_reader``. Belongs to one event loop.

    ``pool`` overrides the pool of the settings. ``warn`` is called with the warnings of a pool that is made here, for
    features that the probes could not show, and for languages whose phrases are not checked.
    """

    def __init__(
        self,
        plan: RunPlan,
        *,
        pool: Pool | None = None,
        http_client: httpx2.AsyncClient | None = None,
        warn: Callable[[str], None] = ignore_warning,
        note_image: NoteImage = ignore_image,
    ) -> None:
        settings = plan.settings
        self.plan = plan
        self.settings = settings
        self._warn = warn
        self._note_image = note_image
        self.pool = pool or make_pool(settings, http_client, warn)
        # Probed features of each server; empty before the probe.
        self.servers: tuple[ServerCapabilities, ...] = ()
        self.strategy: Strategy = "direct"
        # Warnings about the languages of the questions. They do not depend on the server.
        self.question_warnings: list[str] = []
        self._cache = ImageCache(
            plan.image_roots, max_pixels=settings.recipe.max_pixels, max_bytes=settings.limits.image_cache_bytes
        )
        self._threads = ThreadPoolExecutor(IMAGE_THREADS, thread_name_prefix="image")

    async def probe(self, depth: ProbeDepth | None, *, uuid: bool) -> None:
        """Probes the servers. ``depth`` None sends nothing and assumes no features. Raises RunStopped.

        ``uuid``: images may be sent by uuid, after a test unless the settings say ``on``.
        """
        wanted = self.settings.recipe.strategy
        if depth is None:
            self.servers = (ServerCapabilities(),)
        else:
            tested = uuid and self.settings.uuid == "auto"
            self.servers = await probe_all(self.pool.sessions, wanted, depth, uuid=tested)
            base_urls = [session.endpoint.base_url for session in self.pool.sessions]
            for warning in list_warnings(self.servers, base_urls):
                self._warn_once(warning, self.pool.warnings)  # a probe may be repeated
        if uuid and self.settings.uuid == "on":
            for session in self.pool.sessions:
                session.profile.dialect = replace(session.profile.dialect, sends_uuids=True)
        self.strategy = resolve_common_strategy(self.servers, wanted)

    def _note_question(self, question: str) -> None:
        language = find_unchecked_language(question)
        if language is not None:
            self._warn_once(describe_unchecked_language(language), self.question_warnings)

    def _warn_once(self, warning: str, earlier: list[str]) -> None:
        if warning not in earlier:
            earlier.append(warning)
            self._warn(warning)

    @property
    def share_images(self) -> bool:
        if self.settings.uuid != "auto":
            return self.settings.uuid == "on"
        return bool(self.servers) and all(server.uuid for server in self.servers)

    def make_row_reader(self, paths: PathWriters = AS_GIVEN) -> RowReader:
        return self.plan.make_row_reader(share_images=self.share_images, paths=paths)

    def make_pipeline(self) -> Pipeline:
        settings, share_images = self.settings, self.share_images
        loader = ImageLoader(
            self._cache,
            self._threads,
            settings.sampling.extra_body,
            share_all=settings.recipe.questions > 1,
            share_repeated=share_images,
        )
        patches = (server.picture_patch for server in self.servers if server.picture_patch in FAMILY_BY_PATCH)
        patch = next(patches, None)
        family = FAMILY_BY_PATCH[patch] if patch else detect_model_family(settings.endpoint.model)
        return Pipeline(
            self.pool.completer,
            loader.load,
            self.plan.make_task_maker(self.strategy),
            max_tokens=settings.sampling.max_tokens,
            context=shortest_context(self.servers),
            model_family=family,
            share_images=share_images,
            verify=settings.recipe.verify,
            note_question=self._note_question,
            note_image=self._note_image,
        )

    async def aclose(self) -> None:
        await self.pool.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


def make_pool(settings: RunSettings, http_client: httpx2.AsyncClient | None, warn: Callable[[str], None]) -> Pool:
    limits = fit_open_files(settings.limits, len(settings.endpoints))
    if limits.concurrency != settings.limits.concurrency:
        warn(
            f"--concurrency {settings.limits.concurrency} is lowered to {limits.concurrency}, because this process may "
            "not open more files (ulimit -n)."
        )
    return Pool([make_session(one, settings.sampling, limits, http_client) for one in settings.endpoints], warn=warn)


def make_session(
    endpoint: Endpoint, sampling: Sampling, limits: Limits, http_client: httpx2.AsyncClient | None = None
) -> Session:
    return Session(
        endpoint,
        sampling=sampling,
        limits=limits,
        http_client=http_client,
        image_tokens=make_token_counter(endpoint.model),
    )
