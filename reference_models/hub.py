"""Checkpoints on the Hugging Face Hub: `hf://ORG/NAME@commit` wherever a checkpoint folder is taken.

Weights, not programs: only the files named in `KNOWN` are fetched, their sizes are checked before and their digests
afterwards. A commit never changes, so what was fetched once is read from the home folder without asking the Hub again;
a branch is asked for every time, and the commit that it stands for is part of what comes back. The token is the library's
business: HF_TOKEN, or what `hf auth login` kept.

Source of the requests: huggingface_hub 2.4, `hf_api.py` and `file_download.py`. What it leaves to its caller, and is done
here: asking again after 429 and 5xx outside of uploads and downloads, and comparing digests.
"""

import errno
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TypeVar

import httpx2
from filelock import FileLock
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import ModelInfo, RepoSibling

from bench.home import Home

WEIGHTS, ONNX = "*.safetensors", "model.onnx"
KNOWN: dict[str, int] = {
    # name or pattern, at the root of the repository: largest size in bytes, all that match it together
    "config.json": 2**20,
    "preprocessor_config.json": 2**20,
    "video_preprocessor_config.json": 2**20,
    "README.md": 2**23,
    WEIGHTS: 2**34,
    ONNX: 2**31,
}
SOURCE = "source.txt"
"""Beside a fetched checkpoint: its address, with the commit."""

ADDRESS = re.compile(r"hf:/{1,2}(?P<repo>[A-Za-z0-9][\w.-]*/[\w.-]+)(?:@(?P<revision>[^@\s]+))?/?")
"""One slash too: a `Path` folds two into one."""

COMMIT = re.compile(r"[0-9a-f]{40}")
TRIES = 4
LONGEST_WAIT = 60.0
"""Seconds; a Hub that asks for more is told to the person instead."""

BUSY = (408, 429, 500, 502, 503, 504)

T = TypeVar("T")


@dataclass(frozen=True)
class Fetched:
    """A checkpoint of the Hub that lies in a folder here."""

    repo: str
    commit: str
    folder: Path

    @property
    def address(self) -> str:
        """What names exactly these bytes for anyone."""
        return address_of(self.repo, self.commit)


def is_address(name: str | Path) -> bool:
    """Whether this means a repository of the Hub."""
    return str(name).startswith("hf:/")


def address_of(repo: str, commit: str = "") -> str:
    """As it is written; without a commit its newest state."""
    return f"hf://{repo}@{commit}" if commit else f"hf://{repo}"


def parse(name: str | Path) -> tuple[str, str]:
    """Repository and revision; the revision of a bare address is `main`.

    Raises:
        ValueError: If it is no address.
    """
    found = ADDRESS.fullmatch(str(name))
    if found is None:
        raise ValueError(
            f"{name} is no address on the Hub. Write hf://ORG/NAME@COMMIT, or hf://ORG/NAME for its newest state."
        )
    return found["repo"], found["revision"] or "main"


def fetch(name: str | Path) -> Fetched:
    """Bring a checkpoint of the Hub here, unless it is here.

    Raises:
        ValueError: If it is not there, not ours to read, too large, came with other bytes than the Hub lists, or the Hub
            cannot be reached; the sentence says what to do.
    """
    repo, revision = parse(name)
    if COMMIT.fullmatch(revision) and (folder := _place(repo, revision)).is_dir():
        return Fetched(repo, revision, folder)
    info = asked(lambda: client().model_info(repo, revision=revision, files_metadata=True), repo, revision)
    commit = info.sha or ""
    if not COMMIT.fullmatch(commit):
        raise ValueError(f"{client().endpoint} names no commit for {repo}@{revision}: it is no Hub. Check HF_ENDPOINT.")
    fetched = Fetched(repo, commit, _place(repo, commit))
    if not fetched.folder.is_dir():
        files = _known(info, repo)
        fetched.folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(fetched.folder.with_name(f".{fetched.folder.name}.lock")):
            if not fetched.folder.is_dir():
                _download(fetched, files)
    return fetched


