"""Certificates for one host, made on the spot."""

from __future__ import annotations

import base64
import datetime
import ssl
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from tests.activator.grpc.doorway import HOST
from torpor.spec.kinds import Object


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate that signs itself, and its key."""

    certificate: bytes
    key: bytes
    serial: int

    def secret(self, name: str = "door", **instead: bytes) -> Object:
        """Return the Secret, with other contents in place of some."""
        data = {"tls.crt": self.certificate, "tls.key": self.key} | {
            key.replace("_", "."): value for key, value in instead.items()
        }
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"namespace": "default", "name": name},
            "type": "kubernetes.io/tls",
            "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
        }

    def trusting(self, *protocols: str) -> ssl.SSLContext:
        """Return a client's context that trusts this one and no other."""
        context = ssl.create_default_context(cadata=self.certificate.decode())
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context


def pair(*, kind: str = "ec", password: bytes | None = None, host: str = HOST) -> Pair:
    """Make one."""
    key = (
        ec.generate_private_key(ec.SECP256R1())
        if kind == "ec"
        else rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    serial = x509.random_serial_number()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encryption = serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    return Pair(made.public_bytes(serialization.Encoding.PEM), private, serial)
