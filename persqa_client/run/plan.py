"""The parts of a run that need no server, made of its settings: bank, tag, texts, rows and tasks."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

from persqa_client.answers.checks import PHRASE_CHECKS, TAGGED_ANSWER_CHECKS
from persqa_client.config import Recipe
from persqa_client.errors import RowError, SettingsError
from persqa_client.images.confined_roots import ConfinedRoots
from persqa_client.images.data_uris import read_data_uri
from persqa_client.images.prepare import read_image
from persqa_client.images.references import estimate_reference_size, make_reference
from persqa_client.inputs.memory_pictures import hide_pictures
from persqa_client.inputs.rows import parse_line
from persqa_client.inputs.shards import Shard
from persqa_client.inputs.sources import NamedLine
from persqa_client.inputs.subjects import SubjectFields, find_folder_tag
from persqa_client.jsonl import dump_spaced, load_object
from persqa_client.questions.bank import Bank, read_bank_file
from persqa_client.questions.categories import CATEGORIES, parse_need
from persqa_client.questions.introductions import introductions_digest
from persqa_client.questions.prompts import lengths_digest, prompts_digest, verification_digest
from persqa_client.questions.steering import Steering, make_steering
from persqa_client.questions.tags import find_tag_risks, parse_tag, read_real_names
from persqa_client.questions.tasks import TaskMaker, check_row_question, place_message
from persqa_client.run.image_roots import (
    AS_GIVEN,
    PathWriters,
    check_image_root,
    find_image_roots,
    make_fetched_folder,
)
from persqa_client.run.prices import complete_prices
from persqa_client.run.settings import RunSettings
from persqa_client.storage.records import render_outcome
from persqa_client.storage.writer import RenderLine
from persqa_client.types import BadRow, Row, Strategy, TaskId

# During preparation both the file and the encoded image are in memory.
BYTES_PER_IMAGE_BYTE = 2


class RunPlan:
    """The parts of a run that need no server.

    Relative image paths are looked up first in ``recorded_roots``, those of the run that wrote the input, and then in
    ``input_folder``. ``counted_as``: see ``Row``. ``stores``: the buckets from which pictures are read. Raises
    SettingsError.
    """

    def __init__(
        self,
        settings: RunSettings,
        input_folder: Path | None = None,
        recorded_roots: tuple[Path, ...] = (),
        counted_as: str = "line",
        stores: frozenset[str] = frozenset(),
    ) -> None:
        recipe = settings.recipe
        self.settings, self.counted_as = settings, counted_as
        check_image_root(settings.image_root)
        roots = (*find_image_roots(settings.image_root, input_folder, recorded_roots), *settings.fallback_roots)
        self.stores = stores
        self.fetched = make_fetched_folder(settings, stores)
        self.bank = make_bank(recipe)
        self.names = read_real_names(recipe.names) if recipe.names else ()
        self.tag = make_tag(recipe.tag)
        self.limits = complete_prices(settings)
        self.steering = make_recipe_steering(recipe)
        self.reference = None if recipe.reference is None else check_reference(recipe.reference)
        own = [recipe.reference] if isinstance(recipe.reference, Path) else []
        downloads = [] if self.fetched is None else [self.fetched.path]
        # Where the relative paths of rows start, and where pictures are read, with the folder of those downloaded.
        self.image_roots, self.picture_roots = roots, (*roots, *downloads)
        if recipe.confine_images:
            self.image_roots = ConfinedRoots.make(roots, [*roots, *own])
            self.picture_roots = ConfinedRoots.make(self.picture_roots, [*self.picture_roots, *own])

    def with_settings(self, settings: RunSettings) -> RunPlan:
        """The plan for other endpoints. The files of the bank and of the names are not read again.

        Raises SettingsError if --max-cost needs a price that is not known.
        """
        plan = copy.copy(self)
        plan.settings, plan.limits = settings, complete_prices(settings)
        return plan

    def make_task_maker(self, strategy: Strategy) -> TaskMaker:
        category, language = default_category_and_language(self.settings.recipe, self.bank)
        return TaskMaker(
            self.tag,
            self.settings.sampling.seed,
            self.bank,
            PHRASE_CHECKS if self.settings.recipe.answer_style == "word" else TAGGED_ANSWER_CHECKS,
            category=category,
            language=language,
            questions=self.settings.recipe.questions,
            strategy=strategy,
            names=self.names,
            steering=self.steering,
            question=self.settings.recipe.question,
        )

    def make_row_reader(self, *, share_images: bool = False, paths: PathWriters = AS_GIVEN) -> RowReader:
        maker = self.make_task_maker("direct")
        shard = self.settings.shard
        return RowReader(
            self.settings.recipe,
            self.image_roots,
            maker,
            share_images,
            paths,
            self.reference,
            shard,
            self.counted_as,
        )

    def identity(self) -> dict[str, Any]:
        """The settings that affect the data, by flag name; files are represented by digests."""
        recipe = self.settings.recipe
        identity = self.settings.identity()
        if recipe.bank not in CATEGORIES:
            identity["bank"] = f"a file with the digest {digest_file(Path(recipe.bank))}"
        if recipe.names is not None:
            identity["names"] = f"a file with the digest {digest_file(recipe.names)}"
        if recipe.reference is not None:
            identity["reference"] = f"a file with the digest {digest_picture(recipe.reference)}"
        return identity

    def digests(self) -> dict[str, str]:
        """Digests of the built-in questions and prompts, which change with an upgrade that edits them."""
        digests = {"bank-digest": self.bank.digest, "prompts-digest": prompts_digest()}
        if self.settings.recipe.verify != "off":
            digests["verify-digest"] = verification_digest()
        if self.settings.recipe.answer_style != "sentences":
            digests["lengths-digest"] = lengths_digest()
        if self.settings.recipe.introduces:
            digests["introductions-digest"] = introductions_digest()
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
            # The rows of a caller's part are no file of a user, and the caller reads the question from them.
            warns=not self.settings.is_part,
        )


@dataclass(frozen=True, slots=True)
class RowReader:
    recipe: Recipe
    image_roots: tuple[Path, ...]
    task_maker: TaskMaker
    share_images: bool = False
    paths: PathWriters = AS_GIVEN
    # The image of the main character that rows without their own have.
    reference: str | None = None
    # The part of the rows that the run asks about; None for all.
    shard: Shard | None = None
    # See ``Row``.
    counted_as: str = "line"
    subject: SubjectFields = field(init=False)

    def __post_init__(self) -> None:
        recipe = self.recipe
        box = None if recipe.box is None else recipe.box_key
        subject = SubjectFields(
            recipe.tag_key, recipe.describe_key, recipe.reference_key, box, recipe.box_format, recipe.box or "drawn"
        )
        object.__setattr__(self, "subject", subject)

    @property
    def jobs_per_permit(self) -> int:
        """Above 1 with several questions per row: later ones wait until the first has uploaded the images."""
        return 2 if self.recipe.questions > 1 else 1

    def includes(self, row: NamedLine) -> bool:
        return self.shard is None or self.shard.includes(row)

    def parse(self, number: int, line: bytes, name: str | None = None, path: str | None = None) -> Row | BadRow:
        """``name``: name of a listed file, see ``Row.names``. ``path``: the file that is read for the row."""
        row = self._parse(number, line)
        writer = self.paths.rows if path is None else self.paths.listed
        if writer is not None:
            row = writer.rewrite(row, self.recipe.image_key, self.recipe.reference_key)
        row = hide_pictures(row)
        if isinstance(row, BadRow):
            return row
        return self._add_folder_tag(self._add_reference(row if path is None else locate_row(row, name, path)))

    def _add_reference(self, row: Row) -> Row:
        return row._replace(reference=self.reference) if row.reference is None and self.reference is not None else row

    def _add_folder_tag(self, row: Row) -> Row | BadRow:
        if self.recipe.tag_from is None or row.tag is not None:
            return row
        try:
            return row._replace(tag=find_folder_tag(row.images[0], self.image_roots))
        except RowError as error:
            return BadRow(row.number, row.line, error.code, f"{place_message(row, error.message)}.", row.given)

    def _parse(self, number: int, line: bytes) -> Row | BadRow:
        recipe = self.recipe
        return parse_line(
            number,
            line,
            image_key=recipe.image_key,
            output_key=recipe.output_key,
            details=recipe.details,
            subject=self.subject,
            counted_as=self.counted_as,
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
        if writer is not None:
            own = None if row.reference is None else writer.resolve((row.reference,))[0]
            row = row._replace(images=writer.resolve(row.images), reference=own)
        tagged = self._add_folder_tag(self._add_reference(row))
        return None if isinstance(tagged, BadRow) else tagged

    def task_ids(self, row: Row | BadRow) -> tuple[TaskId, ...]:
        return (TaskId(row.number),) if isinstance(row, BadRow) else self.task_maker.task_ids(row)

    def weigh(self, row: Row | BadRow, task_id: TaskId) -> int:
        shares = self.share_images and task_id.question > 0
        if isinstance(row, BadRow) or (shares and row.only_question is None):
            return len(row.line)
        # The image that all rows share is in memory once.
        own = row.images if row.reference == self.reference else row.pictures
        images = sum([estimate_reference_size(reference, self.image_roots) for reference in own])
        return len(row.line) + BYTES_PER_IMAGE_BYTE * images


def locate_row(row: Row, name: str | None, path: str) -> Row:
    """Returns the row with its image at ``path``. Without ``name``, the image reference in its line identifies it."""
    return row._replace(names=row.images if name is None else (name,), images=(path,))


def make_tag(name: str) -> str:
    try:
        return parse_tag(name)
    except ValueError as error:
        raise SettingsError(f"--tag: {error}.") from error


def make_recipe_steering(recipe: Recipe) -> Steering:
    """Raises SettingsError for a text that can't be used, and for a question about another tag."""
    try:
        steering = make_steering(
            recipe.system, recipe.prompt, recipe.answer_style, recipe.steer, recipe.describe, recipe.describe_key
        )
        if recipe.question is not None:
            check_row_question(recipe.question.replace("{tag}", make_tag(recipe.tag)), make_tag(recipe.tag))
    except ValueError as error:
        raise SettingsError(f"{error}.") from error
    except RowError as error:
        raise SettingsError(f"--question: {error.message}.") from error
    return steering


def check_reference(picture: object) -> str:
    """The path for the rows, whose relative paths start elsewhere, or the data: URI of a picture that is no file.

    Raises SettingsError if it is no usable image.
    """
    reference = make_reference(os.path.abspath(picture)) if isinstance(picture, Path) else str(picture)
    try:
        read_image(reference, ())
    except RowError as error:
        raise SettingsError(f"--reference: {error.message}") from error
    return reference


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


def digest_picture(picture: object) -> str:
    """A path, or the data: URI of a picture that is no file. Equal content has equal digests."""
    if isinstance(picture, Path):
        return digest_file(picture)
    return blake2b(read_data_uri(str(picture)), digest_size=8).hexdigest()


def digest_file(path: Path) -> str:
    return blake2b(path.read_bytes(), digest_size=8).hexdigest()


def check_recipe(recipe: Recipe) -> None:
    """Checks the recipe as a run does. Raises SettingsError for a tag, a bank, a text or a file that can't be used."""
    make_tag(recipe.tag)
    make_bank(recipe)
    make_recipe_steering(recipe)
    if recipe.names is not None:
        read_real_names(recipe.names)
    if recipe.reference is not None:
        check_reference(recipe.reference)
