"""Addons with the real helm, kubectl and curl, against the API server's stand-in: in a chroot, through a power cut."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from imgbuild.config.secrets import Secrets, make
from tests.integration.cluster.test_firstboot import ADMIN, FIRSTBOOT, background, boot, ends, finished, of, status
from tests.support.cluster.ground import Node, wait
from tests.support.cluster.nodes import MakeNode
from tests.support.cluster.programs import programs
from tests.support.cluster.seeds import image, seed
from tests.support.cluster.site import packed

AT = "http://127.0.0.1:8099"
KINDS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: pets.demo.test}
spec:
  group: demo.test
  scope: Namespaced
  names: {plural: pets, singular: pet, kind: Pet}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
---
apiVersion: demo.test/v1
kind: Pet
metadata: {name: cat}
---
# nothing
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec: {template: {spec: {containers: [{name: it, image: it}]}}}
"""
LAST = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: last, namespace: default}\n"
CHART = {
    "Chart.yaml": "apiVersion: v2\nname: web\nversion: {version}\n",
    "values.schema.json": '{{"properties": {{"replicas": {{"type": "integer"}}}}}}',
    "templates/it.yaml": """
apiVersion: v1
kind: ConfigMap
metadata: {{name: greeting}}
data: {{version: "{version}", text: {{{{ .Values.text | quote }}}}, password: {{{{ .Values.password | quote }}}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: {{{{ .Values.replicas }}}}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{nodeSelector: {{disk: fast}}, tolerations: [{{operator: Exists}}], containers: [{{name: web, image: web}}]}}
""",
}


def repository(node: Node, folder: Path) -> None:
    """Two versions of a chart, of which the older one is pinned, and a manifest."""
    at = node.upper / "srv/web"
    at.mkdir(parents=True)
    for version in ("1.0.0", "1.1.0"):
        chart = folder / version
        for name, text in CHART.items():
            (chart / name).parent.mkdir(parents=True, exist_ok=True)
            (chart / name).write_text(text.format(version=version))
        packed(chart, at / f"web-{version}.tgz", "web")
    subprocess.run([programs()["helm"], "repo", "index", at], check=True, capture_output=True)
    (at / "last.yaml").write_text(LAST)


def addons(replicas: object = 2) -> str:
    chart: dict[str, Any] = {"name": "web", "chart": "web", "repository": AT, "version": "1.0.0", "namespace": "shop"}
    chart |= {"values": {"replicas": replicas, "text": "it's"}, "secret_values": "password: s3cret\n", "timeout": 10}
    last = {"name": "last", "url": f"{AT}/last.yaml", "sha256": hashlib.sha256(LAST.encode()).hexdigest()}
    return f"addons={json.dumps([{'name': 'kinds', 'manifest': KINDS, 'namespace': 'team'}, chart, last])}"


def serve(node: Node) -> None:
    with (node.upper / "srv/log").open("ab") as log:
        words = ("python3", "-m", "http.server", "8099", "--bind", "127.0.0.1", "--directory", "/srv/web")
        node.popen(*words, out=log)


def get(node: Node, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(node.ok(*ADMIN, "get", *words, "-o", "json"))
    return found


def there(node: Node, *words: str) -> bool:
    return node.run(*ADMIN, "get", *words).returncode == 0


@pytest.mark.slow
def test_addons_in_their_order_each_ready_before_the_next(make_node: MakeNode, tmp_path: Path) -> None:
    node, secrets, cluster = make_node("node1"), make("demo", int(time.time())), of("control-plane")
    image(node)
    repository(node, tmp_path)
    seed(node, cluster, secrets, addons())
    node.write("/standin/hold", "^helm upgrade --install web")
    boot(node)
    serve(node)
    with tempfile.TemporaryFile() as out:
        process = node.popen(FIRSTBOOT, out=out, IMGBUILD_PAUSE="1")
        wait(lambda: (node.upper / "standin/held").exists() or process.poll() is not None, 300, "helm is called")
        out.seek(0)
        assert (node.upper / "standin/held").exists(), out.read().decode()
        node.cut()
        process.wait()
    boot(node)
    serve(node)
    node.ok("rm", "/standin/hold")
    wait(lambda: there(node, "pets.demo.test", "cat", "-n", "team"), 60, "the API server is back, with the Pet")
    assert not there(node, "configmap", "last")
    assert get(node, "job", "once", "-n", "team")["status"]["succeeded"] == 1
    with tempfile.TemporaryFile() as out:
        process = background(node, out)
        wait(lambda: status(node).get("state") == "retrying", 120, "the Deployment is not ready")
        assert status(node)["stage"] == "addons" and "web: helm: " in status(node)["error"], status(node)
        assert not there(node, "configmap", "last")
        node.ok(*ADMIN, "label", "node", "node1", "disk=fast")
        ends(process, out)
        out.seek(0)
        said = out.read().decode()
    finished(node)
    assert "addon kinds: ready" not in said  # it was applied before the power cut
    assert get(node, "deployment", "web", "-n", "shop")["status"]["readyReplicas"] == 2
    assert get(node, "configmap", "greeting", "-n", "shop")["data"] == {
        "version": "1.0.0", "text": "it's", "password": "s3cret"
    }  # fmt: skip
    order = [
        get(node, "crd", "pets.demo.test"), get(node, "pets.demo.test", "cat", "-n", "team"),
        get(node, "deployment", "web", "-n", "shop"), get(node, "configmap", "last"),
    ]  # fmt: skip
    made = [each["metadata"]["creationTimestamp"] for each in order]
    assert made == sorted(made)
    assert "s3cret" not in said
    a_changed_seed(node, secrets)


def a_changed_seed(node: Node, secrets: Secrets) -> None:
    """What upkeep does with one: a value that the chart's schema refuses is final, a right one is applied."""
    upkeep = "/usr/libexec/imgbuild/upkeep"
    seed(node, of("control-plane"), secrets, addons(replicas="many"))
    done = node.run(upkeep)
    assert done.returncode == 1 and "helm cannot render the chart with its values" in done.stdout, done.stdout
    assert get(node, "deployment", "web", "-n", "shop")["spec"]["replicas"] == 2
    seed(node, of("control-plane"), secrets, addons(replicas=1))
    said = node.ok(upkeep)
    assert "addon web: ready" in said and "addon kinds" not in said
    assert get(node, "deployment", "web", "-n", "shop")["status"]["readyReplicas"] == 1
