"""Decodes and re-encodes images: upright, opaque, 8 bits per channel, limited in size, without metadata."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial

from pi_heif import HeifImageFile
from PIL import Image, ImagePalette
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import BITSPERSAMPLE, COLORMAP, COMPRESSION_INFO, TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from persqa_client.errors import RowError
from persqa_client.images.boxes import add_margin, draw_box, locate_box, scale_box
from persqa_client.images.code_points import make_profile
from persqa_client.images.colour import convert_lab_to_srgb, convert_to_srgb, flatten_to_8_bit, profile_mode
from persqa_client.images.containers import (
    COMPRESSION,
    PLANAR_CONFIG,
    SAMPLES_PER_PIXEL,
    SEPARATE_PLANES,
    UNCOMPRESSED,
    TiffDirectory,
)
from persqa_client.images.heif import (
    describe_unsupported_heif,
    find_crop,
    read_code_points,
    unlink_metadata,
)
from persqa_client.images.orientation import UPRIGHT, apply_orientation, read_orientation, upright_size
from persqa_client.images.references import NamedErrors
from persqa_client.images.sizes import fit_size, reduce_in_decoder, resize
from persqa_client.images.tokens import MAX_RATIO
from persqa_client.images.webp import is_lossless_webp
from persqa_client.types import BoxMark, EncodedImage

MAX_DECODED_PIXELS = 200_000_000
JPEG_QUALITY = 90
# Encoding changes the colours of small images most, and hardly any bytes are saved there.
SMALL_PIXELS = 640 * 480
SMALL_QUALITY = 95
# Encoding blunts grain and fine texture. The more bits per pixel a JPEG of quality 90 has, the more of them there are.
FINE_QUALITIES = ((4.0, 97), (2.5, SMALL_QUALITY))
# Rows at which an image is sampled for that, and their height: that of a block of JPEG.
SAMPLES, SAMPLE_HEIGHT = 6, 8
JPEG_MAX_SIDE = 65_500  # JPEG_MAX_DIMENSION of libjpeg
# Smaller drawings become PNG: JPEG would blur them without saving bytes.
SMALL_SIDE = 64
# Compressions of TIFF that libtiff may be built without: LZMA, Zstandard, WebP.
OPTIONAL_COMPRESSIONS = frozenset({34925, 50000, 50001})
READ_PLANES = frozenset({1, 3, 4})
BIG_ENDIAN_BIG_TIFF = b"MM\0+"
# Chroma subsampling of Pillow's JPEGs: 4:4:4, and its default.
FULL_COLOUR, DEFAULT_COLOUR = 0, -1
LOSSLESS_FORMATS = frozenset({"PNG", "GIF", "BMP", "TIFF"})
GRAPHIC_MODES = frozenset({"1", "P", "PA", "LA", "RGBA", "RGBa", "La"})
FEW_COLOURS = 256
MAX_PNG_RATIO = 1.5
DRAWING_FORMATS = frozenset({"PNG", "GIF", "BMP"})
# The smallest image to which a limit of bytes reduces a larger one; with fewer pixels, models do not recognise much.
SMALLEST_PIXELS = 256 * 256
SMALLEST_QUALITY = 75
# A reduction aims below the limit, since smaller JPEGs have more bytes per pixel.
REDUCTION_MARGIN = 0.95

# Called directly, because Image.open warns about sizes and tries every format.
OPENERS: dict[str, Callable[[io.BytesIO], ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "GIF": GifImageFile,
    "BMP": BmpImageFile,
    "TIFF": TiffImageFile,
    "WEBP": WebPImageFile,
    "AVIF": AvifImageFile,
    "HEIC": HeifImageFile,
}
BOMB_ERRORS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
# Errors of Pillow and pi-heif for damaged files; ValueError includes TruncatedImage. UserWarning is Pillow's warning
# about damaged TIFF tags, raised where warnings are errors.
DECODER_ERRORS = (
    *(OSError, SyntaxError, ValueError, LookupError, TypeError, ArithmeticError, RuntimeError, EOFError, struct.error),
    UserWarning,
)


# In messages of Pillow and pi-heif about files that are whole.
UNSUPPORTED_KIND = re.compile(
    r"unsupported|not supported|cannot handle|unknown (?:pixel mode|raw mode|data organization)|no decoding plugin",
    re.IGNORECASE,
)


def reencode_image(
    data: bytes,
    format: str,
    orientation: int,
    max_pixels: int,
    profile: bytes = b"",
    mark: BoxMark | None = None,
) -> EncodedImage:
    """Re-encodes the first frame as JPEG in sRGB, or as PNG if it is a small drawing or too long for JPEG.

    ``profile``: the ICC profile of a format that is stripped of its metadata. ``mark``: a box that is drawn into the
    upright image, or to which it is cut.

    Raises RowError ``image_unsupported``, ``image_truncated``, ``image_extreme_ratio``, ``image_bomb`` or
    ``box_invalid``, without the image's name.
    """
    opened = open_image(data, format)
    if opened.mode == "L":
        # Pillow takes the greys of a GIF's frame for numbers of colours if the whole file has a table of colours, too.
        opened.palette = None
    if format == "AVIF":
        # Decoders rotate TIFF (Pillow) and HEIC (libheif); GIF and BMP have no orientation.
        orientation = read_orientation(opened.info.get("exif", b""), opened.info.get("xmp", b""))
    crop = find_crop(data, opened.size) if format == "AVIF" else None
    target = fit_size(opened.size, max_pixels)
    is_cut = mark is not None and mark.mode == "cropped"
    whole = opened.size
    with decoder_errors(format, partial(describe_unsupported_kind, format, data)):
        shown = reduce_in_decoder(opened, target) if format == "JPEG" and not is_cut else None
        opened.load()
    if format == "HEIC":
        # libheif may decode to another size than the header's.
        target = fit_size(opened.size, max_pixels)
    if crop is not None:
        check_dimensions(crop[2] - crop[0], crop[3] - crop[1], format)
        target = fit_size((crop[2] - crop[0], crop[3] - crop[1]), max_pixels)
    profile = profile or opened.info.get("icc_profile") or b""
    if not profile and format in ("AVIF", "HEIC"):
        profile = make_profile(*read_code_points(data, opened.info.get("nclx_profile")))
    has_inks = opened.mode == "CMYK" == profile_mode(profile)
    if opened.mode == "LAB":
        image: Image.Image = convert_lab_to_srgb(opened)
        profile = b""
    else:
        image = opened if has_inks else flatten_to_8_bit(opened, data)
    image = image if crop is None else image.crop(crop)
    whole = whole if format == "JPEG" else image.size
    if mark is not None and is_cut:
        # The image is cut before it is reduced, so that a small part of a large photo stays sharp.
        image, orientation = apply_orientation(image, orientation), UPRIGHT
        image = image.crop(add_margin(locate_box(mark, image.size), image.size))
        target = fit_size(image.size, max_pixels)
    is_small = max(min(image.size, target)) < SMALL_SIDE and format in DRAWING_FORMATS
    is_lossless = format in LOSSLESS_FORMATS or (format == "WEBP" and is_lossless_webp(data))
    is_graphic = is_lossless and has_few_colours(opened.mode, image)
    # Converted at the smaller size, which is faster.
    image = convert_to_srgb(resize(image, target, shown), profile)
    image = apply_orientation(image, orientation)
    if mark is not None and not is_cut:
        whole = upright_size(whole, orientation)
        image = draw_box(image, scale_box(locate_box(mark, whole), whole, image.size))
    if is_graphic and not is_small:
        return encode_graphic(image)
    return encode_image(image, lossless=is_small, quality=choose_quality(image), subsampling=FULL_COLOUR)


def open_image(data: bytes, format: str) -> ImageFile:
    """Reads the header. Raises RowError like reencode_image."""
    with decoder_errors(format, partial(describe_unsupported_kind, format, data)):
        opened = OPENERS[format](io.BytesIO(unlink_metadata(data) if format == "HEIC" else data))
    check_dimensions(*opened.size, format)
    if isinstance(opened, TiffImageFile):
        prepare_tiff(opened)
    return opened


def choose_quality(image: Image.Image) -> int:
    least = SMALL_QUALITY if image.width * image.height <= SMALL_PIXELS else JPEG_QUALITY
    sample = sample_rows(image)
    bits = 8 * len(encode_image(sample, subsampling=FULL_COLOUR).data) / (sample.width * sample.height)
    return max(least, next((quality for limit, quality in FINE_QUALITIES if bits > limit), least))


def sample_rows(image: Image.Image) -> Image.Image:
    """Blocks of rows at equal distances, below each other."""
    height = min(SAMPLE_HEIGHT, image.height)
    sample = Image.new(image.mode, (image.width, SAMPLES * height))
    for number in range(SAMPLES):
        top = (image.height - height) * number // (SAMPLES - 1)
        sample.paste(image.crop((0, top, image.width, top + height)), (0, number * height))
    return sample


def has_few_colours(mode: str, image: Image.Image) -> bool:
    """Whether a lossless file is a drawing, a chart or a screenshot rather than a photo."""
    return mode in GRAPHIC_MODES or image.getcolors(FEW_COLOURS) is not None


def encode_graphic(image: Image.Image) -> EncodedImage:
    """Keeps edges and thin lines sharp: as PNG unless that is large, else as JPEG with all its colours."""
    jpeg = encode_image(image, quality=SMALL_QUALITY, subsampling=FULL_COLOUR)
    png = encode_image(image, lossless=True)
    return png if len(png.data) <= MAX_PNG_RATIO * len(jpeg.data) else jpeg


def prepare_tiff(opened: TiffImageFile) -> None:
    """Works around Pillow, which reads planes of 16 bits as noise, and colour maps from 0 to 255 as black."""
    tags = opened.tag_v2
    if tags.get(PLANAR_CONFIG) == SEPARATE_PLANES and max(tags.get(BITSPERSAMPLE, (1,))) > 8:
        raise unsupported_error("TIFF", "more than 8 bits in separate planes")
    colours = tags.get(COLORMAP, ())
    if opened.mode in ("P", "PA") and colours and max(colours) <= 255:
        opened.palette = ImagePalette.raw("RGB;L", bytes(colours))


def describe_unsupported_kind(format: str, data: bytes) -> str | None:
    """What Pillow reports like damage although the file is whole."""
    if format in ("AVIF", "HEIC"):
        return describe_unsupported_heif(data)
    if format != "TIFF":
        return None
    if data.startswith(BIG_ENDIAN_BIG_TIFF):
        return "a BigTIFF in big-endian order"
    directory = TiffDirectory(data)
    channels = directory.value(SAMPLES_PER_PIXEL, 1)
    if directory.value(PLANAR_CONFIG, 1) == SEPARATE_PLANES and channels not in READ_PLANES:
        return f"{channels} channels in separate planes"
    number = directory.value(COMPRESSION, UNCOMPRESSED)
    return None if can_decode_compression(number) else f"compression {COMPRESSION_INFO.get(number, number)}"


@lru_cache(maxsize=64)
def can_decode_compression(number: int) -> bool:
    """Optional codecs of libtiff are missing for both directions."""
    name = COMPRESSION_INFO.get(number)
    if number not in OPTIONAL_COMPRESSIONS:
        return name is not None
    try:
        Image.new("L", (16, 16)).save(io.BytesIO(), "TIFF", compression=name)
    except DECODER_ERRORS:
        return False
    return True


@contextmanager
def decoder_errors(format: str, find_unsupported: Callable[[], str | None] = lambda: None) -> Iterator[None]:
    """Use it only around decoder calls, so that bugs are not reported as damage.

    ``find_unsupported``: after an error, the reason why the decoder can't read the whole file, if that is known.
    """
    try:
        yield
    except BOMB_ERRORS as error:
        raise RowError(
            "image_bomb", f"decodes to more pixels than its header says; {describe_pixel_limit()}."
        ) from error
    except DECODER_ERRORS as error:
        reason = str(error) if UNSUPPORTED_KIND.search(str(error)) else find_unsupported()
        if reason:
            raise unsupported_error(format, reason) from error
        raise truncated_error(format) from error


def unsupported_error(format: str, reason: str) -> RowError:
    return RowError("image_unsupported", f"is a {format} of a kind that is not supported ({reason}); save it as PNG.")


def check_dimensions(width: int, height: int, format: str) -> None:
    if width < 1 or height < 1:
        raise truncated_error(format)
    if width * height > MAX_DECODED_PIXELS:
        raise RowError("image_bomb", f"has {width} x {height} pixels; {describe_pixel_limit()}.")
    if max(width, height) >= MAX_RATIO * min(width, height):
        limit = f"models refuse a ratio of {MAX_RATIO}:1 or more"
        raise RowError("image_extreme_ratio", f"has {width} x {height} pixels; {limit}, so crop it.")


def describe_pixel_limit() -> str:
    return f"the limit is {MAX_DECODED_PIXELS // 1_000_000} million, so make it smaller first"


def truncated_error(format: str) -> RowError:
    return RowError("image_truncated", f"starts as {format} but is truncated or damaged; get the file again.")


def encode_image(
    image: Image.Image, *, lossless: bool = False, quality: int = JPEG_QUALITY, subsampling: int = DEFAULT_COLOUR
) -> EncodedImage:
    """Encodes the image as PNG if ``lossless`` or too long for JPEG, else as JPEG."""
    # Pillow would copy `info` (GIF comments, profiles) to the new file.
    image.info.clear()
    format = "PNG" if lossless or max(image.size) > JPEG_MAX_SIDE else "JPEG"
    out = io.BytesIO()
    image.save(out, format, quality=quality, subsampling=subsampling)
    return EncodedImage(out.getvalue(), f"image/{format.lower()}", *image.size)


def convert_image(image: EncodedImage, refused: Collection[str], max_bytes: int | None = None) -> EncodedImage:
    """Re-encodes an image that a server does not accept: its media type is ``refused``, or it has too many bytes.

    The result has at most ``max_bytes``, unless the smallest sensible image has more. It has no uuid, and is ``image``
    itself if nothing is to be gained. Raises RowError ``image_truncated``.
    """
    is_refused = image.media_type in refused
    if not is_refused and (max_bytes is None or len(image.data) <= max_bytes):
        return image
    format = image.media_type.removeprefix("image/").upper()
    with NamedErrors("An image"), decoder_errors(format):
        opened = OPENERS[format](io.BytesIO(image.data))
        pixels = opened.convert("L" if opened.mode == "L" else "RGB")
    converted = encode_image(pixels)
    if is_refused and format == "WEBP" and is_lossless_webp(image.data) and "image/png" not in refused:
        # Graphics are smaller as PNG, and stay sharp.
        converted = min(encode_image(pixels, lossless=True), converted, key=count_bytes)
    if max_bytes is not None and len(converted.data) > max_bytes:
        converted = reduce_bytes(pixels, converted, max_bytes)
    return converted if is_refused else min(image, converted, key=count_bytes)


def reduce_bytes(pixels: Image.Image, encoded: EncodedImage, max_bytes: int) -> EncodedImage:
    """Fewer pixels step by step, down to SMALLEST_PIXELS; then a lower quality."""
    area = pixels.width * pixels.height
    while len(encoded.data) > max_bytes and area > SMALLEST_PIXELS:
        area = max(SMALLEST_PIXELS, int(area * max_bytes / len(encoded.data) * REDUCTION_MARGIN))
        encoded = encode_image(resize(pixels, fit_size(pixels.size, area)))
    if len(encoded.data) > max_bytes:
        encoded = encode_image(resize(pixels, fit_size(pixels.size, area)), quality=SMALLEST_QUALITY)
    return encoded


def count_bytes(image: EncodedImage) -> int:
    return len(image.data)