def client() -> HfApi:
    """The library's own client. HF_ENDPOINT as it stands now: the library reads it only when it is imported."""
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, library_name="reelproof")


def asked(call: Callable[[], T], repo: str, revision: str = "main") -> T:
    """Ask the Hub, again while it is busy or breaks off. What the library tried again by itself is not tried again here.

    Args:
        call: What to ask. It must do no harm twice.
        repo: Whose matter it is, for the sentence if it fails.
        revision: Likewise.

    Raises:
        ValueError: What went wrong, and what to do.
    """
    wait = 1.0
    for left in range(TRIES - 1, -1, -1):
        try:
            return call()
        except (httpx2.HTTPError, OSError, RuntimeError) as error:
            busy = isinstance(error, HfHubHTTPError) and error.response.status_code in BUSY
            told = _retry_after(error)
            if not left or not (busy or isinstance(error, httpx2.TransportError)) or (told or 0) > LONGEST_WAIT:
                raise ValueError(words(error, repo, revision)) from error
            time.sleep(wait if told is None else told)
            wait *= 2
    raise AssertionError("the last try returns or raises")


def words(error: BaseException, repo: str, revision: str = "main") -> str:
    """What the Hub or the way to it said, for the person who asked."""
    error = _unwrapped(error)
    hub = client().endpoint
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
    if isinstance(error, OfflineModeIsEnabled):
        return (
            f"HF_HUB_OFFLINE is set, and {repo}@{revision} is not here. Fetched before: {_here(repo)}. "
            "Name a commit that is here, or unset HF_HUB_OFFLINE."
        )
    if isinstance(error, GatedRepoError):
        return f"{repo} on {hub} is gated: ask for access on its page, then set HF_TOKEN to your token."
    if isinstance(error, RevisionNotFoundError):
        return f"{repo} on {hub} has no branch, tag or commit {revision}."
    if isinstance(error, RemoteEntryNotFoundError):
        return f"{repo} on {hub} lacks a file that its list names. If it stays so, it must be published anew."
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"There is no {repo} on {hub}, or it is private and your token does not open it. Check the name; for a private "
            "one set HF_TOKEN, or run `hf auth login`."
        )
    if status == 401:
        return f"{hub} wants a valid token, and yours is none. Set HF_TOKEN, or run `hf auth login`."
    if status == 403:
        return (
            f"Your token may not do this with {repo} on {hub}. Set HF_TOKEN to one that may write to {repo.split('/')[0]}/, "
            "or name a repository of your own."
        )
    if status == 429:
        told = _retry_after(error)
        return f"{hub} has had too many requests and asks to wait. Try again {f'in {told:.0f} s' if told else 'later'}."
    if status in BUSY:
        return f"{hub} is not well (HTTP {status}). Run it again later; what is done is not done twice."
    if isinstance(error, httpx2.TransportError):
        return (
            f"{hub} cannot be reached, or broke off ({str(error) or type(error).__name__}). Check the network and run it "
            f"again; what is done is not done twice. Fetched before: {_here(repo)}."
        )
    if "xet-write-token" in str(error) or "xet-read-token" in str(error):
        return (
            f"{hub} has no Xet storage, which the library takes for granted. Set HF_HUB_DISABLE_XET=1 and run it again."
        )
    if "Consistency check failed" in str(error):
        return f"A file of {repo} came cut short from {hub}. Nothing of it was kept; run it again."
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"The disk is full: {repo} does not fit. Free some space and run it again."
    first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return f"{repo} on {hub}: {first_line.rstrip('.')}."


def digest(content: Path | bytes, like: RepoSibling) -> str:
    """Of a file here, in the kind that the Hub lists for this one: SHA-256 of a large file, git's SHA-1 of a small one."""
    if like.lfs is None:
        small = content if isinstance(content, bytes) else content.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(small) + small, usedforsecurity=False).hexdigest()
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def listed_digest(file: RepoSibling) -> str:
    """As the Hub lists it."""
    return file.lfs.sha256 if file.lfs is not None else file.blob_id or ""


