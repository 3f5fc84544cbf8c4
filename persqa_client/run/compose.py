"""From settings to the parts of a run: how its rows are read, asked, weighed and written. Reads the user's own bank and
list of names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

from persqa_client.answers.checks import TAGGED_ANSWER_CHECKS
from persqa_client.config import Recipe, RunSettings
from persqa_client.errors import SettingsError
from persqa_client.images.cache import ImageCache
from persqa_client.images.loader import ImageLoader
from persqa_client.images.references import estimate_reference_size
from persqa_client.images.tokens import ModelFamily, count_image_tokens, detect_model_family
from persqa_client.inputs.rows import parse_line
from persqa_client.inputs.sources import FileSource, Source
from persqa_client.probing.capabilities import ServerCapabilities
from persqa_client.probing.probe import shortest_context
from persqa_client.questions.bank import Bank, read_bank_file
from persqa_client.questions.categories import CATEGORIES, parse_need
from persqa_client.questions.tags import find_tag_risks, parse_tag, read_real_names
from persqa_client.questions.tasks import TaskMaker
from persqa_client.run.pipeline import Completer, Pipeline, keep_quiet
from persqa_client.storage.records import render_failure, render_record
from persqa_client.types import BadRow, EncodedImage, Failure, Outcome, Row, Strategy, TaskId

BYTES_PER_PICTURE_BYTE = 2
"""While a picture is prepared there is its file, and what is made of it; afterwards the latter alone."""
FAMILIES: dict[int, ModelFamily] = {28: "qwen2.5-vl", 32: "qwen3-vl"}
"""The rule of picture tokens, by the side of the square that a server was seen to count as one."""


class RunPlan:
    """What the settings of one run mean for each of its rows.

    Raises SettingsError where the tag can't be one, or where the user's own bank or list of names is not in order.
    """

    def __init__(self, settings: RunSettings, source: Source) -> None:
        recipe = settings.recipe
        self.settings = settings
        self.recipe = recipe
        self.roots = (*roots_of(settings.image_root, source), *settings.fallback_roots)
        self.shelf = ImageCache(self.roots, max_pixels=recipe.max_pixels, max_bytes=settings.limits.image_cache_bytes)
        self.bank = make_bank(recipe)
        self.names = read_real_names(recipe.names) if recipe.names else ()
        self.tag = make_tag(recipe.tag)
        self.asks = self.ask_maker("direct")
        self.once = False
        """Whether a picture is sent once for all questions about it: known when the server is."""

    def ask_maker(self, strategy: Strategy) -> TaskMaker:
        category, language = defaults(self.recipe, self.bank)
        return TaskMaker(
            self.tag,
            self.settings.sampling.seed,
            self.bank,
            TAGGED_ANSWER_CHECKS,
            category=category,
            language=language,
            questions=self.recipe.questions,
            strategy=strategy,
            names=self.names,
        )

    def identity(self) -> dict[str, Any]:
        """The settings that decide the data, by flag name; of files, what is in them."""
        identity = self.settings.identity()
        if self.recipe.bank not in CATEGORIES:
            identity["bank"] = f"a file with the digest {digest(Path(self.recipe.bank))}"
        if self.recipe.names is not None:
            identity["names"] = f"a file with the digest {digest(self.recipe.names)}"
        return identity

    def warnings(self) -> tuple[str, ...]:
        """What is allowed and may be regretted, one sentence each."""
        return tuple(f"The tag {self.tag}: {doubt}." for doubt in find_tag_risks(self.recipe.tag))

    def parse(self, number: int, line: bytes) -> Row | BadRow:
        return parse_line(number, line, image_key=self.recipe.image_key, output_key=self.recipe.output_key)

    def units(self, row: Row | BadRow) -> tuple[TaskId, ...]:
        """What is asked about a row; a line that can't be asked about stands once."""
        return (TaskId(row.number),) if isinstance(row, BadRow) else self.asks.task_ids(row)

    @property
    def spread(self) -> int:
        """How many times as many questions must be under way: those of a row wait for its first half of the time."""
        return 2 if self.recipe.questions > 1 else 1

    def weigh(self, row: Row | BadRow, unit: TaskId) -> int:
        """Bytes that a question of the row may come to hold while it is under way, its pictures included, about.

        Where pictures are sent once, they count with the row's first question: the others share them.
        """
        if isinstance(row, BadRow) or (self.once and unit.question > 0 and row.only_question is None):
            return len(row.line)
        return len(row.line) + BYTES_PER_PICTURE_BYTE * sum(
            estimate_reference_size(reference, self.roots) for reference in row.images
        )

    def told(self, loaded: Callable[[TaskId, int], None]) -> Callable[[TaskId, int], None]:
        """``loaded``, told what a unit holds in truth: nothing of its own, where it shares a picture that was sent."""
        return lambda unit, size: loaded(unit, 0 if self.once and unit.question > 0 else size)

    def load(self, reference: str) -> EncodedImage:
        """The picture as it will be sent. Blocks; threads may call it at once."""
        return self.shelf.load(reference)

    def render(self, line: bytes, outcome: Outcome) -> bytes:
        recipe = self.recipe
        if isinstance(outcome, Failure):
            return render_failure(line, outcome, numbered=recipe.questions > 1)
        return render_record(
            line, outcome, output_key=recipe.output_key, style=recipe.output_style, details=recipe.details
        )

    def pipeline(
        self,
        completer: Completer,
        threads: Executor,
        strategy: Strategy,
        servers: Sequence[ServerCapabilities],
        loaded: Callable[[TaskId, int], None] = keep_quiet,
    ) -> Pipeline:
        """The journey of a row at one of some servers, its pictures loaded in the given threads.

        ``loaded`` is told what a unit then holds, in bytes.
        """
        self.once = self.settings.uuid and bool(servers) and all(server.uuid for server in servers)
        images = ImageLoader(
            self.shelf,
            threads,
            self.settings.sampling.extra_body,
            share_all=self.recipe.questions > 1,
            share_repeated=self.once,
        )
        seen = next((family for server in servers if (family := FAMILIES.get(server.picture_patch or 0))), None)
        family = seen or detect_model_family(self.settings.endpoint.model)
        return Pipeline(
            completer,
            images.load,
            self.ask_maker(strategy),
            loaded=self.told(loaded),
            room=self.settings.sampling.max_tokens,
            context=shortest_context(servers),
            **({"count": partial(count_image_tokens, family=family)} if family else {}),
        )


