"""What went wrong on a connection, as far as possible in the words that Go has for it."""

from __future__ import annotations

import os
import re
import ssl
from http.client import BadStatusLine, HTTPException, IncompleteRead, RemoteDisconnected
from typing import Final

from kvd.golang import quote

_ALERT: Final = re.compile(r"(?:SSLV3|TLSV1|TLSV13)_ALERT_(.+)")
_ALERTS: Final = {
    "UNKNOWN_CA": "unknown certificate authority",
    "CERTIFICATE_REQUIRED": "certificate required",
}
_UNKNOWN_AUTHORITY: Final = frozenset({2, 18, 19, 20, 21})
"""OpenSSL's verdicts on a chain that does not lead to somebody trusted."""
_NOT_NOW: Final = frozenset({9, 10})


class CutOff(HTTPException):
    """An answer that ends before its end."""


def of(error: Exception, way: str) -> tuple[str, bool]:
    """
    The words, and whether it was the connection that failed.

    :param way: from where to where it went, empty if that is not known.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate(error), False
    if isinstance(error, ssl.SSLError):
        return _tls(error), False
    if isinstance(error, RemoteDisconnected):
        return "EOF", False
    if isinstance(error, ConnectionResetError):
        return f"read tcp {way}: read: connection reset by peer", True
    if isinstance(error, CutOff | IncompleteRead):
        return "unexpected EOF", False
    if isinstance(error, BadStatusLine):
        line = quote(str(error).strip("'\r\n").encode("latin-1", "replace"))
        return (
            "net/http: HTTP/1.x transport connection broken: "
            f"malformed HTTP response {line}"
        ), False
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower(), False
    return str(error) or type(error).__name__, False


def _certificate(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _UNKNOWN_AUTHORITY:
        return "x509: certificate signed by unknown authority"
    if error.verify_code in _NOT_NOW:
        return "x509: certificate has expired or is not yet valid"
    return f"x509: {error.verify_message.rstrip('.').lower()}"


def _tls(error: ssl.SSLError) -> str:
    reason = error.reason or ""
    alert = _ALERT.fullmatch(reason)
    if alert:
        said = _ALERTS.get(alert[1], alert[1].replace("_", " ").lower())
        return f"remote error: tls: {said}"
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST"}:
        return "http: server gave HTTP response to HTTPS client"
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "EOF"
    return f"tls: {reason.replace('_', ' ').lower() or error}"
