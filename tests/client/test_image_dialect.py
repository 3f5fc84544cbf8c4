"""Which formats and how many bytes an endpoint accepts is learnt from its answers."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest
from PIL import Image

from persqa_client.client.classify import classify_response
from persqa_client.client.failed_reply import AttemptContext
from persqa_client.client.image_dialect import ImageDialect, ImageTrial, SizeLimit, is_too_large
from persqa_client.images.loader import ImageConverter, ImageForm, total_size
from persqa_client.types import EncodedImage, ErrorDecision, RetryAction
from tests.images.image_files import SAMPLES, decode, encode

PHOTO = decode(SAMPLES[0].read_bytes()).resize((320, 240))
NOISE = Image.frombytes("RGB", (700, 600), random.Random(1).randbytes(3 * 700 * 600))
DRAWING = Image.new("RGB", (300, 200), "white")


def encoded(image: Image.Image, format: str, **settings: object) -> EncodedImage:
    return EncodedImage(encode(image, format, **settings), f"image/{format.lower()}", *image.size)


WEBP, PNG, JPEG = (encoded(PHOTO, format) for format in ("WEBP", "PNG", "JPEG"))

# Answers None, or why a request with these images failed.
Server = Callable[[tuple[EncodedImage, ...]], ErrorDecision | None]


def refusal(status: int, message: str, action: RetryAction = RetryAction.FAIL, code: str = "rejected") -> ErrorDecision:
    return ErrorDecision(action, code, message, status=status, raw=message)


def without(
    *formats: str, status: int = 400, message: str = "Bad image.", action: RetryAction = RetryAction.FAIL
) -> Server:
    """A server that refuses these formats."""
    types = {f"image/{format}" for format in formats}
    return lambda images: refusal(400, "Bad image.") if any(image.media_type in types for image in images) else None


def within(limit: int, status: int = 413, message: str = "Too large.") -> Server:
    """A server that refuses images of more bytes in base64, all together."""
    return lambda images: refusal(status, message) if total_size(images) > limit else None


@pytest.fixture
def dialect() -> ImageDialect:
    return ImageDialect(ImageConverter({}))


class Conversation:
    """Sends requests like a session, and remembers what was sent."""

    def __init__(self, dialect: ImageDialect, server: Server) -> None:
        self.dialect = dialect
        self.server = server
        self.sent: list[tuple[EncodedImage, ...]] = []

    async def ask(self, *images: EncodedImage, max_attempts: int = 5) -> ErrorDecision | None:
        trial, attempts = ImageTrial(self.dialect, images), 0
        while True:
            await trial.prepare()
            if (refusal := trial.take_refusal()) is not None and refusal.action is RetryAction.FAIL:
                return refusal
            self.sent.append(trial.images)
            decision = self.server(trial.images)
            if decision is None:
                trial.record_answer()
                return None
            if trial.is_form_refused(decision, attempts):
                continue
            attempts += 1
            if decision.action is not RetryAction.RETRY or attempts >= max_attempts:
                return decision

    def types_sent(self) -> list[str]:
        return ["+".join(image.media_type.removeprefix("image/") for image in images) for images in self.sent]


# Status and body of servers that take no WebP.
NO_WEBP = [
    pytest.param(
        400, b'{"error": "\'url\' field must be a base64 encoded image."}', id="LM Studio: datalab-to/marker#753"
    ),
    pytest.param(
        400,
        b'{"error": {"code": 400, "message": "Failed to load image or audio file", "type": "invalid_request_error"}}',
        id="llama-server: cline/cline#8977",
    ),
    pytest.param(
        400,
        b'{"error": {"message": "invalid image input", "type": "invalid_request_error", "param": null, "code": null}}',
        id="Ollama: TeamWiseFlow/xiaobei#219",
    ),
    pytest.param(500, b'{"error": {"message": "image: unknown format"}}', id="Ollama's runner: ollama/ollama#11320"),
    pytest.param(
        500,
        b'{"detail": "Failed to create bitmap from image bytes"}',
        id="llama-cpp-python: JamePeng/llama-cpp-python#24",
    ),
    pytest.param(
        400,
        b'{"type": "error", "error": {"type": "invalid_request_error", "message": "messages.0.content.1.image.source.'
        b'base64.data: The image specified was not valid"}}',
        id="Anthropic's format: microsoft/vscode-copilot-vision#88",
    ),
    pytest.param(
        400, b'{"error": {"message": "cannot identify image file \'/tmp/temporary_1.webp\'"}}', id="a temporary file"
    ),
    pytest.param(
        400, '{"error": {"message": "图片解析失败，请稍后重试", "code": "1210"}}'.encode(), id="asks to try again later"
    ),
    pytest.param(
        400, b'{"error": {"message": "Invalid image format: image/webp", "param": "image"}}', id="the parameter image"
    ),
    pytest.param(415, b"", id="no words at all"),
    pytest.param(422, b'{"detail": [{"type": "value_error", "loc": ["body"], "msg": "bad media"}]}', id="FastAPI"),
]


@pytest.mark.parametrize(("status", "body"), NO_WEBP)
async def test_a_refused_webp_is_learnt_once_whatever_the_words(
    dialect: ImageDialect, status: int, body: bytes
) -> None:
    decision = classify_response(status, {}, body, AttemptContext("http://a/v1", "m", has_answered=True), now=0)
    talk = Conversation(dialect, lambda images: decision if images[0].media_type == "image/webp" else None)
    for _ in range(4):
        assert await talk.ask(WEBP) is None
    # Errors that are retried may end by chance, so they have to come twice.
    first = ["webp", "jpeg"] if decision.action is RetryAction.FAIL else ["webp", "webp", "jpeg"] * 2
    assert talk.types_sent()[: len(first)] == first
    assert set(talk.types_sent()[len(first) :]) == {"jpeg"}
    assert len(talk.sent) < 10
    assert dialect.describe_changes() == ["WebP images are converted: the server refuses them"]


async def test_a_lossless_drawing_is_sent_as_png_and_as_jpeg_where_that_is_refused_too(dialect: ImageDialect) -> None:
    drawing = encoded(DRAWING, "WEBP", lossless=True)
    talk = Conversation(dialect, without("webp"))
    await talk.ask(drawing)
    await talk.ask(drawing)
    await talk.ask(WEBP)
    assert talk.types_sent() == ["webp", "jpeg", "png", "jpeg"]
    assert dialect.form.refused_types == {"image/webp"}


async def test_a_server_that_takes_only_jpeg(dialect: ImageDialect) -> None:
    talk = Conversation(dialect, without("webp", "png"))
    assert await talk.ask(WEBP, PNG) is None
    assert await talk.ask(WEBP, PNG) is None
    assert await talk.ask(PNG) is None
    assert talk.types_sent() == ["webp+png", "jpeg+jpeg", "jpeg+png", "jpeg+jpeg", "jpeg"]
    assert dialect.describe_changes() == [
        "PNG images are converted: the server refuses them",
        "WebP images are converted: the server refuses them",
    ]


async def test_requests_in_flight_adopt_what_another_has_learnt(dialect: ImageDialect) -> None:
    trials = [ImageTrial(dialect, (WEBP,)) for _ in range(3)]
    first, *others = trials
    assert first.is_form_refused(refusal(400, "Bad image."), 0)
    assert await first.prepare()
    first.record_answer()
    for trial in others:
        assert trial.is_form_refused(refusal(400, "Bad image."), 0)
        assert await trial.prepare()
        assert trial.images[0].media_type == "image/jpeg"
        assert not trial.is_form_refused(refusal(400, "The content filter."), 0), "there is nothing left to change"


async def test_an_accepted_format_is_not_tested(dialect: ImageDialect) -> None:
    talk = Conversation(dialect, lambda images: None)
    await talk.ask(WEBP, PNG)
    talk.server = lambda images: refusal(400, "The content filter.")
    for image in (WEBP, PNG, JPEG):
        assert await talk.ask(image) is not None
    assert talk.types_sent() == ["webp+png", "webp", "png", "jpeg"]


async def test_a_refusal_of_the_row_stands_and_is_tested_three_times_at_most(dialect: ImageDialect) -> None:
    numbers = count()
    talk = Conversation(dialect, lambda images: refusal(400, f"Request req_{next(numbers)}f was flagged."))
    for _ in range(9):
        assert await talk.ask(WEBP) is not None
    assert talk.types_sent() == ["webp", "jpeg"] * 3 + ["webp"] * 6
    talk.server = without("webp")
    assert await talk.ask(WEBP) is None, "a refusal of another kind is tested"
    assert dialect.describe_changes() != []


async def test_a_row_that_is_refused_for_another_reason_as_jpeg_proves_nothing(dialect: ImageDialect) -> None:
    def server(images: tuple[EncodedImage, ...]) -> ErrorDecision:
        return refusal(400, "Bad image." if images[0].media_type == "image/webp" else "Flagged.")

    talk = Conversation(dialect, server)
    for _ in range(5):
        assert (await talk.ask(WEBP)) == refusal(400, "Flagged.")
    assert dialect.form == ImageForm()
    talk.server = without("webp")
    assert await talk.ask(WEBP) is None
    assert dialect.form.refused_types == {"image/webp"}


async def test_server_errors_that_end_by_chance_teach_nothing(dialect: ImageDialect) -> None:
    """Many requests fail while a server restarts, and all are answered afterwards."""
    error = refusal(500, "Internal error", RetryAction.RETRY, code="http_500")
    trials = [ImageTrial(dialect, (WEBP,)) for _ in range(9)]
    for trial in trials:
        assert not trial.is_form_refused(error, 0)
        assert trial.is_form_refused(error, 1)
        assert await trial.prepare()
    for trial in trials:
        trial.record_answer()
    assert dialect.form == ImageForm()


@pytest.mark.parametrize(
    "decision",
    [
        pytest.param(ErrorDecision(RetryAction.RETRY, "timeout", "No answer."), id="timeout"),
        pytest.param(refusal(502, "Bad gateway", RetryAction.RETRY, "http_502"), id="gateway"),
        pytest.param(refusal(400, "Too long.", code="context_overflow"), id="context"),
        pytest.param(refusal(400, "Too many.", code="too_many_images"), id="number of images"),
        pytest.param(ErrorDecision(RetryAction.FAIL, "truncated", "Cut off.", status=200), id="an answer"),
        pytest.param(refusal(402, "Your request exceeds your limit.", RetryAction.STOP, "no_credit"), id="account"),
        pytest.param(refusal(429, "Slow down.", RetryAction.WAIT, "http_429"), id="load"),
    ],
)
async def test_failures_with_another_reason_are_not_tested(dialect: ImageDialect, decision: ErrorDecision) -> None:
    trial = ImageTrial(dialect, (WEBP,))
    assert not trial.is_form_refused(decision, 9)
    assert not await trial.prepare()
    assert trial.images == (WEBP,)


async def test_an_answer_to_a_format_outweighs_a_wrong_conclusion(dialect: ImageDialect) -> None:
    late, trial = ImageTrial(dialect, (WEBP,)), ImageTrial(dialect, (WEBP,))
    assert trial.is_form_refused(refusal(400, "We could not parse the JSON body."), 0)
    assert await trial.prepare()
    trial.record_answer()
    assert dialect.form.refused_types == {"image/webp"}
    late.record_answer()
    assert dialect.form == ImageForm()


async def test_an_image_that_cannot_be_decoded_leaves_the_refusal_as_it_is(dialect: ImageDialect) -> None:
    damaged = replace(WEBP, data=WEBP.data[:99])
    talk = Conversation(dialect, without("webp"))
    assert await talk.ask(damaged) == refusal(400, "Bad image.")
    assert talk.types_sent() == ["webp"]


# Status and body of gateways and servers for which a body has too many bytes.
TOO_LARGE = [
    pytest.param(413, b"<html><head><title>413 Request Entity Too Large</title></head></html>", id="nginx"),
    pytest.param(413, b"Request Entity Too Large\n\nFUNCTION_PAYLOAD_TOO_LARGE\n\nfra1::6", id="Vercel: yk/litter#4"),
    pytest.param(
        400,
        b'{"error": {"message": "messages.1.content.2.image.source.base64: image exceeds 5 MB maximum: 6275800 bytes > '
        b'5242880 bytes", "type": "invalid_request_error"}}',
        id="Anthropic: lobehub/lobehub#14711",
    ),
    pytest.param(500, b'{"error": {"message": "http: request body too large"}}', id="Go's MaxBytesReader"),
    pytest.param(500, b'{"error": "PayloadTooLargeError: request entity too large"}', id="Express"),
    pytest.param(
        400, b'{"error": {"message": "Maximum request body size 1048576 exceeded, actual 1400000"}}', id="aiohttp"
    ),
    pytest.param(500, b'{"message": "Maximum upload size exceeded"}', id="Spring"),
    pytest.param(431, b"request too large", id="431"),
    pytest.param(
        400,
        b'{"error": {"message": "<400> InternalError.Algo.InvalidParameter: Exceeded limit on max bytes per data-uri '
        b'item : 10485760", "type": "invalid_request_error"}}',
        id="Alibaba Model Studio",
    ),
    pytest.param(400, '{"error": {"code": "1210", "message": "图片大小超过限制"}}'.encode(), id="in Chinese"),
    pytest.param(413, b"", id="no words at all"),
]


@pytest.mark.parametrize(("status", "body"), TOO_LARGE)
def test_a_refusal_of_too_many_bytes_is_recognised(status: int, body: bytes) -> None:
    assert is_too_large(classify_response(status, {}, body, AttemptContext("http://a/v1", "m"), now=0))


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "This model's maximum context length is 8192 tokens, which your request exceeds."),
        (400, "Your prompt exceeds the limit of 4096 tokens."),
        (413, "Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 6500."),
        (429, "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 41000."),
        (400, "image dimensions exceed 8000 pixels"),
        (400, "Bad image."),
        (500, "Internal server error"),
    ],
)
def test_a_refusal_for_another_limit_is_none_of_bytes(status: int, message: str) -> None:
    assert not is_too_large(refusal(status, message))


async def test_a_large_png_is_sent_as_a_jpeg_of_the_same_size_first(dialect: ImageDialect) -> None:
    png, jpeg = encoded(NOISE, "PNG"), encoded(NOISE, "JPEG", quality=90)
    talk = Conversation(dialect, within(total_size([jpeg])))
    for _ in range(3):
        assert await talk.ask(png) is None
    assert talk.types_sent() == ["png", "jpeg", "png", "jpeg", "jpeg"]
    assert {image.data for images in talk.sent for image in images if image.media_type != "image/png"} == {jpeg.data}


@pytest.mark.parametrize("limit", [60_000, 90_000, 140_000])
async def test_images_are_reduced_until_they_are_answered_and_then_sent_so(dialect: ImageDialect, limit: int) -> None:
    photo = decode(SAMPLES[-1].read_bytes())
    jpegs = [encoded(photo.resize((width, 427)), "JPEG", quality=95) for width in range(600, 660, 6)]
    assert min(total_size([jpeg]) for jpeg in jpegs) > 140_000
    talk = Conversation(dialect, within(limit))
    refused = []
    for jpeg in jpegs:
        before = len(talk.sent)
        assert await talk.ask(jpeg) is None
        refused.append(len(talk.sent) - before - 1)
    assert sum(refused) <= 9
    assert sum(refused[4:]) == 0, "the limit is known"
    assert limit * 0.8 < total_size(talk.sent[-1]) <= limit
    (note,) = dialect.describe_changes()
    assert "per request are made smaller: the server refuses larger requests" in note


async def test_smaller_images_stay_as_they_are(dialect: ImageDialect) -> None:
    talk = Conversation(dialect, within(100_000))
    await talk.ask(encoded(NOISE, "JPEG"))
    await talk.ask(JPEG)
    assert talk.sent[-1] == (JPEG,)
    assert talk.sent[-1][0] is JPEG


async def test_only_a_refusal_of_the_smallest_image_stands(dialect: ImageDialect) -> None:
    talk = Conversation(dialect, within(10))
    decision = await talk.ask(encoded(NOISE, "JPEG", quality=95))
    assert decision is not None
    assert decision.status == 413
    assert talk.sent[-1][0].width * talk.sent[-1][0].height <= 256 * 256
    sizes = [total_size(images) for images in talk.sent]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[-2]
    assert len(sizes) < 9
    assert dialect.form == ImageForm(), "nothing is known of a size that is answered"


async def test_a_limit_for_each_image_is_met_though_larger_requests_were_answered(dialect: ImageDialect) -> None:
    def server(images: tuple[EncodedImage, ...]) -> ErrorDecision | None:
        large = max(map(len, (image.data for image in images))) > 100_000
        return refusal(400, "image exceeds 0.1 MB maximum") if large else None

    talk = Conversation(dialect, server)
    small = encoded(NOISE.resize((300, 250)), "JPEG")
    for images in ([small] * 4, [encoded(NOISE, "JPEG")], [small] * 4):
        assert await talk.ask(*images) is None


async def test_an_unexplained_refusal_of_a_large_body_is_tested(dialect: ImageDialect) -> None:
    """mnfst/llm-gateway#2126: "Cannot POST /v1/chat/completions" with status 404 above 1 MB."""
    large = encoded(Image.effect_noise((1_200, 1_200), 100).convert("RGB"), "JPEG", quality=95)
    assert total_size([large]) > 1_100_000
    talk = Conversation(dialect, within(1 << 20, status=404, message="Cannot POST /v1/chat/completions"))
    await talk.ask(JPEG)
    for _ in range(3):
        assert await talk.ask(large) is None
    assert len(talk.sent) <= 8
    assert dialect.form.max_bytes is not None
    talk.server = lambda images: refusal(400, "Flagged.")
    before = len(talk.sent)
    for _ in range(9):
        assert await talk.ask(JPEG) is not None
    assert len(talk.sent) == before + 9, "a small body is not tested"


