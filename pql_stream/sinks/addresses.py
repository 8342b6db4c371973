"""
Which addresses may be called when somebody else chose the URL: none inside our own network.

The check is made after DNS, on the very addresses that are connected to: a name that answers differently the second
time gains nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from aiohttp.abc import AbstractResolver, ResolveResult

Network = IPv4Network | IPv6Network
_Address = IPv4Address | IPv6Address

_NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are the IPv4 address that is meant."""


_MORE = tuple(
    map(
        ip_network,
        (
            "192.0.0.0/24",  # RFC 6890: protocols of the IETF; Python knows a part of it
            "192.88.99.0/24",  # RFC 7526: relays of 6to4, which are no more
            "168.63.129.16/32",  # Azure's own services, seen from each of its machines
            "fec0::/10",  # RFC 3879: once private, and so still in use
            "3fff::/20",  # RFC 9637: documentation
        ),
    )
)
"""What is inside, or nobody's, and that Python takes for public."""


class ForbiddenAddress(OSError):
    """An address that must not be connected to. Its text does not name it."""


class AddressGuard:
    """Lets through public addresses, and those in one of the networks *allowed*."""

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    def permits(self, host: str) -> bool:
        """May the address *host*, IPv4 or IPv6, be connected to?"""
        try:
            address = ip_address(host)
        except ValueError:
            return False
        if any(address in network for network in self._allowed):
            return True
        inner = _embedded(address)
        if inner is not None:
            return self.permits(str(inner))
        if any(address in network for network in _MORE):
            return False
        return address.is_global and not (address.is_multicast or address.is_reserved)

    def resolver(self, inner: AbstractResolver) -> AbstractResolver:
        """*inner*, but a name with a forbidden address among its own does not resolve."""
        return _GuardedResolver(inner, self)

    def socket(self, info: tuple[int, int, int, str, Sequence[object]]) -> socket.socket:
        """
        A socket to connect to the address of *info*; aiohttp calls it for each address it tries.

        The resolver is not asked about a literal address in a URL: this is.

        Raises:
            ForbiddenAddress: it must not be connected to.
        """
        family, kind, protocol, _, where = info
        if not self.permits(str(where[0])):
            raise ForbiddenAddress("forbidden address")
        return socket.socket(family, kind, protocol)


class _GuardedResolver(AbstractResolver):
    def __init__(self, inner: AbstractResolver, guard: AddressGuard) -> None:
        self._inner = inner
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        # One bad address is enough: which of them is tried first is chance.
        if not all(self._guard.permits(one["host"]) for one in found):
            raise ForbiddenAddress("forbidden address")
        return found

    async def close(self) -> None:
        await self._inner.close()


def _embedded(address: _Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo is not None else None)
