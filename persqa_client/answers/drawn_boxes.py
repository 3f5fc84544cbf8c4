"""Finds answers about the red box that was drawn around the main character. The pictures of the data set have none."""

from __future__ import annotations

import re

from persqa_client.lazy_pattern import compile_lazily
from persqa_client.types import Problem, Task

# Not "a red box", which may be a thing in the picture, and not 红框眼镜, glasses with a red frame.
DRAWN_BOX = compile_lazily(
    r"\b(?:in|inside|within|outside(?: of)?) (?:the|this|that) red (?:box|rectangle|square|frame|outline|border)\b"
    r"|\b(?:marked|highlighted|outlined|enclosed|framed|indicated|surrounded) (?:by|in|with) (?:the|a) red"
    r" (?:box|rectangle|square|frame|outline|border)\b"
    r"|\bbounding box\b"
    r"|红(?:色的?)?(?:方|矩形|线|边|标注)?框(?:里|内|中|标|选|圈)",
    re.IGNORECASE,
)


def check_no_drawn_box(text: str, task: Task) -> Problem | None:
    if not task.has_drawn_box or not DRAWN_BOX.search(text):
        return None
    return Problem("about_the_task", "an answer about the box that was drawn into the picture")
