"""deploy/compose.yaml and kubernetes.yaml: each name in them is there, and the gateway agrees."""

import aiohttp
import kubernetes_validate
import pytest
import yaml
from support.checkout import REPOSITORY
from support.containerfile import read
from support.running_gateway import APPS, running_gateway

from gateway import config
from gateway.options import ServerOptions

DEPLOY = REPOSITORY / "deploy"
IMAGE = {each.name: each.words for each in read(DEPLOY / "Containerfile")}
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
MANIFEST = {
    one["kind"]: one for one in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
}
POD = MANIFEST["StatefulSet"]["spec"]["template"]
VERSION = kubernetes_validate.latest_version()
SIDECAR = POD["spec"]["containers"][1]


def loaded(tmp_path, text, secret, **environ):
    """Load a configuration whose secret is at a place that is not here."""
    assert secret in text
    (tmp_path / "secret").write_text("hush-hush")
    path = tmp_path / "config.yaml"
    path.write_text(text.replace(secret, str(tmp_path / "secret")))
    return config.load(path, environ)


# ---- compose


@pytest.fixture
def service():
    return COMPOSE["services"]["gateway"]


def test_compose_builds_the_image_that_is_here(service):
    """Its context and its Containerfile exist, seen from the folder of the file."""
    context = (DEPLOY / service["build"]["context"]).resolve()
    assert context == REPOSITORY
    assert context / service["build"]["dockerfile"] == DEPLOY / "Containerfile"


def test_compose_mounts_what_the_image_wants_where_it_wants_it(service):
    """The volume that is declared, and a configuration where commands look for it."""
    data, configuration = service["volumes"]
    assert data.split(":") == [next(iter(COMPOSE["volumes"])), IMAGE["VOLUME"]]
    source, target, _ = configuration.split(":")
    assert (DEPLOY / source).is_file()
    assert target == f"{IMAGE['WORKDIR']}/config.yaml"
    assert service["secrets"] == list(COMPOSE["secrets"])


def test_the_configuration_of_the_container_is_right(service, tmp_path):
    """It finds its key in the environment and its secret in a file, both of which compose gives."""
    (secret,) = service["secrets"]
    (name,) = service["environment"]
    text = (DEPLOY / "container.yaml").read_text()
    found = loaded(tmp_path, text, f"/run/secrets/{secret}", **{name: "demo-key"})
    assert str(found.data_dir) == IMAGE["VOLUME"]
    assert found.apps[0].secrets == ("hush-hush",)
    assert f":{found.server.port}:{IMAGE['EXPOSE']}" in service["ports"][0]
    assert found.server.host == "0.0.0.0"


def test_compose_waits_for_the_drain(service):
    """The gateway is not killed while it drains."""
    assert float(service["stop_grace_period"].removesuffix("s")) > ServerOptions().drain_s


# ---- Kubernetes


@pytest.mark.parametrize("kind", MANIFEST)
def test_kubernetes_takes_the_manifest(kind):
    """Each object fits Kubernetes' own schema, and has no key that is not in it."""
    kubernetes_validate.validate(MANIFEST[kind], VERSION, strict=True)


def test_every_name_in_the_manifest_is_there():
    """Volumes, ports, labels: what one part names another has."""
    spec = POD["spec"]
    claims = MANIFEST["StatefulSet"]["spec"]["volumeClaimTemplates"]
    volumes = {one["name"] for one in spec["volumes"]} | {one["metadata"]["name"] for one in claims}
    assert {one["name"] for one in SIDECAR["volumeMounts"]} == volumes
    ports = {one["name"]: one["containerPort"] for one in SIDECAR["ports"]}
    probes = [SIDECAR["livenessProbe"], SIDECAR["readinessProbe"]]
    assert {probe["httpGet"]["port"] for probe in probes} == set(ports)
    assert MANIFEST["Service"]["spec"]["ports"][0]["targetPort"] in ports
    labels = POD["metadata"]["labels"]
    assert MANIFEST["StatefulSet"]["spec"]["selector"]["matchLabels"] == labels
    assert MANIFEST["Service"]["spec"]["selector"] == labels
    (configured,) = (one["configMap"]["name"] for one in spec["volumes"] if "configMap" in one)
    assert configured == MANIFEST["ConfigMap"]["metadata"]["name"]


def test_the_pod_is_made_for_the_image():
    """Its user, its port, and the places where it looks."""
    user = SIDECAR["securityContext"]["runAsUser"]
    assert f"useradd --uid {user} " in IMAGE["RUN"]
    assert POD["spec"]["securityContext"]["fsGroup"] == user
    assert str(SIDECAR["ports"][0]["containerPort"]) == IMAGE["EXPOSE"]
    places = {one["name"]: one["mountPath"] for one in SIDECAR["volumeMounts"]}
    assert (places["data"], places["config"]) == (IMAGE["VOLUME"], IMAGE["WORKDIR"])


def test_the_pod_waits_for_the_drain():
    """The time that it has covers the pause before its end, and the drain."""
    pause = float(SIDECAR["lifecycle"]["preStop"]["exec"]["command"][1])
    assert POD["spec"]["terminationGracePeriodSeconds"] > pause + ServerOptions().drain_s


async def test_its_configuration_runs_and_its_probes_are_answered(tmp_path):
    """The text in the ConfigMap is right; a gateway that runs it answers both probes with 200."""
    text = MANIFEST["ConfigMap"]["data"]["config.yaml"]
    places = {one["name"]: one["mountPath"] for one in SIDECAR["volumeMounts"]}
    found = loaded(tmp_path, text, f"{places['secret']}/secret")
    assert str(found.data_dir) == places["data"]
    assert found.server.port == SIDECAR["ports"][0]["containerPort"]
    subscribers = yaml.safe_load(text)["subscribers"]
    async with running_gateway(tmp_path / "g", apps=APPS, subscribers=subscribers) as gateway:
        async with aiohttp.ClientSession() as session:
            for probe in (SIDECAR["livenessProbe"], SIDECAR["readinessProbe"]):
                url = f"http://127.0.0.1:{gateway.port}{probe['httpGet']['path']}"
                async with session.get(url) as answer:
                    assert answer.status == 200


# ---- the context


def test_what_is_built_of_is_all_that_is_sent():
    """The builder gets what the Containerfile copies and nothing else, and never the secret."""
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    sent = {line.removeprefix("!") for line in lines if line.startswith("!")}
    steps = [each for each in read(DEPLOY / "Containerfile") if each.name == "COPY"]
    copied = {path.strip("./") for one in steps if not one.flags() for path in one.paths()[:-1]}
    assert "*" in lines
    assert sent == copied
    (secret,) = COMPOSE["secrets"].values()
    assert f"deploy/{secret['file']}" in lines
    ignored = (REPOSITORY / ".gitignore").read_text().splitlines()
    assert f"/deploy/{secret['file']}" in ignored
