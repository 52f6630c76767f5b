"""References to Secrets, as command lines name them."""

from __future__ import annotations

from torpor.errors import SettingError
from torpor.spec.fields import DNS_LABEL


def parse_secret(key: str, raw: str) -> tuple[str, str]:
    """Read NAMESPACE/NAME; raises SettingError."""
    namespace, _, name = raw.partition("/")
    if not DNS_LABEL.match(namespace) or len(name) > 253 or not all(DNS_LABEL.match(part) for part in name.split(".")):
        raise SettingError(key, raw, "use NAMESPACE/NAME of a Secret of type kubernetes.io/tls")
    return namespace, name
