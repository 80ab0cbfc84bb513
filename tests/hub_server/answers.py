"""What the Hub answers to each request: pure functions of the store and the request.

The endpoints that huggingface_hub 2.4 uses, read from its source: hf_api.py, _commit_api.py, lfs.py, file_download.py.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, unquote

from tests.hub_server.store import LARGE, Commit, File, Repository, Store, User

TOO_LARGE_FOR_GIT = 10_000_000


@dataclass(frozen=True)
class Request:
    """As it arrived."""

    method: str
    path: str
    """Still quoted: a revision may hold slashes."""

    query: dict[str, list[str]]
    headers: dict[str, str]
    """By lower-case name."""

    body: bytes
    origin: str
    other_origin: str
    """The same server under another name, as a content network would be."""

    @property
    def json(self) -> dict:
        return json.loads(self.body or b"{}")


@dataclass(frozen=True)
class Answer:
    """To be sent."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):  # noqa: N818  (it is an answer)
    """Ends a request early."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self.answer = Answer(status, json.dumps({"error": message}).encode(), headers)


def said(content: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(content).encode(), {"Content-Type": "application/json"})


def answer(store: Store, request: Request) -> Answer:
    """The whole Hub."""
    try:
        user = user_of(store, request)
        for method, pattern, serve in ROUTES:
            if method == request.method and (found := re.fullmatch(pattern, request.path)):
                return serve(
                    store, request, user, **{name: unquote(part or "") for name, part in found.groupdict().items()}
                )
        raise Refused(404, f"No such page: {request.method} {request.path}")
    except Refused as refused:
        return refused.answer


def user_of(store: Store, request: Request) -> User | None:
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    if token and token not in store.users:
        raise Refused(401, "Invalid credentials in Authorization header")
    return store.users.get(token)


def repository(store: Store, user: User | None, kind: str, name: str) -> Repository:
    """If it is there for this user."""
    found = store.repositories.get((kind or "models", name))
    if found is None or (found.private and not (user and user.may_write(name))):
        raise Refused(404 if user else 401, "Repository not found", "RepoNotFound")
    return found


def to_write(store: Store, user: User | None, kind: str, name: str) -> Repository:
    found = repository(store, user, kind, name)
    if user is None:
        raise Refused(401, "Invalid username or password.")
    if not user.may_write(name):
        raise Refused(403, f"{user.name} may not write to {name}")
    return found


def at(found: Repository, revision: str) -> Commit:
    commit = found.find(revision or "main")
    if commit is None:
        raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    return commit


def whoami(store: Store, request: Request, user: User | None) -> Answer:
    if user is None:
        raise Refused(401, "Invalid username or password.")
    organisations = [{"name": name, "roleInOrg": "write"} for name in user.organisations]
    return said({"type": "user", "name": user.name, "orgs": organisations, "auth": {"type": "access_token"}})


def create(store: Store, request: Request, user: User | None) -> Answer:
    if user is None:
        raise Refused(401, "Invalid username or password.")
    asked = request.json
    name = f"{asked.get('organization') or user.name}/{asked['name']}"
    kind = f"{asked.get('type') or 'model'}s"
    if not user.may_write(name):
        raise Refused(
            403, f"You don't have the rights to create a {kind[:-1]} under the namespace {name.split('/')[0]}"
        )
    url = f"{request.origin}/{'' if kind == 'models' else kind + '/'}{name}"
    if (kind, name) in store.repositories:
        return said({"error": "You already created this repo", "url": url}, 409)
    store.create(kind, name, private=asked.get("visibility") == "private")
    return said({"url": url, "name": name})


def validate_card(store: Store, request: Request, user: User | None) -> Answer:
    """The front matter must be there; the real Hub knows more about what may stand in it."""
    content = request.json["content"]
    if not content.startswith("---\n") or "\n---\n" not in content[4:]:
        return said({"errors": [{"message": "empty or missing yaml metadata in repo card"}], "warnings": []}, 400)
    return said({"errors": [], "warnings": []})


def info(store: Store, request: Request, user: User | None, kind: str, name: str, revision: str = "") -> Answer:
    found = repository(store, user, kind, name)
    commit = at(found, revision)
    siblings = []
    for path, file in sorted(commit.tree.items()):
        sibling: dict = {"rfilename": path}
        if "blobs" in request.query:
            sibling |= {"size": len(file.content), "blobId": file.blob}
            if file.large:
                sibling["lfs"] = {"sha256": file.sha256, "size": len(file.content), "pointerSize": len(file.pointer)}
        siblings.append(sibling)
    return said(
        {
            "_id": hashlib.sha1(name.encode()).hexdigest()[:24],
            "id": name,
            "sha": commit.oid,
            "lastModified": commit.date.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "private": found.private,
            "gated": False,
            "tags": [],
            "siblings": siblings,
        }
    )


def entry(path: str, file: File) -> dict:
    """As trees list a file."""
    made = {"type": "file", "oid": file.blob, "size": len(file.content), "path": path}
    if file.large:
        made["lfs"] = {"oid": file.sha256, "size": len(file.content), "pointerSize": len(file.pointer)}
    return made


def tree(store: Store, request: Request, user: User | None, kind: str, name: str, revision: str, path: str) -> Answer:
    commit = at(repository(store, user, kind, name), revision)
    prefix = f"{path.rstrip('/')}/" if path else ""
    inside = {name: file for name, file in sorted(commit.tree.items()) if name.startswith(prefix)}
    if path and not inside:
        raise Refused(404, f"{path} does not exist on {revision}", "EntryNotFound")
    deep = request.query.get("recursive", ["false"])[0].lower() in ("true", "1")
    listed = [entry(name, file) for name, file in inside.items() if deep or "/" not in name[len(prefix) :]]
    folders = set()
    for name in inside:
        above = name[len(prefix) :].split("/")[:-1]
        folders |= {prefix + "/".join(above[:n]) for n in range(1, (len(above) if deep else min(1, len(above))) + 1)}
    listed += [
        {"type": "directory", "oid": hashlib.sha1(folder.encode()).hexdigest(), "size": 0, "path": folder}
        for folder in sorted(folders)
    ]
    return said(listed)


def paths_info(store: Store, request: Request, user: User | None, kind: str, name: str, revision: str) -> Answer:
    commit = at(repository(store, user, kind, name), revision)
    is_json = "json" in request.headers.get("content-type", "")
    asked = request.json["paths"] if is_json else parse_qs(request.body.decode()).get("paths", [])
    found = [entry(path, commit.tree[path]) for path in asked if path in commit.tree]
    for path in asked:
        if any(name.startswith(f"{path}/") for name in commit.tree):
            found.append({"type": "directory", "oid": hashlib.sha1(path.encode()).hexdigest(), "size": 0, "path": path})
    return said(found)


def commits(store: Store, request: Request, user: User | None, kind: str, name: str, revision: str) -> Answer:
    found = repository(store, user, kind, name)
    return said(
        [
            {
                "id": commit.oid,
                "authors": [{"user": "somebody"}],
                "date": commit.date.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                "title": commit.title,
                "message": "",
            }
            for commit in found.history(at(found, revision))
        ]
    )


def refs(store: Store, request: Request, user: User | None, kind: str, name: str) -> Answer:
    found = repository(store, user, kind, name)

    def listed(prefix: str, names: list[str]) -> list[dict]:
        return [
            {
                "name": ref.removeprefix(prefix),
                "ref": ref if "/" in ref else f"refs/heads/{ref}",
                "targetCommit": found.refs[ref],
            }
            for ref in names
        ]

    return said(
        {
            "branches": listed("", [ref for ref in found.refs if not ref.startswith("refs/")]),
            "tags": listed("refs/tags/", [ref for ref in found.refs if ref.startswith("refs/tags/")]),
            "pullRequests": listed("refs/pr/", [ref for ref in found.refs if ref.startswith("refs/pr/")]),
            "converts": [],
        }
    )


def branch(store: Store, request: Request, user: User | None, kind: str, name: str, revision: str) -> Answer:
    found = to_write(store, user, kind, name)
    if revision in found.refs:
        raise Refused(409, f"The branch {revision} exists already")
    found.refs[revision] = at(found, request.json.get("startingPoint", "main")).oid
    return said({})


def tag(store: Store, request: Request, user: User | None, kind: str, name: str, revision: str) -> Answer:
    found = to_write(store, user, kind, name)
    found.refs[f"refs/tags/{request.json['tag']}"] = at(found, revision).oid
    return said({})


def preupload(store: Store, request: Request, user: User | None, kind: str, name: str, revision: str) -> Answer:
    """Which files go to large file storage, and what stands there now."""
    found = repository(store, user, kind, name) if "create_pr" in request.query else to_write(store, user, kind, name)
    now = at(found, revision).tree
    files = []
    for file in request.json["files"]:
        path = file["path"]
        large = path.endswith(LARGE) or file["size"] > TOO_LARGE_FOR_GIT
        files.append({"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False})
        if path in now:
            files[-1]["oid"] = now[path].etag
    return said({"files": files})


def batch(store: Store, request: Request, user: User | None, kind: str, name: str) -> Answer:
    """Where to put each large file; those that are there need no action."""
    if user is None:
        raise Refused(401, "Invalid username or password.")
    repository(store, user, (kind or "models/").rstrip("/"), name)
    objects = []
    for wanted in request.json["objects"]:
        made = {"oid": wanted["oid"], "size": wanted["size"]}
        if wanted["oid"] not in store.large:
            made["actions"] = {
                "upload": {"href": f"{request.origin}/large/{wanted['oid']}"},
                "verify": {"href": f"{request.origin}/large/{wanted['oid']}/verify"},
            }
        objects.append(made)
    return said({"transfer": "basic", "objects": objects})


def put_large(store: Store, request: Request, user: User | None, oid: str) -> Answer:
    if hashlib.sha256(request.body).hexdigest() != oid:
        raise Refused(400, "The bytes are not those that were announced")
    store.large[oid] = request.body
    return Answer(headers={"ETag": f'"{oid}"'})


def verify_large(store: Store, request: Request, user: User | None, oid: str) -> Answer:
    if len(store.large.get(oid, b"")) != request.json["size"]:
        raise Refused(404, "The file did not arrive")
    return said({})


def commit(store: Store, request: Request, user: User | None, kind: str, name: str, revision: str) -> Answer:
    """All of it or nothing, and only upon the parent that was named."""
    asks = "create_pr" in request.query
    if asks and user is None:
        raise Refused(401, "Invalid username or password.")
    found = repository(store, user, kind, name) if asks else to_write(store, user, kind, name)
    head = at(found, revision)
    lines = [json.loads(line) for line in request.body.splitlines() if line.strip()]
    header = next(line["value"] for line in lines if line["key"] == "header")
    parent = header.get("parentCommit")
    if asks:
        head = at(found, parent or revision)
    elif parent and not head.oid.startswith(parent):
        raise Refused(412, f"A commit has happened since. Please refresh and try again. Head is {head.oid}")
    files = dict(head.tree)
    for line in lines:
        value = line["value"]
        if line["key"] == "file":
            files[value["path"]] = File(base64.b64decode(value["content"]))
        elif line["key"] == "lfsFile":
            if value["oid"] not in store.large:
                raise Refused(400, f"The large file {value['path']} was not uploaded")
            files[value["path"]] = File(store.large[value["oid"]], large=True)
        elif line["key"] == "deletedFile":
            if value["path"] not in files:
                raise Refused(404, "A file with this name doesn't exist", "EntryNotFound")
            del files[value["path"]]
    number = sum(ref.startswith("refs/pr/") for ref in found.refs) + 1
    ref = f"refs/pr/{number}" if asks else revision
    made = found.commit(ref, head.oid, header["summary"], files)
    told = {"commitOid": made.oid, "commitUrl": f"{request.origin}/{name}/commit/{made.oid}", "success": True}
    return said(told | ({"pullRequestUrl": f"{request.origin}/{name}/discussions/{number}"} if asks else {}))


def resolve(
    store: Store, request: Request, user: User | None, kind: str, name: str, revision: str, path: str
) -> Answer:
    """A file of a commit; a large one by way of the content network."""
    now = at(repository(store, user, kind.rstrip("/"), name), revision)
    if path not in now.tree:
        refused = Refused(404, f"{path} does not exist on {revision}", "EntryNotFound").answer
        return Answer(refused.status, refused.body, {**refused.headers, "X-Repo-Commit": now.oid})
    file = now.tree[path]
    headers = {"X-Repo-Commit": now.oid, "ETag": f'"{file.etag}"'}
    if file.large:
        store.large.setdefault(file.sha256, file.content)
        headers |= {
            "X-Linked-Etag": f'"{file.sha256}"',
            "X-Linked-Size": str(len(file.content)),
            "Location": f"{request.other_origin}/large/{file.sha256}?filename={quote(path)}",
        }
        return Answer(302, b"", headers)
    return ranged(request, file.content, headers)


def get_large(store: Store, request: Request, user: User | None, oid: str) -> Answer:
    if oid not in store.large:
        raise Refused(404, "No such file")
    return ranged(request, store.large[oid], {"ETag": f'"{oid}"'})


def ranged(request: Request, content: bytes, headers: dict[str, str]) -> Answer:
    """All of it, or the part that was asked for."""
    headers = {**headers, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if not asked:
        return Answer(200, content, headers)
    first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
    if first > last:
        return Answer(416, b"", {**headers, "Content-Range": f"bytes */{len(content)}"})
    return Answer(206, content[first : last + 1], {**headers, "Content-Range": f"bytes {first}-{last}/{len(content)}"})


_REPO = r"/api/(?P<kind>models|datasets)/(?P<name>[^/]+/[^/]+)"
_GIT = r"/(?P<kind>datasets/)?(?P<name>[^/]+/[^/]+)"
_LARGE = r"/large/(?P<oid>[0-9a-f]{64})"

Serve = Callable[..., Answer]

ROUTES: list[tuple[str, str, Serve]] = [
    ("GET", r"/api/whoami-v2", whoami),
    ("POST", r"/api/repos/create", create),
    ("POST", r"/api/validate-yaml", validate_card),
    ("GET", _REPO, info),
    ("GET", _REPO + r"/revision/(?P<revision>[^/]+)", info),
    ("GET", _REPO + r"/tree/(?P<revision>[^/]+)(?:/(?P<path>.+))?", tree),
    ("POST", _REPO + r"/paths-info/(?P<revision>[^/]+)", paths_info),
    ("GET", _REPO + r"/commits/(?P<revision>[^/]+)", commits),
    ("GET", _REPO + r"/refs", refs),
    ("POST", _REPO + r"/branch/(?P<revision>[^/]+)", branch),
    ("POST", _REPO + r"/tag/(?P<revision>[^/]+)", tag),
    ("POST", _REPO + r"/preupload/(?P<revision>[^/]+)", preupload),
    ("POST", _REPO + r"/commit/(?P<revision>[^/]+)", commit),
    ("POST", _GIT + r"\.git/info/lfs/objects/batch", batch),
    ("GET", _GIT + r"/resolve/(?P<revision>[^/]+)/(?P<path>.+)", resolve),
    ("HEAD", _GIT + r"/resolve/(?P<revision>[^/]+)/(?P<path>.+)", resolve),
    ("PUT", _LARGE, put_large),
    ("POST", _LARGE + r"/verify", verify_large),
    ("GET", _LARGE, get_large),
    ("HEAD", _LARGE, get_large),
]
