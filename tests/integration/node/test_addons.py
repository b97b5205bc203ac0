"""Addons on a fake root: their order, what is tried again, what ends first boot, what a changed seed applies again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from imgbuild.render.addons import files
from tests.support.node.bootnode import BootNode
from tests.support.profiles import resolved

STAGE = "firstboot.d/75-addons"
# Both note their words, and do what a file in $WORLD/fail of the verb's name lets fail: once a line, with that text.
STUB = r"""#!/bin/bash
words="$*"
printf '%s %s\n' "${0##*/}" "${words//$IMGBUILD_ROOT/}" >> "$WORLD/calls"
printf '%s %s %s\n' "${0##*/}" "$1" "${https_proxy:-direct}" >> "$WORLD/ways"
[ "${0##*/}" = helm ] || shift 4
fails() {
    [ -s "$WORLD/fail/$1" ] || return 0
    head -n 1 "$WORLD/fail/$1" >&2
    sed -i 1d "$WORLD/fail/$1"
    exit 1
}
fails "${0##*/}-$1"
case "${0##*/} $1 ${2:-}" in
    'kubectl get --raw') [ -e "$WORLD/api" ] ;;
    'kubectl get namespace') [ -e "$WORLD/namespace-$3" ] ;;
    'kubectl create namespace') touch "$WORLD/namespace-$3" ;;
    'kubectl get --filename') printf 'Deployment   team   web\nConfigMap  team  c\nJob  team  once\n' ;;
    'helm pull '*) while [ "$1" != --destination ]; do shift; done; echo "a chart" > "$2/chart-1.0.0.tgz" ;;
    *) ;;
esac
"""
CURL = r"""#!/bin/bash
printf 'curl %s\n' "${@: -1}" >> "$WORLD/calls"
printf 'curl %s %s\n' "$1" "${https_proxy:-direct}" >> "$WORLD/ways"
while [ "$1" != --output ]; do shift; done
if [ ! -e "$WORLD/web" ]; then
    echo "curl: (6) Could not resolve host: files.example.com" >&2
    exit 6
