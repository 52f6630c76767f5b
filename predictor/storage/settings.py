"""How storage is reached, read from the environment under the names that KServe uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torpor import settings

PVC_ROOT = Path("/mnt/pvc")


@dataclass(frozen=True, slots=True)
class S3Settings:
    """One S3 endpoint. What is None or empty is left to boto3: AWS itself, its own search for credentials."""

    endpoint_url: str | None = None
    region: str | None = None
    access_key: str | None = None
    secret_key: str | None = None
    session_token: str | None = None
    anonymous: bool = False
    verify: bool | str = True
    """False takes any certificate; a text is the file of the CA to trust."""
    virtual_host: bool = False
    """`https://BUCKET.endpoint/…` instead of `https://endpoint/BUCKET/…`."""


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Everything the schemes need to know."""

    s3: S3Settings = S3Settings()
    pvc_root: Path = PVC_ROOT


def read(environ: Mapping[str, str]) -> StorageSettings:
    """Return the settings in `environ`; raises SettingError naming the variable that is wrong."""
    return StorageSettings(_s3(environ), Path(environ.get("TORPOR_PVC_ROOT") or PVC_ROOT))


def _s3(environ: Mapping[str, str]) -> S3Settings:
    return S3Settings(
        endpoint_url=_endpoint(environ),
        region=environ.get("AWS_DEFAULT_REGION") or environ.get("AWS_REGION") or None,
        access_key=environ.get("AWS_ACCESS_KEY_ID") or None,
        secret_key=environ.get("AWS_SECRET_ACCESS_KEY") or None,
        session_token=environ.get("AWS_SESSION_TOKEN") or None,
        anonymous=_flag(environ, "awsAnonymousCredential", default=False),
        verify=_verify(environ),
        virtual_host=_flag(environ, "S3_USER_VIRTUAL_BUCKET", default=False),
    )


def _endpoint(environ: Mapping[str, str]) -> str | None:
    """AWS_ENDPOINT_URL is whole; S3_ENDPOINT is host and port, and S3_USE_HTTPS says how to speak to it."""
    url = environ.get("AWS_ENDPOINT_URL") or environ.get("AWS_ENDPOINT_URL_S3") or ""
    host = environ.get("S3_ENDPOINT") or ""
    if not url and host:
        scheme = "https" if _flag(environ, "S3_USE_HTTPS", default=True) else "http"
        url = host if "://" in host else f"{scheme}://{host}"
    return url or None


def _verify(environ: Mapping[str, str]) -> bool | str:
    verify = _flag(environ, "S3_VERIFY_SSL", default=True)
    return (environ.get("AWS_CA_BUNDLE") or True) if verify else False


def _flag(environ: Mapping[str, str], key: str, *, default: bool) -> bool:
    raw = environ.get(key) or ""
    return settings.flag(key, raw) if raw else default
