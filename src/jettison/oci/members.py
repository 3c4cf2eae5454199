"""Members of archives that strangers made, for the tarfile module, which believes what they say."""

from __future__ import annotations

from tarfile import GNUTYPE_LONGLINK, GNUTYPE_LONGNAME, SOLARIS_XHDTYPE, XGLTYPE, XHDTYPE, TarInfo
from typing import Any

from jettison.errors import SourceError

_EXTENDED = (GNUTYPE_LONGNAME, GNUTYPE_LONGLINK, XHDTYPE, XGLTYPE, SOLARIS_XHDTYPE)
_LARGEST = 1 << 20


class CarefulMember(TarInfo):
    """Refuses, with SourceError, headers that would be read into memory whole, or backwards."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> CarefulMember:
        """One header block."""
        member = super().frombuf(buf, encoding, errors)
        if member.size < 0:
            raise SourceError("the archive has a member of negative size", hint="it was made to do harm")
        if member.type in _EXTENDED and member.size > _LARGEST:
            raise SourceError(
                f"the archive has an extended header of {member.size} bytes; at most {_LARGEST} are read",
                hint="it is broken, or was made to do harm",
            )
        return member
