"""Environment with which a predictor reads from S3: from Secrets and ServiceAccounts, as KServe has it.

The annotations `serving.kserve.io/s3-*` say where the bucket is; the Secret's data say who asks. What KServe also takes
from a Secret's data (S3_ENDPOINT and the like) is taken here too; an annotation wins over it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torpor.spec import names
from torpor.spec.kinds import Object

ACCESS_KEY, SECRET_KEY = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
# Keys of a Secret's data: the newer pair, and the one that KServe had first.
PAIRS = ((ACCESS_KEY, SECRET_KEY), ("awsAccessKeyID", "awsSecretAccessKey"))

ENDPOINT, USE_HTTPS, ENDPOINT_URL = "S3_ENDPOINT", "S3_USE_HTTPS", "AWS_ENDPOINT_URL"
# Which variable each annotation sets; `S3_USER_VIRTUAL_BUCKET` is KServe's own spelling.
SETTINGS = {
    names.S3_REGION: "AWS_DEFAULT_REGION",
    names.S3_VERIFY_SSL: "S3_VERIFY_SSL",
    names.S3_USE_VIRTUAL_BUCKET: "S3_USER_VIRTUAL_BUCKET",
    names.S3_USE_ANONYMOUS: "awsAnonymousCredential",
}


@dataclass(frozen=True, slots=True)
class Sources:
    """What may hold credentials, as far as it exists."""

    account: Object | None
    secrets: Mapping[str, Object | None]
    """By name: those that the account lists, or the one that an annotation of the InferenceService names."""
    named_by: str
    """Who names these Secrets, for people."""


def needs_credentials(uri: str) -> bool:
    """Tell whether this URI is read with what Secrets hold."""
    return uri.lower().startswith("s3://")


def missing_secret(sources: Sources) -> str:
    """Return the name of a Secret that should be there and is not, unless another one has the keys; else nothing."""
    found = [secret for secret in sources.secrets.values() if secret is not None]
    if any(_pair(secret) or _settings_of(secret) for secret in found):
        return ""
    return next((name for name, secret in sources.secrets.items() if secret is None), "")


def s3_environment(sources: Sources) -> list[Object]:
    """Return the variables, sorted by where they come from: the account, then each Secret, of which the last wins."""
    variables: dict[str, Object] = {}
    _add(variables, _plain(_settings_of(sources.account)))
    for secret in sources.secrets.values():
        if secret is not None:
            _add(variables, _keys(secret))
            _add(variables, _plain(_settings_of(secret)))
    return list(variables.values())


def _add(variables: dict[str, Object], more: Iterable[Object]) -> None:
    variables.update({each["name"]: each for each in more})


def _plain(settings: Mapping[str, str]) -> list[Object]:
    return [{"name": name, "value": value} for name, value in settings.items()]


def _keys(secret: Object) -> list[Object]:
    """References to the Secret's keys: their values stay where they are."""
    pair = _pair(secret)
    if pair is None:
        return []
    name = secret["metadata"]["name"]
    return [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}
        for variable, key in zip((ACCESS_KEY, SECRET_KEY), pair, strict=True)
    ]


def _pair(secret: Object) -> tuple[str, str] | None:
    """The secret key alone decides, as in KServe; an absent access key is the pod's to complain of."""
    data = secret.get("data") or {}
    return next((pair for pair in PAIRS if pair[1] in data), None)


def _settings_of(holder: Object | None) -> dict[str, str]:
    """Read the variables that an account's or a Secret's annotations set, or a Secret's data."""
    if holder is None:
        return {}
    annotations = holder["metadata"].get("annotations") or {}
    data = holder.get("data") or {}
    found = _endpoint(
        annotations.get(names.S3_ENDPOINT, _text(data, ENDPOINT)),
        annotations.get(names.S3_USE_HTTPS, _text(data, USE_HTTPS)),
    )
    for annotation, variable in SETTINGS.items():
        if value := annotations.get(annotation, _text(data, variable)):
            found[variable] = value
    return found


def _endpoint(endpoint: str, use_https: str) -> dict[str, str]:
    """A scheme in the endpoint says more than the annotation; without either it is https."""
    scheme, found, host = endpoint.partition("://")
    if found:
        use_https, endpoint = ("0" if scheme == "http" else "1"), host
    if not endpoint:
        return {}
    url = {ENDPOINT: endpoint, ENDPOINT_URL: f"{'http' if use_https == '0' else 'https'}://{endpoint}"}
    return ({USE_HTTPS: use_https} if use_https else {}) | url


def _text(data: Mapping[str, str], key: str) -> str:
    try:
        return base64.b64decode(data.get(key) or "", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""  # not a setting; the pod will say so if it matters
