"""The cause of a failure in diskimage-builder's log."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbuild.image.rootfs import diblog

_STAMP = "2026-11-23 01:42:43.854 | "
_TRAP = [
    "+ diskimage_builder/lib/img-functions:trap_cleanup:36 :   exitval=100",
    "+ diskimage_builder/lib/img-functions:trap_cleanup:37 :   cleanup",
    "Unmount /x/mnt/proc",
    "+ diskimage_builder/lib/img-functions:trap_cleanup:38 :   exit 100",
]


def _log(*lines: str) -> list[str]:
    return [_STAMP + line for line in (*lines, *_TRAP)]


def test_errors_before_the_trap_without_the_trace() -> None:
    lines = _log(
        "Reading package lists...", "+ 50-x:main:9 : apt-get install nosuch", "E: Unable to locate package nosuch"
    )
    assert diblog.cause(lines) == ["E: Unable to locate package nosuch"]


def test_the_last_words_where_nothing_looks_like_an_error() -> None:
    assert diblog.cause(_log("one", "two")) == ["one", "two"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("E: Failed to fetch http://m/x  Temporary failure resolving 'm'", "the mirror http://m could not be reached"),
        ("tar: ./usr: Cannot write: No space left on device", "ran out of space"),
        ("E: The repository 'http://m bookworm InRelease' is not signed.", "not signed by a key"),
        ("E: something else", "diskimage-builder failed while it was to install packages (exit code 1)"),
    ],
)
def test_known_causes_have_their_own_words(line: str, says: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("\n".join(_log("before", line)))
    error = diblog.failure(log, 1, "http://m", "install packages")
    assert says in str(error)
    assert str(log) in error.hint


def test_what_mmdebstrap_adds_to_a_failure_is_not_its_cause(tmp_path: Path) -> None:
    """As mmdebstrap 1.3.5 writes it."""
    refused = "http://127.0.0.1:9/debian/dists/bookworm/InRelease  Could not connect to 127.0.0.1:9 (127.0.0.1)."
    log = tmp_path / "log"
    log.write_text(
        "\n".join(
            _log(
                "I: running apt-get update...",
                "Reading package lists...",
                f"E: Failed to fetch {refused} - connect (111: Connection refused)",
                "E: Some index files failed to download. They have been ignored, or old ones used instead.",
                "E: apt-get update --error-on=any -oAPT::Status-Fd=<$fd> -oDpkg::Use-Pty=false failed",
                "I: main() received signal PIPE: waiting for setup...",
                "E: mmdebstrap failed to run",
            )
        )
    )
    error = diblog.failure(log, 25, "http://m", "bootstrap the distribution")
    assert str(error).endswith(f": E: Failed to fetch {refused} - connect (111: Connection refused)")


def test_progress_follows_phases_and_packages() -> None:
    progress = diblog.Progress()
    notes = list(
        progress.feed(
            [
                _STAMP + "Running hooks from /b/hooks/root.d",
                _STAMP + "Unpacking libc6:amd64 (2.36-9+deb12u14) ...",
                _STAMP + "dib-run-parts Running /tmp/in_target.d/install.d/50-imgbuild-install",
                _STAMP + "Unpacking chrony (4.3-2) ...",
                _STAMP + "+ /lib/disk-image-create:main:1 : sudo tar -C /b/mnt -cf root.tar",
            ]
        )
    )
    assert notes == [
        "bootstrap the distribution",
        "bootstrap the distribution: unpacking libc6",
        "install packages",
        "install packages: unpacking chrony",
        "pack it",
    ]
