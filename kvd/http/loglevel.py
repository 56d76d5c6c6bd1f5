"""``/config/local/log``: how much is logged, from now on (V2-SPEC 13)."""

from __future__ import annotations

from kvd.http import answers, documents
from kvd.http.diagnosis import Diagnosis
from kvd.http.exchange import Request, Response

PATH = "/config/local/log"
BODY_BYTES_MAX = 4096
_BODY = documents.Struct("LogLevel", {"Level": documents.Kind.TEXT})
_INVALID_BODY = answers.message(400, "Invalid json body")
_DONE = Response(204, b"", b"", framed=False)
_NOT_OURS = answers.message(
    501, "The log belongs to the program that this member is a part of"
)
# Etcd's word and its short forms, and ours for it.
_LEVELS = {
    word: level
    for words, level in (
        (("CRITICAL", "C"), "fatal"),
        (("ERROR", "0", "E"), "error"),
        (("WARNING", "1", "W"), "warn"),
        (("NOTICE", "2", "N"), "info"),  # there is no such level here
        (("INFO", "3", "I"), "info"),
        (("DEBUG", "4", "D"), "debug"),
        (("TRACE", "5", "T"), "debug"),
    )
    for word in words
}


class LogLevel:
    """Changes it."""

    def __init__(self, diagnosis: Diagnosis, *, json_depth_max: int) -> None:
        self._diagnosis = diagnosis
        self._json_depth_max = json_depth_max

    def put(self, request: Request) -> Response:
        """The body says it: ``{"Level":"DEBUG"}``."""
        if request.form_problem:
            return _INVALID_BODY
        try:
            document = documents.read_first(
                request.body, depth_max=self._json_depth_max
            )
            shown = documents.fields_of(document, _BODY).text("Level")
        except documents.BadDocumentError:
            return _INVALID_BODY
        level = _LEVELS.get(shown.upper())
        if level is None:
            return answers.message(400, f"Invalid log level {shown}")
        return _DONE if self._diagnosis.log_from(level) else _NOT_OURS