def _place(repo: str, commit: str) -> Path:
    return Home.default().checkpoints / "hub" / f"{repo}@{commit}"


def _here(repo: str) -> str:
    """The fetched commits of a repository."""
    folder = _place(repo, "").parent
    found = sorted(path.name for path in folder.glob(f"{repo.split('/')[1]}@*")) if folder.is_dir() else []
    return ", ".join(f"hf://{repo.split('/')[0]}/{name}" for name in found) or f"no commit of {repo}"


def _known(info: ModelInfo, repo: str) -> list[RepoSibling]:
    """The files to fetch; refused where there are none, or they are too large."""
    there = [file for file in info.siblings or [] if "/" not in file.rfilename]
    weights = [file for file in there if fnmatch(file.rfilename, WEIGHTS)]
    without = {ONNX}  # beside weights it is an export of them, alone it is the checkpoint
    if not weights:
        weights, without = [file for file in there if file.rfilename == ONNX], {ONNX, "config.json"}
    if not weights:
        names = ", ".join(sorted(file.rfilename for file in there if not file.rfilename.startswith("."))[:5])
        raise ValueError(
            f"hf://{repo} holds no {WEIGHTS} and no {ONNX}, but {names or 'nothing'}. Pickles can run code when they are "
            "opened and are not fetched: download it yourself where you trust it, and use `reelproof convert`."
        )
    if plain := [file for file in weights if file.rfilename == "model.safetensors"]:
        weights = plain
    chosen = [file for file in there if file.rfilename in KNOWN and file.rfilename not in without] + weights
    for pattern, limit in KNOWN.items():
        size = sum(file.size or 0 for file in chosen if fnmatch(file.rfilename, pattern))
        if size > limit:
            raise ValueError(
                f"{pattern} of hf://{repo} has {size:,} bytes, more than the {limit:,} that we fetch. Nothing was fetched."
            )
    return chosen


def _download(fetched: Fetched, files: list[RepoSibling]) -> None:
    """Into a folder beside, which takes the final name when every digest agrees."""
    repo, commit = fetched.repo, fetched.commit
    half = fetched.folder.with_name(f".half-{fetched.folder.name}")
    whole = fetched.folder.with_name(f".whole-{fetched.folder.name}")
    try:
        for path in (half, whole):
            shutil.rmtree(path, ignore_errors=True)
        whole.mkdir()
        for file in files:
            name = file.rfilename

            def bring(name: str = name) -> str:
                return client().hf_hub_download(repo, name, revision=commit, local_dir=half)

            path = Path(asked(bring, repo, commit))
            if digest(path, file) != listed_digest(file):
                raise ValueError(
                    f"{name} of {fetched.address} came with other bytes than the Hub lists. Nothing of it was kept; run it "
                    "again. If it stays so, something between you and the Hub changes files."
                )
            path.rename(whole / name)
        (whole / SOURCE).write_text(f"{fetched.address}\n")
        whole.rename(fetched.folder)
    except OSError as error:
        raise ValueError(
            f"Could not keep {fetched.address} in {fetched.folder.parent}: {error.strerror or error}. Free some space."
        ) from error
    finally:
        for path in (half, whole):
            shutil.rmtree(path, ignore_errors=True)


def _unwrapped(error: BaseException) -> BaseException:
    """What the library wrapped up in a more general error."""
    while error.__cause__ is not None and isinstance(error, RuntimeError | LocalEntryNotFoundError):
        error = error.__cause__
    return error


def _retry_after(error: BaseException) -> float | None:
    """Seconds that the Hub asks to wait."""
    told = error.response.headers.get("Retry-After", "") if isinstance(error, HfHubHTTPError) else ""
    return float(told) if told.isdigit() else None
