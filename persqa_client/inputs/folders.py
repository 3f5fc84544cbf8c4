"""A folder of images, which are found by their names or by their first bytes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from natsort import natsort_keygen, ns

from persqa_client.errors import SettingsError
from persqa_client.images.fetched_files import FETCHED_FOLDER
from persqa_client.images.formats import IMAGE_SUFFIXES, RAW_SUFFIXES, detect_format
from persqa_client.images.references import describe_reference, make_reference
from persqa_client.inputs.listed import ListedSource, is_never_known, is_never_left_out
from persqa_client.inputs.own_exports import is_export_folder
from persqa_client.inputs.sources import GeneratedRow, LocatedSource, Source, describe_names
from persqa_client.jsonl import dump_spaced

# Bytes that ``detect_format`` needs.
HEAD_SIZE = 512
PLACEHOLDER_SUFFIX = ".icloud"
# A JPEG that cameras write beside a video (DCF, JEITA CP-3461).
THUMBNAIL_SUFFIX = ".thm"
# In lower case: thumbnails, deleted files and snapshots of Synology; deleted files of QNAP and of Windows.
SYSTEM_FOLDERS = frozenset({"@eadir", "#recycle", "#snapshot", "@recycle", "$recycle.bin"})
# Suffixes that the warning about skipped files names.
NAMED_SUFFIXES = 5

natural_key = natsort_keygen(alg=ns.IGNORECASE)


class ImagesBelowSource(ListedSource):
    """Images below a folder as rows ``{image_key: [path]}``, named as seen from the folder."""

    def __init__(self, name: str, folder: Path, image_key: str) -> None:
        super().__init__()
        self.name = name
        self.folder = folder
        self._image_key = image_key

    @property
    def root(self) -> str:
        return os.path.realpath(self.folder)

    def render_line(self, name: str) -> bytes:
        return dump_spaced({self._image_key: [make_reference(join_name(self.folder, name))]})

    def find_name(self, reference: str) -> str | None:
        relative = os.path.relpath(os.path.abspath(reference), os.path.abspath(self.folder))
        return None if relative.split(os.sep)[0] == os.pardir else relative.replace(os.sep, "/")


class FolderSource(ImagesBelowSource):
    """All images below a folder."""

    def __init__(self, folder: Path, image_key: str, leave_out: Callable[[Path], bool] = is_never_left_out) -> None:
        """``leave_out``: which files are not reported as skipped."""
        super().__init__(str(folder), folder, image_key)
        self._leave_out = leave_out
        # Counted by the last complete walk.
        self._others: Counter[str] | None = None

    def find_names(self, is_known: Callable[[str], bool]) -> Iterator[str]:
        others = Counter[str]()
        yield from find_folder_names(self.folder, is_known, others, self._leave_out)
        self._others = others

    def has_names(self) -> bool:
        return has_images(self.folder)

    def written_lines(self) -> Iterator[tuple[str, bytes]]:
        """Names, and lines as earlier versions wrote them."""
        for name in self.find_names(is_never_known):
            yield name, dump_spaced({self._image_key: [join_name(self.folder, name)]})

    def count_names(self) -> int:
        return count_folder_images(self.folder)

    def warnings(self) -> tuple[str, ...]:
        if self._others is None:
            self._others = count_other_files(self.folder, self._leave_out)
        skipped = describe_skipped_files(self.folder, self._others)
        return () if skipped is None else (skipped,)

    def as_written(self) -> Source:
        return WrittenFolderSource(self)


class WrittenFolderSource(LocatedSource):
    """A folder in a run of an earlier version: sorted, and named as written in the rows."""

    def __init__(self, folder: FolderSource) -> None:
        self._folder = folder
        self.name = folder.name

    def progress_total(self) -> int:
        return self._folder.count_names()

    def warnings(self) -> tuple[str, ...]:
        return self._folder.warnings()

    def generate_rows(self) -> Iterator[GeneratedRow]:
        root = self._folder.root
        for name, line in self._folder.written_lines():
            yield GeneratedRow(line, os.path.join(root, name))


class Directory(NamedTuple):
    images: list[str]
    subdirectories: list[str]
    # Files that are no images: visible ones, and placeholders of images. Names of folders that are left out end with a
    # slash: those of the system, and exports.
    others: list[str]


def find_folder_names(
    folder: Path,
    is_known: Callable[[str], bool] = is_never_known,
    others: Counter[str] | None = None,
    leave_out: Callable[[Path], bool] = is_never_left_out,
) -> Iterator[str]:
    """Paths of the images below the folder, relative to it and with slashes, without those that are known.

    A directory's images come before those of its sub-directories, in natural order without regard to case. A file with
    the suffix of an image is listed without opening it, so that broken files and links are reported. Any other file is
    an image if it begins like one, except for raw photos: most lie beside a JPEG. Known images are neither opened nor
    sorted. Visible files that are no images are counted in ``others``, by suffix, without those to leave out. Raises
    SettingsError for an unreadable directory.
    """
    for prefix, listing in walk_directories(folder, is_known):
        if others is not None:
            others.update(count_suffixes(os.path.join(folder, prefix), listing.others, leave_out))
        for name in sorted(listing.images, key=sort_key):
            yield prefix + name


def is_known_below(prefix: str, is_known: Callable[[str], bool], name: str) -> bool:
    return is_known(prefix + name)


def join_name(folder: Path, name: str) -> str:
    return os.path.normpath(os.path.join(folder, name))


def walk_directories(folder: Path, is_known: Callable[[str], bool] = is_never_known) -> Iterator[tuple[str, Directory]]:
    """Each directory, after the path to it from the folder, which is empty or ends with a slash.

    An export below the folder is not entered: its pictures are copies of those that are listed already. The folder
    itself may be one.
    """
    pending = [""]
    while pending:
        prefix = pending.pop()
        listing = list_directory(os.path.join(folder, prefix), partial(is_known_below, prefix, is_known))
        exports = {name for name in listing.subdirectories if is_export_folder(os.path.join(folder, f"{prefix}{name}"))}
        listing.others.extend(f"{name}/" for name in sorted(exports))
        yield prefix, listing
        entered = sorted(set(listing.subdirectories) - exports, key=sort_key, reverse=True)
        pending += [f"{prefix}{name}/" for name in entered]


def count_folder_images(folder: Path) -> int:
    return sum(len(listing.images) for _, listing in walk_directories(folder))


def has_images(folder: Path) -> bool:
    return any(listing.images for _, listing in walk_directories(folder))


def suffix_of(name: str) -> str:
    return name if name.endswith("/") else os.path.splitext(name)[1].lower() or "no suffix"


def count_suffixes(directory: str, names: Sequence[str], leave_out: Callable[[Path], bool]) -> Counter[str]:
    return Counter(suffix_of(name) for name in names if not leave_out(Path(directory, name)))


def count_other_files(folder: Path, leave_out: Callable[[Path], bool] = is_never_left_out) -> Counter[str]:
    """The visible files that are no images, by suffix."""
    counts = Counter[str]()
    for prefix, listing in walk_directories(folder):
        counts.update(count_suffixes(os.path.join(folder, prefix), listing.others, leave_out))
    return counts


def describe_skipped_files(folder: Path, suffixes: Counter[str] | None = None) -> str | None:
    """Describes what is skipped: the files that are no images, by suffix, and folders. They are counted unless they are
    given.
    """
    suffixes = count_other_files(folder) if suffixes is None else suffixes
    files = Counter({suffix: count for suffix, count in suffixes.items() if not suffix.endswith("/")})
    folders = [name for name in suffixes if name.endswith("/")]
    sentences = [
        describe_other_files(files),
        "Raw photos can't be read: export those without a JPEG." if files.keys() & RAW_SUFFIXES else "",
        "Download those in iCloud first." if PLACEHOLDER_SUFFIX in files else "",
        describe_folders_left_out("exports of persqa", {n: suffixes[n] for n in folders if not is_system(n)}),
        describe_folders_left_out("folders of the system", {n: suffixes[n] for n in folders if is_system(n)}),
    ]
    first, *others = [*filter(None, sentences)] or [""]
    place = f"In {describe_reference(os.fspath(folder))},"
    return " ".join((place, first, *map(capitalise, others))) if first else None


def describe_other_files(suffixes: Counter[str]) -> str:
    # Raw photos are named however few they are.
    shown = sorted(suffixes.most_common(), key=lambda each: each[0] not in RAW_SUFFIXES)[:NAMED_SUFFIXES]
    more = suffixes.total() - sum(count for _, count in shown)
    listed = ", ".join([f"{count} with {suffix}" for suffix, count in shown] + ([f"{more} others"] if more else []))
    those = "file is not an image and is" if suffixes.total() == 1 else "files are not images and are"
    return f"{suffixes.total()} {those} skipped ({listed})." if suffixes else ""


def is_system(name: str) -> bool:
    return name.rstrip("/").lower() in SYSTEM_FOLDERS


def describe_folders_left_out(kind: str, counts: Mapping[str, int]) -> str:
    """The beginning of the sentence is in lower case."""
    named = [f"{count} × {describe_reference(name)}" for name, count in counts.items()]
    return f"{kind} are left out ({describe_names(named)})." if named else ""


def capitalise(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def list_directory(directory: str, is_known: Callable[[str], bool] = is_never_known) -> Directory:
    listing = Directory([], [], [])
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    if is_placeholder(entry.name) and not is_known(entry.name):
                        listing.others.append(entry.name)
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if entry.name == FETCHED_FOLDER:
                        continue
                    if entry.name.lower() in SYSTEM_FOLDERS:
                        listing.others.append(f"{entry.name}/")
                        continue
                    listing.subdirectories.append(entry.name)
                elif not is_known(entry.name) and not (entry.is_symlink() and os.path.isdir(entry.path)):
                    (listing.images if is_image(entry) else listing.others).append(entry.name)
    except (OSError, ValueError) as error:
        # os.scandir raises ValueError for a name with a NUL.
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        message = f"Cannot list the images in {describe_reference(directory)}: {reason}."
        raise SettingsError(f"{message} Correct the path, or move that folder elsewhere.") from error
    return listing


def is_listed_below(folder: str, path: str) -> bool:
    """Whether a listing of the folder enters all folders down to the path, and its name is visible. Both are absolute,
    without links. For an existing image or folder.
    """
    if not path.startswith(os.path.join(folder, "")):
        return False
    names = os.path.relpath(path, folder).split(os.sep)
    if any(name.startswith(".") or is_system(name) or name == FETCHED_FOLDER for name in names):
        return False
    folders = (os.path.join(folder, *names[:length]) for length in range(1, len(names) + 1))
    return not any(map(is_export_folder, folders))


def is_placeholder(name: str) -> bool:
    """macOS keeps ``.IMG_1.HEIC.icloud`` in place of a photo that it has moved to iCloud."""
    return name.startswith(".") and name.endswith(PLACEHOLDER_SUFFIX)


def is_image(entry: os.DirEntry[str]) -> bool:
    suffix = os.path.splitext(entry.name)[1].lower()
    if suffix in IMAGE_SUFFIXES or suffix in RAW_SUFFIXES or suffix == THUMBNAIL_SUFFIX:
        return suffix in IMAGE_SUFFIXES
    return begins_like_image(entry.path)


def begins_like_image(path: str) -> bool:
    try:
        # Opening a FIFO would block.
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return detect_format(file.read(HEAD_SIZE)) is not None
    except OSError:
        return False


def sort_key(name: str) -> tuple[object, str]:
    """Natural order; equal names (``1.jpg``, ``01.JPG``) are ordered by their characters."""
    return natural_key(name), name
