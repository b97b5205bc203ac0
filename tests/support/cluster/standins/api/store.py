"""The objects, kept in the etcd folder so that a reboot and a power cut keep them; watchers hear of each change."""

from __future__ import annotations

import copy
import datetime
import json
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.cluster.standins.place import write

Object = dict[str, Any]
Key = tuple[str, str, str, str]
"""Group, plural, namespace ("" without) and name."""


class Conflict(Exception):  # noqa: N818 - the API's own word
    """Somebody else has changed it meanwhile."""


def now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Store:
    """All objects of one API server."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "member" / "snap" / "db"
        """One JSON file; the name is etcd's."""
        self.changed = threading.Condition()
        self.told: Callable[[], None] = lambda: None
        """Called after a change of this server's own, to pass it on to the other members."""
        self._objects: dict[Key, Object] = {}
        self._deleted: dict[Key, int] = {}
        """The revision at which each object went: without it, another member's copy would bring the object back."""
        self._events: list[tuple[int, str, Key, Object]] = []
        self.revision = 1
        if self.file.exists():
            self.load(json.loads(self.file.read_text()))

    def dump(self) -> dict[str, Any]:
        with self.changed:
            objects = [[list(k), copy.deepcopy(o)] for k, o in self._objects.items()]
            deleted = [[list(k), at] for k, at in self._deleted.items()]
            return {"revision": self.revision, "objects": objects, "deleted": deleted}

    def load(self, data: dict[str, Any]) -> None:
        """Merge another member's objects: of each object the newer state wins, on every member the same one."""
        theirs = {_key(k): o for k, o in data["objects"]}
        deleted = {_key(k): at for k, at in data["deleted"]}
        with self.changed:
            fresh = {k: o for k, o in theirs.items() if _state(o) > self._state_of(k)}
            gone = {k: at for k, at in deleted.items() if (at, "") > self._state_of(k)}
            self.revision = max(self.revision, data["revision"]) + bool(fresh or gone)
            for key, there in fresh.items():
                self._event(self.revision, "MODIFIED" if key in self._objects else "ADDED", key, there)
                self._objects[key] = there
                self._deleted.pop(key, None)
            for key, at in gone.items():
                self._deleted[key] = at
                if key in self._objects:
                    self._event(self.revision, "DELETED", key, self._objects.pop(key))
            if fresh or gone:
                self._keep()
                self.changed.notify_all()

    def _state_of(self, key: Key) -> tuple[int, str]:
        there = self._objects.get(key)
        return _state(there) if there else (self._deleted.get(key, 0), "")

    def get(self, key: Key) -> Object | None:
        with self.changed:
            return copy.deepcopy(self._objects.get(key))

    def all(self, group: str, plural: str, namespace: str = "") -> list[Object]:
        with self.changed:
            return [
                copy.deepcopy(o)
                for k, o in sorted(self._objects.items())
                if k[:2] == (group, plural) and (not namespace or k[2] == namespace)
            ]

    def put(self, key: Key, fresh: Object) -> Object:
        """Create or replace it; the server's own fields of metadata are filled in. Raises Conflict."""
        with self.changed:
            old = self._objects.get(key)
            meta = fresh["metadata"]
            wanted = meta.get("resourceVersion")
            if old is not None and wanted and wanted != old["metadata"]["resourceVersion"]:
                raise Conflict
            before = old["metadata"] if old else {}
            meta["uid"] = before.get("uid") or str(uuid.uuid4())
            meta["creationTimestamp"] = before.get("creationTimestamp") or now()
            if "spec" in fresh:
                same = old is not None and old.get("spec") == fresh["spec"]
                meta["generation"] = before.get("generation", 0) + (0 if same else 1)
            if old is not None:
                meta["resourceVersion"] = before["resourceVersion"]
                if old == fresh:
                    return copy.deepcopy(old)
            self.revision += 1
            meta["resourceVersion"] = str(self.revision)
            self._objects[key] = copy.deepcopy(fresh)
            self._deleted.pop(key, None)
            self._event(self.revision, "MODIFIED" if old else "ADDED", key, fresh)
            self._keep()
            self.changed.notify_all()
        self.told()
        return fresh

    def delete(self, key: Key) -> Object | None:
        with self.changed:
            gone = self._objects.pop(key, None)
            if gone is None:
                return None
            self.revision += 1
            gone["metadata"]["resourceVersion"] = str(self.revision)
            self._deleted[key] = self.revision
            self._event(self.revision, "DELETED", key, gone)
            self._keep()
            self.changed.notify_all()
        self.told()
        return gone

    def since(self, revision: int) -> list[tuple[int, str, Key, Object]]:
        """Events after ``revision``; call it with ``changed`` held."""
        return [event for event in self._events if event[0] > revision]

    def _event(self, revision: int, what: str, key: Key, found: Object) -> None:
        self._events.append((revision, what, key, copy.deepcopy(found)))
        del self._events[:-5000]

    def _keep(self) -> None:
        write(self.file, json.dumps(self.dump()))


def _key(parts: list[str]) -> Key:
    group, plural, namespace, name = parts
    return group, plural, namespace, name


def _state(found: Object) -> tuple[int, str]:
    """Orders two states of one object; its text decides between two that were written at the same revision."""
    return int(found["metadata"]["resourceVersion"]), json.dumps(found, sort_keys=True)