def make_tag(name: str) -> str:
    try:
        return parse_tag(name)
    except ValueError as error:
        raise SettingsError(f"--tag: {error}.") from error


def make_bank(recipe: Recipe) -> Bank:
    """Raises SettingsError where the bank is no category and no file in order, or has too few questions."""
    own = recipe.bank if recipe.bank in CATEGORIES else read_bank_file(Path(recipe.bank))
    bank = Bank.build(own, sensitive=recipe.sensitive, without=make_needs(recipe.without))
    category, language = defaults(recipe, bank)
    if recipe.questions > (there := len(bank.questions(category, language))):
        left = " that --without leaves" if recipe.without else ""
        raise SettingsError(
            f"--questions {recipe.questions} is more than the {there}{left} about category {category} in language "
            f"{language}: ask fewer, or give a larger --bank."
        )
    return bank


def defaults(recipe: Recipe, bank: Bank) -> tuple[str, str]:
    """The category and the language of rows that name none."""
    language = recipe.language or bank.languages[0]
    return bank.default_category(language), language


def make_needs(words: Iterable[str]) -> frozenset[str]:
    try:
        return frozenset(map(parse_need, words))
    except ValueError as error:
        raise SettingsError(f"--without: {error}.") from error


def digest(path: Path) -> str:
    return blake2b(path.read_bytes(), digest_size=8).hexdigest()


def roots_of(image_root: Path | None, source: Source) -> tuple[Path, ...]:
    """Where relative picture paths are looked for, in order."""
    if image_root is not None:
        return (image_root,)
    # Once, where the input lies in the working directory.
    return tuple(dict.fromkeys((source.path.parent, Path()))) if isinstance(source, FileSource) else (Path(),)
