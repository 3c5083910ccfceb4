"""Showing database URLs without their passwords."""

from __future__ import annotations

import re

# Up to the last @ of the line: a password may hold any character.
_AFTER_USER = re.compile(r"(://[^\s:/@]*):[^\n]*@")
_IN_QUERY = re.compile(r"([?&;](?:ssl)?password=)[^&\s'\"]*", re.IGNORECASE)


def without_passwords(text: str) -> str:
    """A text with the password of every URL in it replaced by `***`.

    >>> without_passwords("postgresql://me:p@ss/word@host/journey?sslpassword=x cannot be opened")
    'postgresql://me:***@host/journey?sslpassword=*** cannot be opened'
    """
    if "://" not in text:
        return text
    return _IN_QUERY.sub(r"\1***", _AFTER_USER.sub(r"\1:***@", text))
