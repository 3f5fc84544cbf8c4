"""Which formats an endpoint accepts is learnt from its answers."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from persqa_client.client.classify import classify_response
from persqa_client.client.failed_reply import AttemptContext
from persqa_client.client.image_dialect import ImageDialect, RequestImages
from persqa_client.images.loader import ImageConverter, ImageForm
from persqa_client.types import EncodedImage, ErrorDecision, RetryAction
from tests.client.image_conversation import DRAWING, JPEG, PNG, WEBP, Conversation, encoded, refusal, without


@pytest.fixture
def dialect() -> ImageDialect:
    return ImageDialect(ImageConverter({}))


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
    requests = [RequestImages(dialect, (WEBP,)) for _ in range(3)]
    first, *others = requests
    assert first.is_form_refused(refusal(400, "Bad image."), 0)
    assert await first.prepare()
    first.record_answer()
    for request in others:
        assert request.is_form_refused(refusal(400, "Bad image."), 0)
        assert await request.prepare()
        assert request.current[0].media_type == "image/jpeg"
        assert not request.is_form_refused(refusal(400, "The content filter."), 0), "there is nothing left to change"


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
    requests = [RequestImages(dialect, (WEBP,)) for _ in range(9)]
    for request in requests:
        assert not request.is_form_refused(error, 0)
        assert request.is_form_refused(error, 1)
        assert await request.prepare()
    for request in requests:
        request.record_answer()
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
    request = RequestImages(dialect, (WEBP,))
    assert not request.is_form_refused(decision, 9)
    assert not await request.prepare()
    assert request.current == (WEBP,)


async def test_an_answer_to_a_format_outweighs_a_wrong_conclusion(dialect: ImageDialect) -> None:
    late, request = RequestImages(dialect, (WEBP,)), RequestImages(dialect, (WEBP,))
    assert request.is_form_refused(refusal(400, "We could not parse the JSON body."), 0)
    assert await request.prepare()
    request.record_answer()
    assert dialect.form.refused_types == {"image/webp"}
    late.record_answer()
    assert dialect.form == ImageForm()


async def test_an_image_that_cannot_be_decoded_leaves_the_refusal_as_it_is(dialect: ImageDialect) -> None:
    damaged = replace(WEBP, data=WEBP.data[:99])
    talk = Conversation(dialect, without("webp"))
    assert await talk.ask(damaged) == refusal(400, "Bad image.")
    assert talk.types_sent() == ["webp"]
