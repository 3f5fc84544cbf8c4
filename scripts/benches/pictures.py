"""The speed of preparing phone photos beside one plain thread, and the loss of quality."""

from __future__ import annotations

import io
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image, ImageChops, ImageOps, ImageStat

import persqa_client
from benches.common import Figure
from persqa_client.config import DEFAULT_MAX_PIXELS
from persqa_client.images.loader import ImageCache
from persqa_client.images.prepare import load_image
from persqa_client.images.sizes import fit_size
from persqa_client.run.compose import IMAGE_THREADS
from persqa_client.types import EncodedImage

SIZE, ORIENTATION, COUNT = (4032, 3024), 6, 16
SPEED_BAR, LOSS_BAR, REPEAT_BAR = 3.0, 0.5, 100.0
SAMPLES = sorted((Path(persqa_client.__file__).parent / "samples").glob("*.jpg"))


def load_cached(cache: ImageCache, path: Path) -> EncodedImage:
    return cache.load(str(path))


def measure(folder: Path, *, rounds: int = 3) -> Iterator[Figure]:
    photos = make_photos(folder)
    speeds, repeats = [], []
    for _ in range(rounds):
        plain = measure_rate(prepare_plainly, photos, threads=1)
        cache = ImageCache([], max_pixels=DEFAULT_MAX_PIXELS, max_bytes=64 << 20)
        ours = measure_rate(partial(load_cached, cache), photos, threads=IMAGE_THREADS)
        speeds.append((ours / plain, ours, plain))
        repeats.append(measure_rate(partial(load_cached, cache), photos, threads=IMAGE_THREADS) / ours)
    ratio, ours, plain = sorted(speeds)[len(speeds) // 2]
    repeat = statistics.median(repeats)
    what = f"photos of 12 megapixels, times one plain thread ({os.cpu_count()} cores)"
    yield Figure(what, f"{ratio:.1f} ({ours:.1f} / {plain:.1f} a second)", f"≥ {SPEED_BAR}", ratio >= SPEED_BAR)
    yield Figure("the same photo again, times as fast", f"{repeat:.0f}", f"≥ {REPEAT_BAR:.0f}", repeat >= REPEAT_BAR)
    yield measure_quality(photos)


def measure_quality(photos: list[Path]) -> Figure:
    """PSNR in dB of both ways against the scaled photo before any JPEG encoding, and between the two."""
    between, losses = [], []
    for path in photos[: len(SAMPLES)]:
        scaled, theirs = scale_down(path), decode(prepare_plainly(path))
        ours = decode(load_image(str(path), [], max_pixels=DEFAULT_MAX_PIXELS).data)
        between.append(compute_psnr(ours, theirs))
        losses.append(compute_psnr(theirs, scaled) - compute_psnr(ours, scaled))
    return Figure(
        "quality lost to the plain way, against a reduction without JPEG",
        f"{max(losses):.2f} dB at most (PSNR between the two: {min(between):.1f} to {max(between):.1f} dB)",
        f"≤ {LOSS_BAR} dB",
        max(losses) <= LOSS_BAR,
    )


def prepare_plainly(path: Path) -> bytes:
    buffer = io.BytesIO()
    scale_down(path).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def scale_down(path: Path) -> Image.Image:
    image = ImageOps.exif_transpose(Image.open(path))
    return image.resize(fit_size(image.size, DEFAULT_MAX_PIXELS), Image.Resampling.LANCZOS)


def measure_rate(prepare: Callable[[Path], object], photos: list[Path], *, threads: int) -> float:
    """Photos per second."""
    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        list(pool.map(prepare, photos))
        return len(photos) / (time.perf_counter() - began)


def decode(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def compute_psnr(one: Image.Image, other: Image.Image) -> float:
    sums = ImageStat.Stat(ImageChops.difference(one, other)).sum2
    return 10 * math.log10(255**2 * 3 * one.width * one.height / sum(sums))


def make_photos(folder: Path) -> list[Path]:
    """Files like those of a phone's camera: 12 megapixels, rotated by EXIF, noisy, 3 to 5 MB.

    Every other one is a mosaic of small images, with more fine detail than any photo. Files of an earlier run are kept.
    """
    paths = [folder / f"{number:02}.jpg" for number in range(COUNT)]
    for number, path in enumerate(paths):
        if not path.exists():
            scene = make_mosaic(number) if number % 2 else enlarge(SAMPLES[number % len(SAMPLES)])
            path.write_bytes(encode_photo(scene))
    return paths


def enlarge(path: Path) -> Image.Image:
    return ImageOps.fit(Image.open(path).convert("RGB"), SIZE, Image.Resampling.BICUBIC)


def make_mosaic(number: int) -> Image.Image:
    canvas = Image.new("RGB", SIZE)
    side = 504
    for tile, (x, y) in enumerate((x, y) for y in range(0, SIZE[1], side) for x in range(0, SIZE[0], side)):
        sample = Image.open(SAMPLES[(number + tile) % len(SAMPLES)]).convert("RGB")
        canvas.paste(ImageOps.fit(sample, (side, side)), (x, y))
    return canvas


def encode_photo(scene: Image.Image) -> bytes:
    """The scene with noise, at the first quality that gives at most 5 MB."""
    noise = Image.effect_noise(SIZE, 6)
    image = ImageChops.add(scene, Image.merge("RGB", [noise] * 3), offset=-128)
    exif = Image.Exif()
    exif[0x0112] = ORIENTATION
    data = b""
    for quality in (94, 92, 90, 88, 85, 80):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, exif=exif)
        data = buffer.getvalue()
        if len(data) <= 5_000_000:
            break
    return data
