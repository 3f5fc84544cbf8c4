"""Learns in what form an endpoint accepts images: which formats, and how many bytes per request.

Messages of such refusals differ between servers. So an unexplained refusal is tested: the images of the same request
are sent in another form. If this is answered, the form was the reason, and all later images are sent in that form.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from math import isqrt
from typing import Literal

from persqa_client.client.classify import UNREACHABLE_CODES
from persqa_client.client.error_body import mask_variable_text
from persqa_client.errors import RowError
from persqa_client.images.loader import ImageConverter, ImageForm, total_size
from persqa_client.types import EncodedImage, ErrorDecision, RetryAction

# The property of images that is changed for an endpoint.
Suspicion = Literal["type", "size"]

FORMAT_NAMES = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WebP"}
JPEG, PNG, WEBP = FORMAT_NAMES

# Refusals for other reasons than the form of the images.
EXPLAINED_CODES = frozenset({"context_overflow", "too_many_images"}) | UNREACHABLE_CODES
TOO_LARGE_STATUS = 413
# If the status is another one, the message must show that a body or an image has too many bytes.
TOO_LARGE = re.compile(
    r"(entity|payload|body|request|content|upload|file|image|media)s?[\W_]([^.]{0,80}[\W_])?"
    r"(too[\W_](large|big|long)|exceed|larger[\W_]than)"
    r"|exceed\w*[\W_][^.]{0,60}[\W_](bytes|size)\b|(图片|图像|请求|文件)[^。]{0,20}(过大|超过|超出)",
    re.IGNORECASE,
)
# Whole terms, because "separate" and "generated" contain ``rate``. Codes such as ``rate_limit_exceeded`` match too.
OTHER_LIMIT = re.compile(
    r"(?<![a-z])(tokens?|contexts?|pixels?|dimensions?|resolutions?|quotas?|rates?|per[\W_](second|minute|hour|day))(?![a-z])",
    re.IGNORECASE,
)
# Limits other than bytes that a 413 may report. Smaller images help against all others.
LIMIT_OF_413 = re.compile(r"(?<![a-z])(tokens?|contexts?|rate[\W_]?limit(s|ed|ing)?)(?![a-z])", re.IGNORECASE)

# Attempts after which a server error counts as a refusal: some servers answer 500 to an image that they can't read.
ENOUGH_ERRORS = 2
# Tests that ended in the same refusal, of one kind and of all kinds, after which no more tests are made.
MAX_FAILED_OF_A_KIND, MAX_FAILED = 3, 20
# Bytes of base64. Unexplained refusals of less are not due to the size, because gateways allow at least 1 MB.
SUSPICIOUS_SIZE = 900_000
# If the ratio of a refused and an answered size is less, the search for the limit ends.
CLOSE = 1.15
# Refusals of one request's images after which they are reduced in large steps.
MAX_SMALL_STEPS = 3
# The form of all images at most endpoints.
UNCHANGED = ImageForm()


@dataclass(slots=True)
class SizeLimit:
    """The largest answered and the smallest refused size of a request's images. The true limit is in between.

    All sizes are bytes of base64.
    """

    answered: int = 0
    refused: int | None = None

    def target(self, refused: int | None = None, refusals: int = 0) -> int | None:
        """The size to send at most; None without a limit.

        ``refused``: the smallest refused size of the request's own images, after so many ``refusals``.
        """
        if self.refused is None and refused is None:
            return None
        limit = min(size for size in (self.refused, refused) if size is not None)
        # If a larger size was answered, the limit may apply to something else, such as each image.
        answered = self.answered if self.answered < limit else 0
        if answered * CLOSE >= limit:
            return answered
        return max(isqrt(answered * limit), limit * (7 if refusals < MAX_SMALL_STEPS else 3) // 10)

    def record_answer(self, size: int) -> None:
        self.answered = max(size, self.answered)
        if self.refused is not None and self.answered >= self.refused:
            self.refused = None

    def record_refusal(self, size: int) -> None:
        """Call for a refused size if the images were answered after a reduction."""
        if size > self.answered:
            self.refused = min(size, self.refused or size)


class ImageDialect:
    """The image formats and sizes that one endpoint is known to accept or refuse."""

    def __init__(self, converter: ImageConverter) -> None:
        self.converter = converter
        self.size_limit = SizeLimit()
        self.answers = 0  # to requests with images
        self.accepted_types = {JPEG}
        self._refused_types: frozenset[str] = frozenset()
        self._failed_tests: Counter[str] = Counter()
        # For each changed property, the number of answers when a changed form was first answered.
        self._suspected_at: dict[Suspicion, int] = {}

    @property
    def form(self) -> ImageForm:
        target = self.size_limit.target()
        return ImageForm(self._refused_types, target) if self._refused_types or target is not None else UNCHANGED

    def untested_types(self, images: Collection[EncodedImage]) -> frozenset[str]:
        return frozenset(image.media_type for image in images) - self.accepted_types

    def record_accepted(self, images: Collection[EncodedImage]) -> None:
        self.answers += 1
        self.accepted_types.update(image.media_type for image in images)
        self._refused_types -= self.accepted_types
        self.size_limit.record_answer(total_size(images))

    def record_refused(self, types: Collection[str]) -> None:
        self._refused_types |= frozenset(types) - self.accepted_types

    def may_test(self, decision: ErrorDecision) -> bool:
        failed = self._failed_tests
        return failed.total() < MAX_FAILED and failed[describe_kind(decision)] < MAX_FAILED_OF_A_KIND

    def record_failed_test(self, decision: ErrorDecision, later: ErrorDecision) -> None:
        """``later``: the refusal of the other form. If it differs, the form may have been the reason for the first."""
        if describe_kind(decision) == describe_kind(later):
            self._failed_tests[describe_kind(decision)] += 1

    def is_confirmed(self, suspicion: Suspicion, started: int) -> bool:
        """Whether another form was also answered earlier. ``started``: number of answers when the request began.

        A single refusal may have another reason, which may end before the other form is sent.
        """
        first = self._suspected_at.setdefault(suspicion, self.answers)
        return started >= first

    def describe_changes(self) -> list[str]:
        notes = [
            f"{FORMAT_NAMES[name]} images are converted: the server refuses them"
            for name in sorted(self._refused_types)
        ]
        if (target := self.size_limit.target()) is not None:
            limit = f"{target / 1000:,.0f} KB (base64) per request"
            notes.append(f"images of more than {limit} are made smaller: the server refuses larger requests")
        elif "size" in self._suspected_at:
            notes.append("images of some requests were made smaller: the server refused them as too large")
        return notes


class RequestImages:
    """The images of one request. ``current``: in the form in which they are sent."""

    def __init__(self, dialect: ImageDialect, images: tuple[EncodedImage, ...]) -> None:
        self.current = images
        self._originals = images
        self._dialect = dialect
        self._form = UNCHANGED
        self._started = dialect.answers
        # Number of refusals as too large, and the smallest refused size.
        self._refusals = 0
        self._refused_size: int | None = None
        # The refusal whose cause is tested with the present form. The suspected cause is these media types or, if there
        # are none, this size.
        self._tested: ErrorDecision | None = None
        self._tested_types: frozenset[str] = frozenset()
        self._tested_size: int | None = None
        self._refusal: ErrorDecision | None = None  # the refusal that ``prepare`` reacts to
        self._is_exhausted = not images  # no other form is left

    async def prepare(self) -> bool:
        """Brings the images into the form to be sent next. Returns whether that changed them.

        Raises RowError like ``convert_image``.
        """
        before, refusal = self.current, self._refusal
        if refusal is not None:
            try:
                self._is_exhausted = not await self._change_form(refusal)
            except RowError:
                # The refusal is final: these images cannot be decoded here either.
                self._is_exhausted = True
            if not self._is_exhausted:
                self._refusal = None
        elif self._follows_dialect and (form := self._dialect.form) is not self._form:
            await self._use(form)
        return self.current != before

    @property
    def is_outdated(self) -> bool:
        """Whether the endpoint has refused such images since they were prepared, so that ``prepare`` changes them."""
        form = self._dialect.form
        if form is self._form or form == self._form or self._is_exhausted or not self._follows_dialect:
            return False
        return bool(self._missed_types) or (form.max_bytes is not None and total_size(self.current) > form.max_bytes)

    @property
    def _follows_dialect(self) -> bool:
        """Whether the request neither tests nor needs a form other than the endpoint's."""
        return self._tested is None and self._refused_size is None

    def take_refusal(self) -> ErrorDecision | None:
        """Returns the refusal if ``prepare`` found no other form; None when called again."""
        refusal, self._refusal = self._refusal, None
        return refusal

    def is_form_refused(self, decision: ErrorDecision, attempts: int) -> bool:
        """Whether to ``prepare`` and send the images in another form after this failure, at no cost to the row.

        ``attempts``: earlier ones that failed with server errors.
        """
        tested, self._tested = self._tested, None
        if self._is_exhausted or not is_about_request(decision):
            return False
        if not is_too_large(decision):
            if tested is not None:
                self._dialect.record_failed_test(tested, decision)
                return False
            is_retried = decision.action is RetryAction.RETRY and attempts + 1 < ENOUGH_ERRORS
            if is_retried or not (self._missed_types or self._is_testable(decision)):
                return False
        self._refusal = decision
        return True

    async def _change_form(self, refusal: ErrorDecision) -> bool:
        if is_too_large(refusal):
            return await self._reduce()
        if missed := self._missed_types:
            return await self._use(replace(self._form, refused_types=self._form.refused_types | missed))
        return await self._test(refusal)

    @property
    def _missed_types(self) -> frozenset[str]:
        """Formats of these images that other requests found to be refused in the meantime."""
        return self._dialect.form.refused_types & {image.media_type for image in self.current}

    async def _reduce(self) -> bool:
        self._refusals += 1
        size = total_size(self.current)
        self._refused_size = min(size, self._refused_size or size)
        target = self._dialect.size_limit.target(self._refused_size, self._refusals)
        await self._use(replace(self._form, max_bytes=target))
        return total_size(self.current) < self._refused_size

    def _is_testable(self, decision: ErrorDecision) -> bool:
        if not self._dialect.may_test(decision):
            return False
        size_to_suspect = max(SUSPICIOUS_SIZE, self._dialect.size_limit.answered * CLOSE)
        is_suspicious = (decision.status or 0) < 500 and total_size(self.current) > size_to_suspect
        return is_suspicious or bool(self._dialect.untested_types(self.current))

    async def _test(self, decision: ErrorDecision) -> bool:
        types, size = self._dialect.untested_types(self.current), total_size(self.current)
        # If there are several formats, WebP is suspected, because servers usually lack it.
        self._tested_types, self._tested_size = types & {WEBP} or types, None if types else size
        if types:
            # Every server that accepts images accepts JPEG.
            types |= {PNG} - self._dialect.accepted_types
            form = replace(self._form, refused_types=self._form.refused_types | types)
        else:
            form = replace(self._form, max_bytes=min(size // 2, SUSPICIOUS_SIZE))
        changed = await self._use(form)
        self._tested = decision if changed else None
        return changed

    async def _use(self, form: ImageForm) -> bool:
        """Applies a form. Returns whether that changed the images."""
        before, self._form = self.current, form
        self.current = self._originals
        if form.refused_types or form.max_bytes is not None:
            self.current = await self._dialect.converter.convert(self._originals, form)
        return self.current != before

    def record_answer(self) -> None:
        """Call when the images were answered in their present form."""
        dialect, tested, refused_size = self._dialect, self._tested, self._refused_size
        dialect.record_accepted(self.current)
        if tested is not None and not self._tested_types:
            refused_size = self._tested_size
        elif tested is not None:
            is_conclusive = tested.action is RetryAction.FAIL  # server errors may end by chance
            if is_conclusive or dialect.is_confirmed("type", self._started):
                dialect.record_refused(self._tested_types)
        if refused_size is not None and dialect.is_confirmed("size", self._started):
            dialect.size_limit.record_refusal(refused_size)


def is_about_request(decision: ErrorDecision) -> bool:
    """Whether a failure may be due to the images, rather than to load, the account or a gateway."""
    if (decision.status or 0) < 400 or decision.code in EXPLAINED_CODES:
        return False
    # Some gateways report a wrong URL if the body is too large.
    return decision.action in {RetryAction.FAIL, RetryAction.RETRY} or decision.status in {404, TOO_LARGE_STATUS}


def is_too_large(decision: ErrorDecision) -> bool:
    said = decision.raw or ""
    if decision.status == TOO_LARGE_STATUS:
        is_said = not LIMIT_OF_413.search(said)
    else:
        is_said = bool(TOO_LARGE.search(said)) and not OTHER_LIMIT.search(said)
    return is_said and is_about_request(decision)


def describe_kind(decision: ErrorDecision) -> str:
    """Equal for refusals that differ only in ids, numbers and URLs."""
    return f"{decision.status} {mask_variable_text(decision.raw or '')}"
