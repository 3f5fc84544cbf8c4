"""What a run notes about itself: the checkpoint while it runs, the run file after it. Reads and writes these two."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from persqa_client.errors import SettingsError
from persqa_client.jsonl import dump_compact, load_object
from persqa_client.storage.durable import read_file, replace_file
from persqa_client.storage.run_files import RunFiles
from persqa_client.storage.tally import Tally
from persqa_client.types import Json, Position

FORMAT = 2
TOOL = "persqa_client"
START = Position(0, 0, "")

Phase = Literal["running", "reopening", "finishing"]
Mode = Literal["run", "retry"]


class Lengths(NamedTuple):
    """Bytes of an output and its failure file that are whole rows and belong together."""

    output: int = 0
    failed: int = 0


NOTHING = Lengths()


@dataclass(frozen=True, slots=True)
class Before:
    """What a retry goes by: the finished run's files, how much of them is carried over, and where that run ended."""

    lengths: Lengths
    done: Lengths
    until: Position


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Enough to go on: rows up to ``position`` lie within ``lengths`` of the files, later ones in the journal."""

    identity: Json
    stamp: Json | None
    phase: Phase = "running"
    mode: Mode = "run"
    position: Position = START
    lengths: Lengths = NOTHING
    generation: int = 1
    """Oldest generation of the journal that counts."""
    tally: Json | None = None
    seconds: float = 0.0
    before: Before | None = None
    run: Json | None = None
    """While finishing: what the run file will say."""

    def finished(self) -> Finished:
        """The run, once this checkpoint's last steps are done."""
        counts = self.tally or Tally().to_json()
        return Finished(self.identity, self.stamp, self.position, self.lengths, counts, self.seconds)


@dataclass(frozen=True, slots=True)
class Finished:
    """A run file, as far as a later run goes by it."""

    identity: Json
    stamp: Json | None
    position: Position
    lengths: Lengths
    tally: Json
    seconds: float

    def reopened(self) -> Checkpoint:
        """Where the run goes on, once its files are partial again."""
        return Checkpoint(
            identity=self.identity,
            stamp=self.stamp,
            phase="reopening",
            position=self.position,
            lengths=self.lengths,
            tally=self.tally,
            seconds=self.seconds,
        )

    def retried(self) -> Checkpoint:
        """The beginning of a pass that asks its failures again."""
        return Checkpoint(
            identity=self.identity,
            stamp=self.stamp,
            mode="retry",
            tally=self.tally,
            seconds=self.seconds,
            before=Before(self.lengths, NOTHING, self.position),
        )


def write_checkpoint(files: RunFiles, checkpoint: Checkpoint) -> None:
    noted = asdict(checkpoint)
    # asdict keeps a NamedTuple's class, which orjson doesn't take; a list reads back just as well.
    noted["lengths"] = list(checkpoint.lengths)
    if checkpoint.before is not None:
        noted["before"] |= {"lengths": list(checkpoint.before.lengths), "done": list(checkpoint.before.done)}
    replace_file(files.checkpoint, dump_compact({"tool": TOOL, "format": FORMAT, **noted}) + b"\n")


def read_checkpoint(files: RunFiles) -> Checkpoint | None:
    """None where there is none. Raises SettingsError where the file is not one of ours."""
    noted = read_ours(files.checkpoint)
    if noted is None:
        return None
    try:
        noted["position"] = Position(**noted["position"])
        noted["lengths"] = Lengths(*noted["lengths"])
        Tally.from_json(noted["tally"] or Tally().to_json())
        before = noted["before"]
        if before is not None:
            done, lengths = Lengths(*before["done"]), Lengths(*before["lengths"])
            noted["before"] = Before(lengths, done, Position(**before["until"]))
        return Checkpoint(**noted)
    except (KeyError, TypeError) as error:
        raise foreign(files.checkpoint) from error


def write_run_file(files: RunFiles, checkpoint: Checkpoint) -> None:
    """Writes what the caller says of the run, and above it what a later run goes by."""
    noted: Json = {
        **(checkpoint.run or {}),
        "tool": TOOL,
        "format": FORMAT,
        "output": files.output.name,
        "identity": checkpoint.identity,
        "counts": checkpoint.tally,
        "position": asdict(checkpoint.position),
        "stamp": checkpoint.stamp,
        "lengths": checkpoint.lengths._asdict(),
        "seconds": checkpoint.seconds,
    }
    text = json.dumps(noted, ensure_ascii=False, indent=2)
    replace_file(files.run, text.encode("utf-8", "backslashreplace") + b"\n")


def read_run_file(files: RunFiles) -> Finished | None:
    """None where there is none. Raises SettingsError where it is not ours, or tells of another output."""
    noted = read_ours(files.run)
    if noted is None:
        return None
    if noted.get("output") != files.output.name:
        raise SettingsError(f"{files.run} belongs to the output {noted.get('output')}: choose another -o")
    try:
        Tally.from_json(noted["counts"])
        return Finished(
            identity=noted["identity"],
            stamp=noted["stamp"],
            position=Position(**noted["position"]),
            lengths=Lengths(**noted["lengths"]),
            tally=noted["counts"],
            seconds=noted["seconds"],
        )
    except (KeyError, TypeError) as error:
        raise foreign(files.run) from error


def read_ours(path: Path) -> dict[str, Any] | None:
    data = read_file(path)
    if data is None:
        return None
    try:
        noted = load_object(data)
    except ValueError as error:
        raise foreign(path) from error
    if noted.pop("tool", None) != TOOL:
        raise foreign(path)
    if noted.pop("format", None) != FORMAT:
        raise SettingsError(f"{path} was written by another version of {TOOL}: use that one, or choose another -o")
    return noted


def foreign(path: Path) -> SettingsError:
    """The refusal of a file that no run of ours made, or that was changed since; such files are never overwritten."""
    return SettingsError(f"{path} is there, but no run of ours left it so: move it away, or choose another -o")
