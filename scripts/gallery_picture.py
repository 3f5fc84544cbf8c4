#!/usr/bin/env python3
"""Makes the picture of a report that the READMEs show: persqa_client/report/gallery.png.

usage: gallery_picture.py [FILE.png]

Runs ``persqa run --report`` over some of the sample pictures, against the simulator with the answers below, and takes a
picture of the page in chromium (Debian: apt-get install chromium; pip install playwright). The answers are written by
hand: a run with a model has others.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from persqa_client.simulator.faults import Choice
from persqa_client.simulator.server import DEFAULT_MODEL, SimSettings, run_simulator

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "persqa_client" / "samples"
PICTURE = ROOT / "persqa_client" / "report" / "gallery.png"
# Picture, tag, question and answer. The tag of the first answer is repaired.
ROWS = (
    ("astronaut.jpg", "mam", "What is <mam> wearing?", "mam wears an orange space suit with a white collar."),
    ("cat.jpg", "bo", "What is the fur of <bo> like?", "<bo> has short orange fur with pale stripes."),
    ("photographer.jpg", "mam", "Who is <mam>?", "I'm sorry, but I can't identify people in pictures."),
    ("coffee.jpg", "mam", "<mam> 这杯咖啡盛在什么样的杯子里？", "<mam>盛在一个外红内白的陶瓷杯里，放在红色的碟子上。"),
    ("rocket.jpg", "mam", "What stands on both sides of <mam>?", "<mam> stands between four tall lattice towers."),
    ("flower.jpg", "mam", "What colours does <mam> have?", "<mam> has orange petals with pale edges."),
)
WIDTH, HEIGHT = 1240, 700
# With few colours, and without dithering, the picture is small.
COLOURS = 80


def main() -> int:
    words = sys.argv[1:]
    if len(words) > 1 or words[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 0 if len(words) == 1 else 2
    path = Path(words[0]) if words else PICTURE
    with tempfile.TemporaryDirectory() as folder:
        picture = take_picture(write_page(Path(folder)))
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size:,} bytes, {picture.width} x {picture.height}")
    return 0


def write_page(folder: Path) -> Path:
    lines = [
        json.dumps({"image": str(SAMPLES / image), "tag": tag, "question": question})
        for image, tag, question, _ in ROWS
    ]
    (folder / "photos.jsonl").write_text("\n".join(lines) + "\n")
    answers = {question: Choice(answer, "stop") for *_, question, answer in ROWS}
    with run_simulator(SimSettings(latency=0.0, answers=answers)) as simulator:
        words = ["photos.jsonl", "-o", "qa.jsonl", "--report", "report.html", "--strategy", "direct", "-q"]
        words += ["--base-url", simulator.base_url, "--model", DEFAULT_MODEL]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-m", "persqa_client", "run", *words], cwd=folder, env=environment, check=False)
    return folder / "report.html"


def take_picture(page: Path) -> Image.Image:
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, locale="en-GB", color_scheme="light")
        tab.goto(page.as_uri())
        tab.locator(".card").nth(len(ROWS) - 1).wait_for()
        tab.locator("#more summary").click()
        tab.mouse.move(WIDTH / 2, 1)
        data = tab.screenshot()
        browser.close()
    return Image.open(io.BytesIO(data)).convert("RGB")


if __name__ == "__main__":
    sys.exit(main())
