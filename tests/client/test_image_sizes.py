"""How many bytes of images an endpoint accepts is learnt from its answers."""

from __future__ import annotations

import pytest
from PIL import Image

from persqa_client.client.classify import classify_response
from persqa_client.client.failed_reply import AttemptContext
from persqa_client.client.image_dialect import ImageDialect, SizeLimit, is_too_large
from persqa_client.images.loader import ImageConverter, ImageForm, total_size
from persqa_client.types import EncodedImage, ErrorDecision
from tests.client.image_conversation import JPEG, NOISE, Conversation, encoded, refusal, within
from tests.images.image_files import SAMPLES, decode
from tests.support.cases import each_case


@pytest.fixture
def dialect() -> ImageDialect:
    return ImageDialect(ImageConverter({}))


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
    pytest.param(413, b"Request body too large; separate your pictures", id="a word that ends in rate"),
    pytest.param(413, b"Image dimensions of 9000 pixels are too large: lower the resolution.", id="413, pixels"),
    pytest.param(413, b"The body exceeds your plan's quota of 1 MB per request.", id="413, a quota of bytes"),
    pytest.param(400, b"The generated request body is too large.", id="rate within a word"),
    pytest.param(400, b"Payload too large: use moderate sizes.", id="rate at the end of a word"),
]


@each_case(("status", "body"), TOO_LARGE)
def test_a_refusal_of_too_many_bytes_is_recognised(status: int, body: bytes) -> None:
    assert is_too_large(classify_response(status, {}, body, AttemptContext("http://a/v1", "m"), now=0))


@each_case(
    ("status", "message"),
    [
        (400, "This model's maximum context length is 8192 tokens, which your request exceeds."),
        (400, "Your prompt exceeds the limit of 4096 tokens."),
        (413, "Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 6500."),
        (429, "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 41000."),
        (413, "Request too large: rate_limit_exceeded"),
        (413, "The request exceeds the context window."),
        (400, "image dimensions exceed 8000 pixels"),
        (400, "The image upload exceeds your rate limit."),
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


@each_case(
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
