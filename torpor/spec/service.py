"""A Knative Service or Configuration as its owner wrote it: template and traffic, validated."""

from __future__ import annotations

from dataclasses import dataclass

from torpor.errors import InvalidInputError
from torpor.spec.autoscaling import Scaling, parse_scaling
from torpor.spec.cluster import BUILT_IN, ClusterWide
from torpor.spec.fields import DNS_1035_LABEL, Fields
from torpor.spec.kinds import Object
from torpor.spec.knative import Target, parse_traffic
from torpor.spec.revision import RevisionSpec, parse_revision

EVERYTHING_TO_LATEST = (Target(revision=None, configuration=None, percent=100, tag=""),)
"""What a Service without traffic asks for."""


@dataclass(frozen=True, slots=True)
class Template:
    """`spec.template` of a Service or Configuration."""

    name: str
    """The revision's name where its owner brings one, else empty."""
    revision: RevisionSpec
    scaling: Scaling


@dataclass(frozen=True, slots=True)
class Service:
    """A Knative Service."""

    template: Template
    traffic: tuple[Target, ...]


def parse_service(obj: Object, cluster: ClusterWide = BUILT_IN) -> Service:
    """Read a Knative Service; raises InvalidInputError that names field, value and what is allowed."""
    spec = Fields(obj).object("spec")
    template = parse_template(spec, owner=obj["metadata"].get("name", ""), cluster=cluster)
    traffic = parse_traffic(spec) or EVERYTHING_TO_LATEST
    for index, target in enumerate(traffic):
        if target.configuration:
            raise InvalidInputError(
                f"{spec.at('traffic')}[{index}].configurationName",
                target.configuration,
                "a Service's traffic names revisions, or nothing for its own latest",
            )
    return Service(template, traffic)


def parse_template(spec: Fields, *, owner: str, cluster: ClusterWide = BUILT_IN) -> Template:
    """Read `template` of a Service's or Configuration's spec; `owner` is that object's name."""
    template = spec.object("template")
    metadata = template.object("metadata")
    name = metadata.text("name")
    if name and not DNS_1035_LABEL.match(name):
        raise metadata.refuse("name", "use at most 63 lower-case letters, digits and '-', a letter first (DNS-1035)")
    if name and owner and not name.startswith(f"{owner}-"):
        raise metadata.refuse("name", f"it must begin with {owner}-")
    metadata.text_map("labels")
    revision = parse_revision(template.object("spec"), cluster.revisions)
    return Template(name, revision, scaling_of(metadata, revision, cluster))


def scaling_of(metadata: Fields, revision: RevisionSpec, cluster: ClusterWide = BUILT_IN) -> Scaling:
    """Read the autoscaling annotations of a revision or of the template for one."""
    annotations = metadata.text_map("annotations")
    return parse_scaling(annotations, concurrency=revision.limits.concurrency, defaults=cluster.scaling)
