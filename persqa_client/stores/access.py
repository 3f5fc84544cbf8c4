"""Access to object stores through fsspec, with the credentials that each store's library finds on this machine."""

from __future__ import annotations

import errno
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from persqa_client.errors import SettingsError
from persqa_client.extras import import_extra

# Block of an open file that is requested, and buffered, at once.
BLOCK_BYTES = 4 << 20
# Fields of a file's status that change with its content, as different stores name them.
VERSION_MEMBERS = ("ETag", "etag", "generation", "blob_id", "content_settings", "LastModified", "created")
# By default, s3fs holds ten parts of 50 MB in memory.
UPLOAD_OPTIONS = {scheme: {"chunksize": 16 << 20, "max_concurrency": 2} for scheme in ("s3", "s3a")}
SHOWN_REASON = 200
# Of S3: the credentials themselves are refused, and not only this file.
CREDENTIAL_CODES = frozenset(
    (
        *("ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken"),
        *("RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch", "TokenRefreshRequired"),
    )
)
# Exceptions of botocore, google-auth and azure with the same meaning, or without any credentials.
CREDENTIAL_ERRORS = frozenset(
    (
        *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError"),
        *("SSOTokenLoadError", "UnauthorizedSSOTokenError", "DefaultCredentialsError", "RefreshError"),
        "ClientAuthenticationError",
    )
)
UNAUTHORIZED = 401
# ``abfs://container@account…`` is a place of Azure, and no user.
PASSWORD = re.compile(r"(?<=://)[^/@]*:[^/]*@")
# It would be written into the files of the run, and is not used.
PASSWORD_GIVEN = (
    "has a password, which is not read from a URL; remove it, and give it to the package of the store, such as by "
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)


class ObjectStatus(NamedTuple):
    size: int
    version: str
    is_folder: bool


def has_password(url: str) -> bool:
    return PASSWORD.search(url) is not None


def lower_scheme(url: str) -> str:
    """The packages of the stores know their scheme in lower case only."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme.lower()}{separator}{rest}"


def open_store(url: str) -> Any:
    """The file system of fsspec for the scheme only. A chain of schemes in the URL has no effect.

    Raises SettingsError if a package is missing, or the URL has a password.
    """
    if has_password(url):
        raise SettingsError(f"{PASSWORD.sub('…@', url)} {PASSWORD_GIVEN}")
    scheme = url.partition("://")[0].lower()
    fsspec = import_extra("fsspec", "remote", f"{scheme}://")
    try:
        # Of what the URL may say, only the account of Azure is used, in which the container is.
        named = fsspec.get_filesystem_class(scheme)._get_kwargs_from_urls(url)
        account = {"account_name": named["account_name"]} if "account_name" in named else {}
        # Listings are not kept: they may be large, and another program may change what is listed.
        return fsspec.filesystem(scheme, use_listings_cache=False, **account)
    except (ImportError, ValueError) as error:
        reason = str(error).rstrip(".")
        raise SettingsError(f"{scheme}:// can't be used: {reason}. See the extra: pip install '.[remote]'") from error


def open_object(url: str) -> BinaryIO:
    """Opens a file for reading in any order. Raises the errors of the store."""
    return io.BufferedReader(open_unbuffered(url), BLOCK_BYTES)


def open_unbuffered(url: str) -> io.RawIOBase:
    """Each read asks the store. Raises what the store raises."""
    store, url = open_store(url), lower_scheme(url)
    if "memory" in (store.protocol, *store.protocol):
        # In this store, all readers of a file share one position.
        return cast(io.RawIOBase, io.BytesIO(store.cat_file(url)))
    # Caches of fsspec refer to themselves. Their blocks would stay in memory until the garbage collector finds them.
    return cast(io.RawIOBase, store.open(url, "rb", block_size=BLOCK_BYTES, cache_type="none"))


def read_status(url: str) -> ObjectStatus:
    """Raises what the store raises."""
    info = open_store(url).info(lower_scheme(url))
    version = next((str(info[name]) for name in VERSION_MEMBERS if info.get(name)), "")
    return ObjectStatus(int(info.get("size") or 0), version, info.get("type") == "directory")


def read_object(url: str, max_bytes: int) -> bytes | int:
    """The content, or its size if that is larger than the limit. Raises what the store raises."""
    store, url = open_store(url), lower_scheme(url)
    size = int(store.info(url).get("size") or 0)
    if size > max_bytes:
        return size
    # If the end is given, s3fs does not request the size again.
    return bytes(store.cat_file(url, start=0, end=size)) if size else b""


def find_credential_fault(url: str, error: BaseException | None) -> BaseException | None:
    """The error that says that the store refuses the credentials of this machine; None if it refuses only this file, or
    for other errors. ``error`` is what reading the file has raised. Blocks.
    """
    if any(map(is_credential_fault, list_causes(error))):
        return error
    if isinstance(error, PermissionError) or getattr(error, "errno", None) == errno.EINVAL:
        # A HEAD request, for the size, is answered without a reason.
        try:
            open_store(url).cat_file(lower_scheme(url), start=0, end=1)
        except Exception as again:  # each store has its own exceptions
            return again if any(map(is_credential_fault, list_causes(again))) else None
    return None


def list_causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def is_credential_fault(error: BaseException) -> bool:
    response = getattr(error, "response", None)
    detail = response.get("Error") if isinstance(response, dict) else None
    code = detail.get("Code") if isinstance(detail, dict) else None
    statuses = (getattr(each, name, None) for each in (error, response) for name in ("status_code", "status", "code"))
    return code in CREDENTIAL_CODES or type(error).__name__ in CREDENTIAL_ERRORS or UNAUTHORIZED in statuses


def forget_store(url: str) -> None:
    """The next one that is opened looks for credentials again, also in this process."""
    type(open_store(url)).clear_instance_cache()


def list_objects(folder: str, pattern: str = "") -> Iterator[tuple[str, int]]:
    """The files below a folder that match, or all: names as seen from the folder, and sizes.

    Raises what the store raises.
    """
    store = open_store(folder)
    found = store.glob(f"{folder}/{pattern}", detail=True) if pattern else store.find(folder, detail=True)
    # The store's own names lack the account of ``abfs://container@account.dfs.core.windows.net``.
    start = f"{str(store._strip_protocol(folder)).strip('/')}/"
    for name, info in found.items():
        if info.get("type") == "file":
            yield str(name).lstrip("/").removeprefix(start), int(info.get("size") or 0)


def has_wildcard(url: str) -> bool:
    return any(character in url for character in "*?[")


def upload_file(path: Path, url: str) -> None:
    """Raises what the store raises. The file is there as a whole, or not at all."""
    store = open_store(url)
    store.put_file(str(path), url, **UPLOAD_OPTIONS.get(url.partition("://")[0], {}))


def remove_object(url: str) -> None:
    """Raises what the store raises."""
    open_store(url).rm_file(url)


def explain_store_error(error: BaseException) -> str:
    """One line, without a full stop."""
    if isinstance(error, FileNotFoundError):
        return "it does not exist"
    if isinstance(error, PermissionError):
        return f"the store denies it to the credentials of this machine ({describe_store_reason(error)})"
    return describe_store_reason(error)


def describe_store_reason(error: BaseException) -> str:
    """The first line, without the number of an error of the system; of a heading, with the line below it."""
    text = str(getattr(error, "strerror", None) or error)
    lines = text.strip().splitlines() or [type(error).__name__]
    reason = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return reason[:SHOWN_REASON].rstrip(".")
