"""Asking a fetch for a ref that may not be there. Pure.

``git ls-remote`` makes the server list every ref it has; a fetch names what it wants (gitprotocol-v2(5), ls-refs'
``ref-prefix``), but fails for a ref that is not there, unless a pattern asks for it. So each ref is asked for as a
pattern, and negative refspecs (git-fetch(1)) take away whatever else the pattern could match.
"""

from __future__ import annotations

import string

from orchestrator.core.names import RefName

# What git-check-ref-format(1) lets follow within a name.
_MAY_FOLLOW = string.ascii_letters + string.digits + "!\"#$%&'()+,-./;<=>@]_`{|}"


def if_there(ref: RefName, into: str) -> list[str]:
    """Refspecs that fetch this ref into ``into`` when the remote has it, and no other."""
    others = [f"^{ref}{follows}*" for follows in _MAY_FOLLOW if not (ref.value.endswith("@") and follows == "{")]
    return [f"+{ref}*:{into}*", *others]
