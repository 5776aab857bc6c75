"""The control documents in S3, changed by compare-and-swap alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from drydock.errors import AlreadyExists, Conflict, NotFound, RunSuperseded
from drydock.keys import ControlKeys
from drydock.run_document import RunDocument, parse_run_document
from drydock.shard_document import ShardDocument, parse_shard_document
from drydock.store import Store

T = TypeVar("T")

_TRIES = 20


@dataclass(frozen=True, slots=True)
class Versioned(Generic[T]):
    """A document and the ETag that a compare-and-swap of it needs."""

    value: T
    etag: str


class Documents:
    """Reads and swaps the documents of runs and shards."""

    def __init__(self, store: Store, control_bucket: str) -> None:
        self._store = store
        self._bucket = control_bucket

    def run(self, run_id: str) -> Versioned[RunDocument]:
        """The run's document.

        Raises:
            NotFound: there is no such run.
        """
        found = self._store.get(self._bucket, ControlKeys(run_id).run_document())
        return Versioned(parse_run_document(found.body), found.etag)

    def owned_run(self, run_id: str, owner: str) -> RunDocument:
        """The run's document, for an execution that acts for it.

        Raises:
            RunSuperseded: another execution owns the run now.
        """
        run = self.run(run_id).value
        if run.owner != owner:
            raise RunSuperseded(f"run {run_id} is owned by {run.owner}, not by {owner}")
        return run

    def create_run(self, document: RunDocument) -> None:
        """Write the first version of a run's document.

        Raises:
            AlreadyExists: the run has one.
        """
        key = ControlKeys(document.run_id).run_document()
        self._store.put_once(self._bucket, key, document.to_json())

    def replace_run(self, known: Versioned[RunDocument], document: RunDocument) -> None:
        """Swap a run's document.

        Raises:
            Conflict: somebody else changed it first.
        """
        key = ControlKeys(document.run_id).run_document()
        self._store.replace(self._bucket, key, document.to_json(), known.etag)

    def change_run(self, run_id: str, change: Callable[[RunDocument], RunDocument]) -> RunDocument:
        """Apply a transition to whatever the document is by then.

        Raises:
            Conflict: it was changed by others each time.
        """
        for _ in range(_TRIES):
            known = self.run(run_id)
            changed = change(known.value)
            if changed == known.value:
                return changed
            try:
                self.replace_run(known, changed)
            except Conflict:
                continue
            return changed
        raise Conflict(f"run {run_id}: its document was changed by others {_TRIES} times")

    def shard(self, run: RunDocument, shard: int, inputs: int) -> Versioned[ShardDocument]:
        """The shard's document, made when there is none yet."""
        key = ControlKeys(run.run_id).shard_document(shard)
        try:
            found = self._store.get(self._bucket, key)
        except NotFound:
            document = ShardDocument(shard=shard, inputs=inputs, epoch=run.epoch)
            try:
                etag = self._store.put_once(self._bucket, key, document.to_json())
            except AlreadyExists:
                found = self._store.get(self._bucket, key)
            else:
                return Versioned(document, etag)
        return Versioned(parse_shard_document(found.body), found.etag)

    def replace_shard(
        self, run_id: str, known: Versioned[ShardDocument], document: ShardDocument
    ) -> Versioned[ShardDocument]:
        """Swap a shard's document.

        Raises:
            Conflict: somebody else changed it first.
        """
        key = ControlKeys(run_id).shard_document(document.shard)
        etag = self._store.replace(self._bucket, key, document.to_json(), known.etag)
        return Versioned(document, etag)
