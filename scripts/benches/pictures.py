"""How fast phone photos are prepared, beside one thread that does it the plain way, and what that costs in quality."""

from __future__ import annotations

import io
import math
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image, ImageChops, ImageOps, ImageStat

import persqa_client
from benches.common import Figure
from persqa_client.config import DEFAULT_MAX_PIXELS
from persqa_client.images.cache import ImageCache
from persqa_client.images.prepare import fit_to_pixels, load_image
from persqa_client.run.compose import IMAGE_THREADS
from persqa_client.types import EncodedImage

SIZE, ORIENTATION, COUNT = (4032, 3024), 6, 16
SPEED_BAR, LOSS_BAR, AGAIN_BAR = 3.0, 0.5, 100.0
SAMPLES = sorted((Path(persqa_client.__file__).parent / "samples").glob("*.jpg"))


def load(shelf: ImageCache, path: Path) -> EncodedImage:
    return shelf.load(str(path))


def measure(folder: Path, *, rounds: int = 3) -> list[Figure]:
    photos = phone_photos(folder)
    speeds, again = [], []
    for _ in range(rounds):
        plainly = rate(plain, photos, threads=1)
        shelf = ImageCache([], max_pixels=DEFAULT_MAX_PIXELS, bound=64 << 20)
        ours = rate(partial(load, shelf), photos, threads=IMAGE_THREADS)
        speeds.append((ours / plainly, ours, plainly))
        again.append(rate(partial(load, shelf), photos, threads=IMAGE_THREADS) / ours)
    ratio, ours, plainly = sorted(speeds)[len(speeds) // 2]
    once = statistics.median(again)
    return [
        Figure(
            f"photos of 12 megapixels, times one plain thread ({os.cpu_count()} cores)",
            f"{ratio:.1f} ({ours:.1f} / {plainly:.1f} a second)",
            f"≥ {SPEED_BAR}",
            ratio >= SPEED_BAR,
        ),
        quality(photos),
        Figure("the same photo again, times as fast", f"{once:.0f}", f"≥ {AGAIN_BAR:.0f}", once >= AGAIN_BAR),
    ]


def quality(photos: list[Path]) -> Figure:
    """PSNR in dB against the plain way's JPEG, and of both against what a reduction gives before any JPEG."""
    between, least_loss = [], []
    for path in photos[: len(SAMPLES)]:
        sharp, theirs = reduced(path), opened(plain(path))
        mine = opened(load_image(str(path), [], max_pixels=DEFAULT_MAX_PIXELS).data)
        between.append(psnr(mine, theirs))
        least_loss.append(psnr(theirs, sharp) - psnr(mine, sharp))
    return Figure(
        "quality lost to the plain way, against a reduction without JPEG",
        f"{max(least_loss):.2f} dB at most (PSNR between the two: {min(between):.1f} to {max(between):.1f} dB)",
        f"≤ {LOSS_BAR} dB",
        max(least_loss) <= LOSS_BAR,
    )


def plain(path: Path) -> bytes:
    buffer = io.BytesIO()
    reduced(path).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def reduced(path: Path) -> Image.Image:
    image = ImageOps.exif_transpose(Image.open(path))
    return image.resize(fit_to_pixels(image.size, DEFAULT_MAX_PIXELS), Image.Resampling.LANCZOS)


def rate(prepare: Callable[[Path], object], photos: list[Path], *, threads: int) -> float:
    """Photos a second."""
    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        list(pool.map(prepare, photos))
        return len(photos) / (time.perf_counter() - began)


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def psnr(one: Image.Image, other: Image.Image) -> float:
    sums = ImageStat.Stat(ImageChops.difference(one, other)).sum2
    return 10 * math.log10(255**2 * 3 * one.width * one.height / sum(sums))


def phone_photos(folder: Path) -> list[Path]:
    """Files as a phone's camera writes them: the sensor's size with a turning, a sensor's noise, 3 to 5 MB. Every other
    one is a mosaic of small pictures, which has more fine detail than any photo. Kept from run to run."""
    paths = [folder / f"{number:02}.jpg" for number in range(COUNT)]
    for number, path in enumerate(paths):
        if not path.exists():
            scene = mosaic(number) if number % 2 else enlarged(SAMPLES[number % len(SAMPLES)])
            path.write_bytes(taken(scene))
    return paths


def enlarged(path: Path) -> Image.Image:
    return ImageOps.fit(Image.open(path).convert("RGB"), SIZE, Image.Resampling.BICUBIC)


def mosaic(number: int) -> Image.Image:
    canvas = Image.new("RGB", SIZE)
    side = 504
    for tile, (x, y) in enumerate((x, y) for y in range(0, SIZE[1], side) for x in range(0, SIZE[0], side)):
        sample = Image.open(SAMPLES[(number + tile) % len(SAMPLES)]).convert("RGB")
        canvas.paste(ImageOps.fit(sample, (side, side)), (x, y))
    return canvas


def taken(scene: Image.Image) -> bytes:
    """The scene with noise, at the first quality that gives a file of a phone's size."""
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
