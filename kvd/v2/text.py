"""Keys and values: text in memory, bytes in the log, on the disk and in the tree."""

from __future__ import annotations


def text_bytes(text: str) -> bytes:
    """
    The bytes that a key or value stands for.

    A lone surrogate that stands for no byte is written as its three bytes, so that
    there is no text without an encoding.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return b"".join(
            letter.encode(
                "utf-8",
                "surrogateescape"
                if "\udc80" <= letter <= "\udcff"
                else "surrogatepass",
            )
            for letter in text
        )
