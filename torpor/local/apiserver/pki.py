"""The laptop's own certificate authority, and the API server's certificate by it."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from torpor.local.apiserver.files import write_private

LIFE = datetime.timedelta(days=3650)
RENEW_BEFORE = datetime.timedelta(days=30)
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Pki:
    """Where the files are."""

    ca: Path
    certificate: Path
    key: Path


def ensure_pki(folder: Path, host: str, now: datetime.datetime) -> Pki:
    """Return certificates for `host` and the loopback names; makes those that are missing, old, or for another host."""
    folder.mkdir(mode=0o700, exist_ok=True)
    pki = Pki(folder / "ca.crt", folder / "apiserver.crt", folder / "apiserver.key")
    ca_key = folder / "ca.key"
    names = {*LOOPBACK, host}
    if not (pki.ca.exists() and ca_key.exists() and _is_fresh(pki.ca, set(), now)):
        _make_ca(pki.ca, ca_key, now)
        pki.certificate.unlink(missing_ok=True)
    if not (pki.certificate.exists() and pki.key.exists() and _is_fresh(pki.certificate, names, now)):
        _make_certificate(pki, ca_key, names, now)
    return pki


def _is_fresh(path: Path, names: set[str], now: datetime.datetime) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError:  # cut short, or no certificate at all
        return False
    if certificate.not_valid_after_utc < now + RENEW_BEFORE:
        return False
    if not names:
        return True
    listed = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names <= {str(name.value) for name in listed}


def _make_ca(path: Path, key_path: Path, now: datetime.datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        _builder("torpor-ca", "torpor-ca", key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    write_private(key_path, _pem(key))
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def _make_certificate(pki: Pki, ca_key_path: Path, names: set[str], now: datetime.datetime) -> None:
    ca_key = serialization.load_pem_private_key(ca_key_path.read_bytes(), None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{ca_key_path} holds a key of another kind than ours")
    key = ec.generate_private_key(ec.SECP256R1())
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    builder = (
        _builder("torpor-apiserver", "torpor-ca", key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_name(each) for each in sorted(names)]), critical=False)
        .add_extension(authority, critical=False)
    )
    write_private(pki.key, _pem(key))
    pki.certificate.write_bytes(builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def _builder(
    subject: str, issuer: str, key: ec.EllipticCurvePublicKey, now: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # clocks differ
        .not_valid_after(now + LIFE)
    )


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
