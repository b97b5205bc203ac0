"""The stand-in for etcd: members that write at the same time end with the same objects."""

from __future__ import annotations

from pathlib import Path

from tests.support.cluster.standins.api.store import Key, Store

FIRST: Key = ("", "nodes", "", "node1")
SECOND: Key = ("", "nodes", "", "node2")


def two(folder: Path) -> tuple[Store, Store]:
    one, other = Store(folder / "one"), Store(folder / "other")
    one.put(FIRST, {"metadata": {}, "ready": False})
    other.load(one.dump())
    return one, other


def exchange(one: Store, other: Store) -> None:
    sent = one.dump()
    one.load(other.dump())
    other.load(sent)


def objects(store: Store) -> object:
    return sorted(store.dump()["objects"]), sorted(store.dump()["deleted"])


def test_what_two_members_write_at_the_same_time_is_kept(tmp_path: Path) -> None:
    one, other = two(tmp_path)
    one.put(SECOND, {"metadata": {}})
    for _ in range(3):  # the other member is further on, and knows nothing of the second node
        other.put(FIRST, {"metadata": {}, "ready": True, "round": _})
    exchange(one, other)
    assert objects(one) == objects(other)
    assert one.get(SECOND) is not None
    assert (one.get(FIRST) or {})["ready"]
    assert objects(Store(tmp_path / "one")) == objects(one), "a restart keeps it"


def test_two_states_of_one_revision_end_as_one(tmp_path: Path) -> None:
    one, other = two(tmp_path)
    one.put(FIRST, {"metadata": {}, "by": "one"})
    other.put(FIRST, {"metadata": {}, "by": "other"})
    exchange(one, other)
    assert objects(one) == objects(other)


def test_a_deleted_object_stays_deleted_and_a_watcher_hears_of_it(tmp_path: Path) -> None:
    one, other = two(tmp_path)
    other.put(SECOND, {"metadata": {}})
    one.delete(FIRST)
    heard = other.revision
    exchange(one, other)
    assert one.get(FIRST) is other.get(FIRST) is None
    assert objects(one) == objects(other)
    assert [(what, key) for _, what, key, _ in other.since(heard)] == [("DELETED", FIRST)]
    one.put(FIRST, {"metadata": {}})
    exchange(one, other)
    assert other.get(FIRST) is not None
