"""The manifests of Kubernetes: they follow its schemas and agree with each other, and workers find their cluster."""

import json
import os
import re
import subprocess
import sys
from importlib import metadata

import pytest
import yaml

from dense_labels.training import strategies
from input_pipeline import data_service
from tests import commands
from tests.commands import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
DOCUMENTS = {path.name: list(yaml.safe_load_all(path.read_text())) for path in sorted(FOLDER.glob("*.yaml"))}
EVERY = [document for documents in DOCUMENTS.values() for document in documents]


def _named(kind):
    return {document["metadata"]["name"]: document for document in EVERY if document["kind"] == kind}


def _templates():
    """The pods that are made, by the name of what makes them."""
    makers = [document for document in EVERY if "template" in document["spec"]]
    return {document["metadata"]["name"]: document["spec"]["template"] for document in makers}


def _container(name):
    (container,) = _templates()[name]["spec"]["containers"]
    return container


def _ports(container):
    return {port["name"]: port["containerPort"] for port in container["ports"]}


def _selectors(document):
    """What a document selects pods by, and those that a policy lets in."""
    spec = document["spec"]
    yield from (found for key in ("selector", "podSelector") if (found := spec.get(key)))
    for rule in spec.get("ingress", []):
        yield from (peer["podSelector"] for peer in rule["from"])


@pytest.mark.parametrize("newest", [False, True])
def test_every_document_follows_the_schema(newest):
    validator = pytest.importorskip("kubernetes_validate")
    version = validator.latest_version() if newest else "1.31"  # the first in which a job may have a success policy
    for document in EVERY:
        assert validator.validate(document, version, strict=True)
    job = _named("Job")["training"]
    with pytest.raises(validator.ValidationError, match="compltions"):
        validator.validate({**job, "spec": {**job["spec"], "compltions": 2}}, version, strict=True)


def test_every_selector_finds_the_pods_of_one_maker():
    labels = {name: template["metadata"]["labels"] for name, template in _templates().items()}
    assert set(labels) == {"training", "pairs", "evaluation", "serving"}
    for document in EVERY:
        for selector in _selectors(document):
            wanted = selector.get("matchLabels", selector)
            found = [name for name, given in labels.items() if wanted.items() <= given.items()]
            assert len(found) == 1, (document["kind"], document["metadata"]["name"])
        assert document["metadata"]["labels"]["app.kubernetes.io/name"] == "dense-labels"


def test_services_lead_to_ports_of_their_pods():
    makers = {"workers": "training", "pairs": "pairs", "serving": "serving"}
    services = _named("Service")
    assert set(services) == set(makers)
    for name, service in services.items():
        ports = _ports(_container(makers[name]))
        for port in service["spec"]["ports"]:
            target = port.get("targetPort", port["port"])
            assert ports.get(target, target) == ports[port["name"]] == port["port"]
        assert (service["spec"].get("clusterIP") == "None") == (name != "serving")
    assert _templates()["training"]["spec"]["subdomain"] == "workers"
    assert _named("StatefulSet")["pairs"]["spec"]["serviceName"] == "pairs"


def test_probes_and_volumes_name_what_there_is():
    for name, template in _templates().items():
        (volume,), container = template["spec"]["volumes"], _container(name)
        assert volume["persistentVolumeClaim"]["claimName"] in _named("PersistentVolumeClaim")
        assert [mount["name"] for mount in container["volumeMounts"]] == [volume["name"]]
        for kind, probe in container.items():
            if kind.endswith("Probe"):
                assert (probe.get("httpGet") or probe["tcpSocket"])["port"] in _ports(container)
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container) or name in _named("Job")


def test_serving_has_one_model_and_is_scaled():
    container = _container("serving")
    (model,) = [variable["value"] for variable in container["env"] if variable["name"] == "MODEL_NAME"]
    assert container["volumeMounts"][0]["mountPath"] == f"/models/{model}"
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["path"] == f"/v1/models/{model}/metadata"
    scaler, deployment = _named("HorizontalPodAutoscaler")["serving"]["spec"], _named("Deployment")["serving"]
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "serving"}
    assert "replicas" not in deployment["spec"] and "cpu" in container["resources"]["requests"]


def test_the_evaluation_is_of_the_trained_run_and_exports_what_is_served():
    training, (program, *given) = _container("training")["args"], _container("evaluation")["args"]
    (script,) = (each for each in metadata.entry_points(group="console_scripts") if each.name == program)
    assert script.value == "eval_main:console"
    told, mount = dict(argument.split("=") for argument in given), _container("serving")["volumeMounts"][0]
    assert f"--workdir={told['--workdir']}" in training
    assert told["--export_dir"] == f"/mnt/work/{mount['subPath']}"
    helped = commands.run("eval_main.py", "--helpshort").stdout
    assert all(re.search(rf"^ +{argument}: ", helped, re.M) for argument in told)


def test_the_services_of_pairs_have_the_addresses_that_the_training_is_told():
    text = (FOLDER / "training.yaml").read_text()
    (job,) = (each for each in yaml.safe_load_all(text.replace("# - --data", "- --data")) if each["kind"] == "Job")
    program, *arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert program == "dense-labels-train"
    told = re.fullmatch(r"--data_service=(\S+)", arguments[-1])[1].split(",")
    container, count = _container("pairs"), _named("StatefulSet")["pairs"]["spec"]["replicas"]
    assert "--port=5050" in container["args"] and "--host=$(POD).pairs" in container["args"]
    assert _ports(container) == {"dispatcher": 5050, "worker": 5051}
    assert all(data_service._ADDRESS.fullmatch(address) for address in told)
    assert told == [f"grpc://pairs-{index}.pairs:5050" for index in range(count)]


@pytest.mark.parametrize("index", [0, 1])
def test_a_worker_finds_its_cluster_and_becomes_the_training(monkeypatch, index):
    """As Kubernetes starts it: pod INDEX of a job with an index has the name JOB-INDEX in the job's subdomain."""
    job, container = _named("Job")["training"], _container("training")
    given = {variable["name"]: variable["value"] for variable in container["env"]}
    show = [sys.executable, "-c", "import os, sys; print(os.environ['TF_CONFIG']); print(sys.argv[1:])"]
    python, *rest = container["command"]
    assert python == "python" and container["args"][0] == "dense-labels-train"
    ran = subprocess.run(
        [sys.executable, *rest, *show, *container["args"][1:]],
        env={**os.environ, **given, "JOB_COMPLETION_INDEX": str(index)},
        capture_output=True,
        text=True,
        check=True,
    )
    cluster, arguments = ran.stdout.splitlines()
    assert arguments == str(container["args"][1:])
    workers = job["spec"]["completions"]
    assert workers == job["spec"]["parallelism"] == int(given["WORKERS"])
    monkeypatch.setenv("TF_CONFIG", cluster)
    names = [f"training-{each}.workers:{_ports(container)['grpc']}" for each in range(workers)]
    assert strategies._cluster() == {"worker": names}
    assert json.loads(cluster)["task"] == {"type": "worker", "index": index}
