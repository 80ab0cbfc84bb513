"""What a Hub keeps: repositories of commits, each a whole tree of files, and large files by their SHA-256."""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

LARGE = (".safetensors", ".parquet", ".bin", ".onnx", ".arrow")
"""Ends of names that a new repository's .gitattributes sends to large file storage."""

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class File:
    """One version of a file."""

    content: bytes
    large: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def blob(self) -> str:
        """The name that git gives it; of a large file, of the pointer that stands in its place."""
        body = self.pointer if self.large else self.content
        return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()

    @property
    def pointer(self) -> bytes:
        return (
            f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.content)}\n".encode()
        )

    @property
    def etag(self) -> str:
        return self.sha256 if self.large else self.blob


@dataclass(frozen=True)
class Commit:
    """A whole tree, and how it came about."""

    oid: str
    parent: str
    title: str
    tree: dict[str, File]
    date: datetime


@dataclass
class Repository:
    """Commits and the names that point at them."""

    kind: str
    name: str
    private: bool
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    """Branches by their plain name, pull requests as `refs/pr/N`, tags as `refs/tags/NAME`."""

    def commit(self, ref: str, parent: str, title: str, tree: dict[str, File]) -> Commit:
        """A new commit that becomes the head of the ref."""
        number = len(self.commits)
        listing = "".join(f"{path} {file.blob}\n" for path, file in sorted(tree.items()))
        oid = hashlib.sha1(f"{self.name} {number} {parent} {title}\n{listing}".encode()).hexdigest()
        made = Commit(oid, parent, title, tree, START + timedelta(minutes=number))
        self.commits[oid] = made
        self.refs[ref] = oid
        return made

    def find(self, revision: str) -> Commit | None:
        """By branch, tag, pull request or commit."""
        oid = self.refs.get(revision) or self.refs.get(f"refs/tags/{revision}") or revision
        return self.commits.get(oid)

    def history(self, commit: Commit) -> list[Commit]:
        """Newest first."""
        found = [commit]
        while found[-1].parent:
            found.append(self.commits[found[-1].parent])
        return found


@dataclass(frozen=True)
class User:
    """Who a token belongs to."""

    name: str
    organisations: tuple[str, ...] = ()

    def may_write(self, repository: str) -> bool:
        return repository.split("/")[0] in (self.name, *self.organisations)


@dataclass
class Store:
    """All that survives when the server dies."""

    users: dict[str, User]
    """By token."""

    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    """By kind (`models`, `datasets`) and name."""

    large: dict[str, bytes] = field(default_factory=dict)
    """By SHA-256: whole files only, in a commit or not yet."""

    def create(self, kind: str, name: str, private: bool = False) -> Repository:
        """With the first commit that the Hub makes itself."""
        made = Repository(kind, name, private)
        rules = "".join(f"*{end} filter=lfs diff=lfs merge=lfs -text\n" for end in LARGE)
        made.commit("main", "", "initial commit", {".gitattributes": File(rules.encode())})
        self.repositories[kind, name] = made
        return made
