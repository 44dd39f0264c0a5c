# SPDX-License-Identifier: MIT
"""Takes out of texts what tells who somebody is, for a report that is shown to others.

Each name gets a short token, the same one each time (`peer-1`, `address-2`), so that it can
still be followed through a report. What is known by its value goes first (names of networks,
this machine, its folders), then whatever has the form of a peer id, an address, a path, or a
long row of letters and digits, which may be a secret.
"""

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address

_PEER = re.compile(r"\b(?:12D3Koo|Qm|16Uiu2)[1-9A-HJ-NP-Za-km-z]{20,}")
_INVITE = re.compile(r"commons://[^\s'\"`]+", re.IGNORECASE)
_MULTIADDR = re.compile(r"/(?:ip4|ip6|dns|dns4|dns6)/[^\s/'\"`,;)\]]+(?:/(?:tcp|udp)/\d+)?")
_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://[^\s'\"`,;]+", re.IGNORECASE)
_PLACE = re.compile(r"(?<![\w.:])\[?[0-9A-Fa-f:.]{2,60}\]?(?!\w)")
_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
_PATH = re.compile(r"(?<![\w/.:-])(?:/[^\s'\"`,;:()\[\]]+|[A-Z]:\\[^\s'\"`,;]+)")

#: The kind of known values below which nothing is shown: a path there is somebody's own.
HOME = "home"
_BELOW = r"(?:/[^\s'\"`,;:()\[\]]+)?"

# Sixteen hex digits are a digest or an id; 24 mixed characters may be a key in some other form.
_HEX = re.compile(r"(?<![A-Za-z0-9])[0-9a-fA-F]{16,}(?![A-Za-z0-9])")
_TOKEN = re.compile(r"(?<![A-Za-z0-9_])(?=[A-Za-z0-9+_=]*\d)[A-Za-z0-9+_=]{24,}")

#: What a path may begin with and tell nobody anything; the rest is somebody's.
_PUBLIC_PATHS = ("/proc", "/sys", "/dev", "/run/systemd", "/commons/", "/v1/", "/p2p/")

#: Words of this program, which a name of a network or a machine may be as well.
_OURS = frozenset({"commons", "localhost", "root", "user", "home", "node", "open", "private"})


class Redactor:
    """Replaces what may not be shown. One of them for one report, so that tokens agree."""

    def __init__(self, known: Mapping[str, Iterable[str]] | None = None) -> None:
        """`known` are values that are to go wherever they stand, by the name of their token."""
        self._tokens: dict[str, dict[str, str]] = {}
        self._known: list[tuple[re.Pattern[str], str]] = []
        values = [(each, kind) for kind, texts in (known or {}).items() for each in texts]
        for text, kind in sorted(set(values), key=lambda each: (-len(each[0]), each)):
            if text and text.lower() not in _OURS:
                token = self._token(kind, text)
                below = _BELOW if kind == HOME else ""
                bounded = rf"(?<!\w){re.escape(text)}{below}(?!\w)"
                self._known.append((re.compile(bounded, re.IGNORECASE), token))

    def text(self, text: str) -> str:
        """Redact one text."""
        text = _INVITE.sub(lambda found: self._token("invite", found[0]), text)
        text = _URL.sub(lambda found: self._token("url", found[0]), text)
        for pattern, token in self._known:
            text = pattern.sub(token, text)
        text = _PEER.sub(lambda found: self._token("peer", found[0]), text)
        text = _MULTIADDR.sub(self._address, text)
        text = _PLACE.sub(self._place, text)
        text = _MAIL.sub(lambda found: self._token("mail", found[0]), text)
        text = _PATH.sub(self._path, text)
        text = _HEX.sub(lambda found: self._token("id", found[0].lower()), text)
        return _TOKEN.sub(lambda found: self._token("secret", found[0]), text)

    def value(self, value: object) -> object:
        """Redact whatever JSON knows; the names of fields are this program's and stay."""
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {self.text(str(name)): self.value(each) for name, each in value.items()}
            case list() | tuple():
                return [self.value(each) for each in value]
            case None | bool() | int() | float():
                return value
        return type(value).__name__

    def whole(self, kind: str, value: str) -> str:
        """Replace a value as a whole, whatever it looks like."""
        return self._token(kind, value) if value else ""

    def _address(self, found: re.Match[str]) -> str:
        host = found[0].split("/")[2]
        return found[0] if _tells_nothing(host) else self._token("address", found[0])

    def _place(self, found: re.Match[str]) -> str:
        """Replace an address of the internet; a time of day has colons, too."""
        text = found[0]
        end = text[len(text.rstrip(".:")) :]
        bare = text.rstrip(".:")
        if bare.count(":") == 1:  # an IPv4 address and its port
            bare, _, port = bare.partition(":")
            end = f":{port}{end}"
        bare = bare.strip("[]")
        try:
            ip_address(bare)
        except ValueError:
            return text
        return text if _tells_nothing(bare) else self._token("address", bare) + end

    def _path(self, found: re.Match[str]) -> str:
        text = found[0]
        if text.startswith((*_PUBLIC_PATHS, "/ip4/", "/ip6/", "/dns")) or text.count("/") < 2:
            return text
        return self._token("path", text)

    def _token(self, kind: str, value: str) -> str:
        known = self._tokens.setdefault(kind, {})
        return known.setdefault(value, f"{kind}-{len(known) + 1}")


def _tells_nothing(host: str) -> bool:
    """Whether an address is the same on every machine: loopback, or all interfaces."""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_unspecified
