"""A checkpoint folder to the Hugging Face Hub, in one commit or not at all.

The commit names its parent, so nobody's change is overwritten unseen; the same bytes make no second commit. What is large
is uploaded first and seen by nobody before the commit: a run that breaks off leaves the repository as it was.
Source: `HfApi.create_commit` of huggingface_hub 2.4, which tries the uploads again by itself, but not the commit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from huggingface_hub import CommitOperationAdd, CommitOperationDelete
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.hf_api import ModelInfo
from pydantic import ValidationError

from reference_models.backbones import build
from reference_models.checkpoints.config import CARD, CONFIG, WEIGHTS, CheckpointConfig
from reference_models.checkpoints.load import load
from reference_models.checkpoints.model_card import published_card
from reference_models.counts import cost
from reference_models.curves import curves
from reference_models.hub import address_of, asked, client, digest, listed_digest, parse

LOG, PICTURE = "training.jsonl", "curves.png"
OURS = (WEIGHTS, CONFIG, CARD, LOG, PICTURE)
"""What a published checkpoint consists of. Nothing else in the repository is touched."""

TRIES = 4

Contents = Mapping[str, Path | bytes]
"""By name in the repository: a file here, or what was made for it."""


@dataclass(frozen=True)
class Published:
    """Where a checkpoint stands on the Hub."""

    repo: str
    commit: str
    changed: tuple[str, ...]
    """Files that were added, changed or removed; none where the same bytes stood there already."""

    @property
    def address(self) -> str:
        """What loads exactly these bytes, for anyone who may read them."""
        return address_of(self.repo, self.commit)

    @property
    def page(self) -> str:
        """For people."""
        return f"{client().endpoint}/{self.repo}"


def publish(folder: Path, repo: str, *, private: bool = False) -> Published:
    """Make a repository of the Hub hold a checkpoint.

    Args:
        folder: A checkpoint folder.
        repo: ORG/NAME. It is made where there is none.
        private: Whether a new repository is for its owners alone.

    Raises:
        ValueError: If the checkpoint does not load, the Hub refuses or cannot be reached, or somebody else changed the same
            files meanwhile; the sentence says what to do.
    """
    config, files = contents(folder, repo)
    title = f"{config.name}, weights {config.weight_hash[:12]}"
    head = _head(repo, private)
    changed = first = _changed(files, head)
    for _ in range(TRIES):
        if not changed:
            return Published(repo, head.sha or "", first)
        commit = asked(partial(_commit, repo, title, files, changed, head), repo)
        if commit:
            return Published(repo, commit, first)
        head = _moved(repo, files, head)
        changed = _changed(files, head)
    raise ValueError(f"{repo} changes faster than we can publish. Nothing of yours was written; try again later.")


def contents(folder: Path, repo: str) -> tuple[CheckpointConfig, Contents]:
    """What would stand in the repository.

    Raises:
        ValueError: If the checkpoint does not load whole, or the repository's name is none.
    """
    if parse(address_of(repo))[0] != repo:
        raise ValueError(f"{repo} is no repository. Write ORG/NAME.")
    load(folder)
    try:
        config = CheckpointConfig.model_validate_json((folder / CONFIG).read_bytes())
    except ValidationError as error:
        raise ValueError(
            f"{folder} has a layout that is not ours. Convert it first: reelproof convert {folder} -o FOLDER."
        ) from error
    if not (folder / CARD).is_file():
        raise ValueError(f"{folder} holds no {CARD}. Write one: on the Hub it is the checkpoint's page.")
    log = folder / LOG
    made: dict[str, Path | bytes] = {name: folder / name for name in (WEIGHTS, CONFIG)}
    if log.is_file():
        made |= {LOG: log, PICTURE: curves(log)}
    card = published_card((folder / CARD).read_text(), address_of(repo), _learnt(config, pictured=PICTURE in made))
    return config, {**made, CARD: card.encode()}


def size_of(content: Path | bytes) -> int:
    """In bytes."""
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _learnt(config: CheckpointConfig, *, pictured: bool) -> str:
    """For the card: what a clip of its training costs, and the curves."""
    paragraphs = []
    if config.clip is not None:
        frames, size = config.clip.num_frames, config.clip.size
        with torch.device("meta"):
            macs, _ = cost(build(config.architecture).eval(), torch.empty(1, 3, frames, size, size))
        paragraphs.append(
            f"A clip of {frames} x {size} x {size} costs {2 * macs / 1e9:.3g} GFLOPs forward through the trunk, two "
            "operations a multiply-accumulate; a step of training about three times that for each of its clips."
        )
    if pictured:
        paragraphs.append(f"![Every column of {LOG}, step by step]({PICTURE})")
    return "\n\n".join(paragraphs)


def _head(repo: str, private: bool) -> ModelInfo:
    """The repository as it stands, made first where there is none."""

    def look() -> ModelInfo | None:
        try:
            return client().model_info(repo, revision="main", files_metadata=True)
        except GatedRepoError:
            raise
        except RepositoryNotFoundError:
            return None

    head = asked(look, repo)
    if head is None:
        asked(lambda: client().create_repo(repo, private=private or None, exist_ok=True), repo)
        return asked(lambda: client().model_info(repo, revision="main", files_metadata=True), repo)
    if private and not head.private:
        raise ValueError(f"{repo} is there and public. Make it private on its page, or name another repository.")
    return head


def _changed(files: Contents, head: ModelInfo) -> tuple[str, ...]:
    """Which of our files do not stand there as they are here.

    The picture is drawn from the log, and other versions of Pillow draw other bytes: the same log keeps its picture.
    """
    there = {file.rfilename: file for file in head.siblings or []}
    changed = [
        name
        for name in OURS
        if (name in files) != (name in there)
        or (name in files and digest(files[name], there[name]) != listed_digest(there[name]))
    ]
    if PICTURE in there and LOG not in changed and PICTURE in changed:
        changed.remove(PICTURE)
    return tuple(changed)


def _commit(repo: str, title: str, files: Contents, changed: tuple[str, ...], head: ModelInfo) -> str:
    """The new commit; empty where the repository has moved on from this head.

    May be asked twice: if an answer was lost after the commit, the second finds that the head has moved.
    """
    operations = [
        CommitOperationAdd(path_in_repo=name, path_or_fileobj=files[name])
        if name in files
        else CommitOperationDelete(path_in_repo=name)
        for name in changed
    ]
    try:
        return client().create_commit(repo, operations, commit_message=title, parent_commit=head.sha).oid
    except HfHubHTTPError as error:
        if error.response.status_code == 412:
            return ""
        raise


def _moved(repo: str, files: Contents, before: ModelInfo) -> ModelInfo:
    """The new head, if nobody put other bytes into our files."""
    now = asked(lambda: client().model_info(repo, revision="main", files_metadata=True), repo)
    old, new = ({file.rfilename: listed_digest(file) for file in info.siblings or []} for info in (before, now))
    theirs = [name for name in _changed(files, now) if old.get(name) != new.get(name)]
    if theirs:
        raise ValueError(
            f"Somebody changed {', '.join(theirs)} of {repo} while you published: {address_of(repo, now.sha or '')}. "
            "Nothing of yours was written. Look at it, then publish again."
        )
    return now