@pytest.mark.parametrize(
    ("answered", "refused", "target"),
    [
        pytest.param(0, None, None, id="no limit"),
        pytest.param(900, None, None, id="no limit yet"),
        pytest.param(0, 1_000, 700, id="nothing answered"),
        pytest.param(10, 1_000, 700, id="something small answered"),
        pytest.param(640, 1_000, 800, id="between them"),
        pytest.param(900, 1_000, 900, id="close enough"),
        pytest.param(5_000, 1_000, 700, id="contradiction"),
    ],
)
def test_the_target_lies_between_what_was_answered_and_refused(
    answered: int, refused: int | None, target: int | None
) -> None:
    assert SizeLimit(answered, refused).target() == target


def test_a_larger_answer_lifts_the_limit() -> None:
    limit = SizeLimit()
    limit.record_answer(600)
    limit.record_refusal(1_000)
    assert (limit.answered, limit.refused) == (600, 1_000)
    limit.record_answer(800)
    limit.record_refusal(900)
    assert (limit.answered, limit.refused) == (800, 900)
    limit.record_refusal(700)
    assert (limit.answered, limit.refused) == (800, 900), "more was answered"
    limit.record_answer(2_000)
    assert (limit.answered, limit.refused) == (2_000, None)


async def test_a_single_refusal_of_a_size_limits_no_other_request(dialect: ImageDialect) -> None:
    refusals = [refusal(413, "Too large.")]
    talk = Conversation(dialect, lambda images: refusals.pop() if refusals else None)
    large = encoded(NOISE, "JPEG")
    for _ in range(3):
        assert await talk.ask(large) is None
    assert talk.sent[2][0] is talk.sent[3][0] is large
    assert dialect.form == ImageForm()
    assert dialect.describe_changes() == [
        "images of some requests were made smaller: the server refused them as too large"
    ]