fi
cp "$WORLD/web" "$2"
"""
SHA = hashlib.sha256(b"kind: Job\n").hexdigest()
MANIFEST = "{name: team, manifest: '{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}', namespace: team}"
CHART = (
    "{name: web, chart: web, repository: 'https://charts.example.com', version: 1.0.0, namespace: web, timeout: 60, "
    "values: {a: {b: \"it's\"}, none: null}, secret_values: 'password: s3cret'}"
)
FETCHED = f"{{name: job, url: 'https://files.example.com/job.yaml', sha256: {SHA}}}"


class Addons(BootNode):
    """A control plane that has made its cluster."""

    def __init__(self, folder: Path, *addons: str) -> None:
        super().__init__(folder)
        for name in ("kubectl", "helm", "curl"):
            (self.bin / name).unlink()
            (self.bin / name).write_text(CURL if name == "curl" else STUB)
            (self.bin / name).chmod(0o755)
        self.set(api="ours", web="kind: Job\n")
        (self.world / "fail").mkdir()
        self.write("var/lib/imgbuild/kubeadm.way", "init\n")
        self.seed(*addons)

    def seed(self, *addons: str) -> None:
        """What a seed with these addons writes."""
        profile = resolved("debian12-efi", sets=[f"addons=[{', '.join(addons)}]"]).profile
        for file in files(profile):
            self.write(file.path[1:], file.content.decode(), file.mode)

    def stage(self, code: int = 0) -> tuple[list[str], str]:
        """The calls of one run of the stage, and what it printed."""
        self.forget()
        done = self.run(STAGE)
        assert done.returncode == code, done.stdout + done.stderr
        calls = (self.world / "calls").read_text().splitlines() if (self.world / "calls").exists() else []
        return calls, done.stdout + done.stderr

    def fail(self, verb: str, *texts: str) -> None:
        (self.world / "fail" / verb).write_text("".join(f"{text}\n" for text in texts))

    def marks(self) -> set[str]:
        return {path.name for path in (self.root / "var/lib/imgbuild/addons").glob("*")}


ADMIN = "kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout"


def test_all_kinds_in_their_order_once(tmp_path: Path) -> None:
    node = Addons(tmp_path, MANIFEST, CHART, FETCHED)
    calls, said = node.stage()
    apply = f"{ADMIN} 60s apply --server-side --force-conflicts --field-manager imgbuild --filename"
    assert [call for call in calls if " apply " in call or call.startswith(("helm", "curl"))] == [
        f"{apply} /etc/imgbuild/addons/team/manifest.yaml --namespace team",
        "helm pull web --repo https://charts.example.com --version 1.0.0 --destination /run/imgbuild/addons/pull",
        next(call for call in calls if call.startswith("helm upgrade")),
        "curl https://files.example.com/job.yaml",
        f"{apply} /run/imgbuild/addons/job.yaml",
    ]
    (upgrade,) = [call for call in calls if call.startswith("helm upgrade")]
    assert upgrade.startswith("helm upgrade --install web /run/imgbuild/addons/")
    assert upgrade.endswith(
        "/chart-1.0.0.tgz --namespace web --values /etc/imgbuild/addons/web/values.yaml --values "
        "/etc/imgbuild/addons/web/secret-values.yaml --create-namespace --wait --timeout 60s"
    )
    assert f"{ADMIN} 0 rollout status Deployment/web --namespace team --timeout 600s" in calls
    assert f"{ADMIN} 0 wait --for=condition=complete job/once --namespace team --timeout 600s" in calls
    assert f"{ADMIN} 10s create namespace team" in calls
    assert [line for line in said.splitlines() if "ready" in line] == [
        f"addon {name}: ready" for name in ("team", "web", "job")
    ]
    assert node.marks() == {"team", "web", "job"}
    assert node.stage() == ([], "")  # nothing to do, and not even the API server is asked
    values = node.root / "etc/imgbuild/addons/web"
    assert (values / "values.yaml").read_text() == "a:\n  b: it's\n"
    assert {path.stat().st_mode & 0o777 for path in values.iterdir()} == {0o600}
    assert (node.root / "etc/imgbuild/addons.conf").stat().st_mode & 0o777 == 0o600
    assert "s3cret" not in said + (node.root / "etc/imgbuild/addons.conf").read_text()


def test_what_is_fetched_comes_through_the_proxy_and_the_cluster_is_reached_directly(tmp_path: Path) -> None:
    node = Addons(tmp_path, MANIFEST, CHART, FETCHED)
    node.write("etc/imgbuild/proxy.env", "https_proxy=http://proxy.example:3128\n")
    node.stage()
    ways = {tuple(line.split()) for line in (node.world / "ways").read_text().splitlines()}
    fetched = {("helm", "pull"), ("curl", "--fail")}
    assert {(program, word) for program, word, way in ways if way == "http://proxy.example:3128"} == fetched
    assert ("helm", "upgrade", "direct") in ways and ("kubectl", "--kubeconfig", "direct") in ways


def test_what_may_come_back_is_tried_again_from_there(tmp_path: Path) -> None:
    node = Addons(tmp_path, MANIFEST, CHART, FETCHED)
    node.fail("helm-upgrade", "Error: context deadline exceeded")
    calls, said = node.stage(75)
    assert "web: helm: Error: context deadline exceeded" in said
    assert node.marks() == {"team"} and not any("job.yaml" in call for call in calls)
    (node.world / "web").unlink()
    calls, said = node.stage(75)
    assert not any("team/manifest" in call for call in calls)
    assert "files.example.com/job.yaml cannot be fetched: curl: (6)" in said
    node.set(web="kind: Job\n")
    calls, _ = node.stage()
    assert not any(call.startswith("helm") for call in calls) and node.marks() == {"team", "web", "job"}


def test_a_custom_resource_waits_for_its_definition(tmp_path: Path) -> None:
    node = Addons(tmp_path, MANIFEST)
    node.fail("kubectl-apply", *['error: no matches for kind "Gateway" in version "v1"'] * 3)
    calls, _ = node.stage()
    assert len([call for call in calls if " apply " in call]) == 4


def test_an_api_server_that_does_not_give_its_schema(tmp_path: Path) -> None:
    """kubectl validates with it, and names that error in the same way as an invalid object."""
    node = Addons(tmp_path, MANIFEST)
    text = 'error: error validating "m": error validating data: failed to download openapi: context deadline exceeded'
    node.fail("kubectl-apply", *[text] * 6)
    _, said = node.stage(75)
    assert "failed to download openapi" in said
    node.fail("kubectl-apply", *[text] * 2)
    node.stage()
    assert node.marks() == {"team"}


def test_something_that_is_not_ready_in_time(tmp_path: Path) -> None:
    node = Addons(tmp_path, MANIFEST)
    node.fail("kubectl-rollout", "error: timed out waiting for the condition")
    _, said = node.stage(75)
    assert "team: Deployment team/web: error: timed out waiting for the condition" in said
    assert node.marks() == set()


@pytest.mark.parametrize(
    ("addon", "verb", "texts", "words"),
    [
        (
            CHART,
            "helm-pull",
            ['Error: chart "web" version "1.0.0" not found in https://c repository'],
            "has no chart web",
        ),
        (CHART, "", [], ""),
        (MANIFEST, "kubectl-apply", ['The ConfigMap "c" is invalid: data'], "is invalid"),
        (MANIFEST, "kubectl-apply", ["error: error parsing manifest.yaml"], "error parsing"),
        (
            MANIFEST,
            "kubectl-apply",
            ['error validating data: ValidationError(ConfigMap): unknown field "dat"'],
            "unknown field",
        ),
    ],
)
def test_what_never_works_is_final(tmp_path: Path, addon: str, verb: str, texts: list[str], words: str) -> None:
    node = Addons(tmp_path, addon)
    if not verb:
        node.fail("helm-upgrade", "Error: UPGRADE FAILED")
        node.fail("helm-template", "Error: values don't meet the specifications of the schema")
        words = "cannot render the chart with its values: Error: values"
    else:
        node.fail(verb, *texts)
    _, said = node.stage(1)
    assert words in said and node.marks() == set()


def test_a_wrong_checksum_is_final(tmp_path: Path) -> None:
    node = Addons(tmp_path, FETCHED, CHART.replace("version", f"sha256: {SHA}, version"))
    node.set(web="kind: Other\n")
    assert "does not have the sha256" in node.stage(1)[1]
    node.set(web="kind: Job\n")
    assert "the chart web 1.0.0 does not have the sha256" in node.stage(1)[1]
    assert node.marks() == {"job"}


def test_a_changed_seed_applies_what_changed(tmp_path: Path) -> None:
    node = Addons(tmp_path, MANIFEST, CHART)
    node.stage()
    node.seed(CHART.replace("s3cret", "other"), FETCHED)
    calls, said = node.stage()
    assert [call.split()[1] for call in calls if call.startswith("helm")] == ["pull", "upgrade"]
    assert "the addon team is no longer in the seed" in said
    assert node.marks() == {"web", "job"}


def test_a_file_of_the_seed_that_is_missing(tmp_path: Path) -> None:
    node = Addons(tmp_path, CHART)
    (node.root / "etc/imgbuild/addons/web/secret-values.yaml").unlink()
    assert "provide the seed again" in node.stage(1)[1]


def test_a_node_that_joined_applies_nothing(tmp_path: Path) -> None:
    node = Addons(tmp_path, MANIFEST)
    node.write("var/lib/imgbuild/kubeadm.way", "join\n")
    calls, said = node.stage()
    assert calls == [] and "this node joined" in said
    node = Addons(tmp_path / "none")
    assert "no addons" in node.stage()[1]


def test_verify_names_what_is_not_applied(tmp_path: Path) -> None:
    node = Addons(tmp_path, MANIFEST, CHART)
    node.write("var/lib/imgbuild/firstboot.done", "x")
    told = node.real_verify("addons")
    assert told.returncode == 1 and "not ready: team, web" in told.stdout
    node.stage()
    told = node.real_verify("addons")
    assert told.returncode == 0 and "team, web" in told.stdout
    assert "no addons" in Addons(tmp_path / "none").real_verify("addons").stdout


def test_upkeep_applies_a_changed_seed(tmp_path: Path) -> None:
    node = Addons(tmp_path, MANIFEST)
    node.write("etc/kubernetes/manifests/kube-apiserver.yaml", "    - --advertise-address=10.0.0.11\n")
    node.write("var/lib/imgbuild/coredns.spread", "spread\n")
    done = node.run("upkeep")
    assert done.returncode == 0, done.stdout + done.stderr
    assert node.marks() == {"team"}
    node.seed(MANIFEST.replace("name: c}", "name: d}"))
    node.fail("kubectl-apply", 'The ConfigMap "d" is invalid: data')
    done = node.run("upkeep")
    assert done.returncode == 1 and "an addon cannot be applied" in done.stdout + done.stderr
