"""Reports of machines, hostile ones included."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbuild.serve.reports import MAX_CONSOLE, BadReport, Report, apply, read_report
from imgbuild.serve.state import Record


def record_of(*reports: Report, trusted: bool = False) -> Record:
    record = Record(mac="52:54:00:00:00:01", name="cp1")
    for number, report in enumerate(reports):
        apply(record, report, 1000.0 + number, trusted=trusted)
    return record


def test_the_form_of_a_report() -> None:
    body = urlencode({"event": "install", "stage": "write", "progress": "42", "message": "a\nb\x1b[31m", "more": "x"})
    assert read_report(body) == Report("install", stage="write", progress=42, message="a b[31m")


def test_cloud_inits_own_form() -> None:
    """cc_phone_home.py posts the fields that its `post` names, and no event."""
    body = urlencode({"pub_key_rsa": "ssh-rsa AAAA", "instance_id": "iid-1", "hostname": "cp1", "fqdn": "cp1.lan"})
    assert read_report(body) == Report("cloud-init", node="cp1", instance="iid-1")


@pytest.mark.parametrize(
    "body", ["", "x", "event=", "event=reboot", "event=%00", "&".join(f"a{n}=1" for n in range(65))]
)
def test_what_is_not_a_report(body: str) -> None:
    with pytest.raises(BadReport):
        read_report(body)


@given(
    st.dictionaries(st.sampled_from(["event", "stage", "state", "message", "progress", "at", "node", "mac"]), st.text())
)
def test_no_text_breaks_the_reader(fields: dict[str, str]) -> None:
    try:
        report = read_report(urlencode({"event": "stage", **fields}, errors="replace"))
    except BadReport:
        return
    record = record_of(report)
    assert Record.model_validate_json(record.model_dump_json()) == record.model_copy(update={"console": ""})
    assert report.progress is None or 0 <= report.progress <= 100


def test_an_error_stays_until_something_works() -> None:
    record = record_of(
        Report("stage", stage="kubeadm", state="retrying", message="no route"), Report("console", message="x")
    )
    assert (record.stage, record.error) == ("kubeadm", "kubeadm: no route")
    apply(record, Report("stage", stage="kubeadm", state="done"), 2000, trusted=False)
    assert record.error == ""
    apply(record, Report("failed", message="disk has data"), 2001, trusted=False)
    assert record.error == "disk has data"


def test_a_report_that_was_overtaken_changes_nothing() -> None:
    record = record_of(
        Report("stage", stage="kubeadm", state="done", at=200.0),
        Report("stage", stage="kubeadm", state="running", at=100.0),
    )
    assert record.stages["kubeadm"].state == "done"
    apply(record, Report("stage", stage="kubeadm", state="running", at=5000.0), 3000, trusted=False)
    apply(record, Report("stage", stage="kubeadm", state="failed", at=30.0), 3001, trusted=False)  # after a reboot
    assert record.stages["kubeadm"].state == "failed"


def test_what_is_kept_is_bounded() -> None:
    record = record_of(*(Report("stage", stage=f"s{n}", state="done") for n in range(1000)))
    assert len(record.stages) == 32
    for _ in range(20):
        apply(record, read_report(urlencode({"event": "console", "message": "line\n" * 10_000})), 1, trusted=False)
    assert record.console == "line\n" * 10_000
    apply(record, read_report(urlencode({"event": "console", "message": "z" * 2 * MAX_CONSOLE})), 1, trusted=False)
    assert len(record.console) == MAX_CONSOLE
    apply(record, read_report(urlencode({"event": "failed", "message": "y" * 60_000})), 1, trusted=False)
    assert len(record.error) == 4096


def test_an_installed_machine_does_not_install_again_by_a_report() -> None:
    record = record_of(Report("installed"), Report("install", stage="write"), trusted=True)
    assert record.state == "installed" and record.install is None


def test_a_token_in_an_error_is_not_kept() -> None:
    address = "http://10.0.0.2:8080/t/Zm9vYmFyYmF6cXV4cXV1eGNvcmdlZ3JhdWx0/mac-52-54-00-00-00-01/user-data"
    record = record_of(read_report(urlencode({"event": "failed", "message": f"{address} cannot be fetched"})))
    assert record.error == "http://10.0.0.2:8080/(not shown)/mac-52-54-00-00-00-01/user-data cannot be fetched"
