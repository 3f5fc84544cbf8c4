"""Makes the run of a command: in this process, or in a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from persqa_client.cli.messages import print_warning
from persqa_client.cli.ray_flags import LOCAL, EngineFlags
from persqa_client.errors import SettingsError
from persqa_client.inputs.opening import STANDARD_INPUT
from persqa_client.inputs.sources import Source
from persqa_client.run.run import Run
from persqa_client.run.settings import RunSettings

# Flags that don't go with --engine ray, and what to do instead.
REFUSED = {
    "shard": "it makes all shards itself; leave out --shard",
    "fresh": "it can't start over; choose another -o",
    "serve": "it starts no server; start one on each machine with a GPU, and name them with --base-url",
    "share_limits": "its workers divide the limits among themselves; leave out --share-limits",
    "metrics_port": "its workers are in other processes; leave out --metrics-port",
}


def check_engine(flags: EngineFlags, run_flags: Mapping[str, Any], settings: RunSettings, *, has_page: bool) -> None:
    """Raises SettingsError for flags that do not go together, and if Ray is not installed."""
    if flags.engine == "local":
        given = [name for name, value in flags._asdict().items() if value != getattr(LOCAL, name)]
        if given:
            name = "no-merge" if given[0] == "merge" else given[0].replace("_", "-")
            raise SettingsError(f"--{name} needs --engine ray.")
        return
    for name, reason in REFUSED.items():
        value = run_flags.get(name)
        if value is not None and value is not False:
            raise SettingsError(f"--{name.replace('_', '-')} and --engine ray: {reason}.")
    if settings.is_stream:
        raise SettingsError("-o - and --engine ray: its results are files; name one, such as -o qa.jsonl.")
    if STANDARD_INPUT in run_flags["input"]:
        raise SettingsError("- (standard input) and --engine ray: its workers read the input; write it to a file.")
    if not flags.merge and has_page:
        raise SettingsError("--report is about the merged output; leave out --no-merge, or write it later.")
    from persqa_client.ray.cluster import check_ray_installed

    check_ray_installed()


def make_run(flags: EngineFlags, settings: RunSettings, source: Source, inputs: Sequence[object]) -> Run:
    """Raises SettingsError."""
    if flags.engine == "local":
        return Run(settings, source, warn=print_warning)
    # Imported here, since most runs do without.
    from persqa_client.ray.job import RayOptions, RayRun

    names = tuple(os.fspath(each) if isinstance(each, os.PathLike) else str(each) for each in inputs)
    options = RayOptions(names, flags.ray_address, flags.shards, flags.ray_workers, flags.merge)
    return RayRun(settings, source, options, warn=print_warning)
