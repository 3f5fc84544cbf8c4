"""The flags of ``persqa run`` for a run whose rows are answered in a Ray cluster."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal, NamedTuple

import typer

ray_option = partial(typer.Option, rich_help_panel="Several machines")
Engine = Annotated[
    Literal["local", "ray"],
    ray_option(help="Where the rows are answered: in this process, or by workers on the nodes of a Ray cluster."),
]
Shards = Annotated[
    int | None,
    ray_option(min=1, metavar="N", help="With --engine ray: parts of the rows; default: four for each worker."),
]
RayAddress = Annotated[
    str | None,
    ray_option(
        metavar="ADDRESS",
        help="With --engine ray: the cluster; default: the variable RAY_ADDRESS, else the one that runs on this "
        "machine, else a new one on it.",
    ),
]
RayWorkers = Annotated[
    int | None, ray_option(min=1, metavar="N", help="With --engine ray: shards at once; default: one for each node.")
]
Merge = Annotated[
    bool, ray_option("--merge/--no-merge", help="With --engine ray: put the shards together at the end; default: do.")
]


class EngineFlags(NamedTuple):
    engine: Literal["local", "ray"] = "local"
    shards: int | None = None
    ray_address: str | None = None
    ray_workers: int | None = None
    merge: bool = True


LOCAL = EngineFlags()
