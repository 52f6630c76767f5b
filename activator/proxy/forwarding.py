"""Say who asked for what: the runtime contract's Forwarded (RFC 7239), and its older relatives.

What came with a request is continued where a proxy sent it, and replaced where anybody could have: a client that is
believed chooses which address is logged and limited, and which links an application makes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network


@dataclass(frozen=True, slots=True)
class Networks:
    """Addresses, as `10.0.0.0/8,192.168.1.7` names them; `none` are none."""

    members: tuple[IPv4Network | IPv6Network, ...]

    @classmethod
    def parse(cls, raw: str) -> Networks:
        """Read what `str` writes; raises ValueError."""
        return cls(() if raw == "none" else tuple(ip_network(each.strip()) for each in raw.split(",")))

    def __str__(self) -> str:
        return ",".join(map(str, self.members)) or "none"


PRIVATE = Networks.parse(
    "127.0.0.0/8,::1/128,"  # this machine
    "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7,"  # private networks
    "100.64.0.0/10,"  # shared by carriers, and by clusters for their pods
    "169.254.0.0/16,fe80::/10"  # one link
)
"""Where load balancers and ingresses are, and strangers are not."""

Pairs = list[tuple[bytes, bytes]]

_PAIR = rb'[!#$%&\'*+.^_`|~0-9A-Za-z-]+=(?:[^\s",;]+|"(?:[^"\\]|\\.)*")'
_CHAIN = re.compile(rb"%b(?:[ \t]*[;,][ \t]*%b)*\Z" % (_PAIR, _PAIR))
_NOTHING: Mapping[bytes, bytes] = {}


@lru_cache(maxsize=4096)
def trusted(peer: bytes, proxies: Networks) -> bool:
    """Tell whether a peer is a proxy of ours; one that has no address is not."""
    try:
        address = ip_address(peer.decode("ascii").partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return any(mapped in network for network in proxies.members if network.version == mapped.version)


def fields(given: Mapping[bytes, bytes], peer: bytes, host: bytes, scheme: bytes, *, believed: bool) -> Pairs:
    """Return the fields for the pod. `given`: those of the request by their names in lower case."""
    if not believed:
        given = _NOTHING
    quoted = b'"[%b]"' % peer if b":" in peer else peer
    who = b'for=%b;host="%b"' % (quoted, host) if host else b"for=%b" % quoted
    forwarded, addresses = given.get(b"forwarded"), given.get(b"x-forwarded-for")
    if forwarded is not None and not _CHAIN.match(forwarded):
        forwarded = None  # an open quote in it would swallow what is added
    asked = given.get(b"x-forwarded-host") or host
    pairs = [
        (b"Forwarded", b"%b%b;proto=%b" % (b"" if forwarded is None else forwarded + b", ", who, scheme)),
        (b"X-Forwarded-For", peer if not addresses else b"%b, %b" % (addresses, peer)),
        (b"X-Forwarded-Proto", given.get(b"x-forwarded-proto") or scheme),
    ]
    if asked:
        pairs.append((b"X-Forwarded-Host", asked))
    return pairs
