"""The one exception a user is meant to read."""


class TetherError(Exception):
    """Something the user can put right; the message is one line that names the valid choices or the remedy.

    The command line prints it as ``tether: error: MESSAGE`` and exits with ``exit_code``, without a traceback.
    """

    exit_code = 2


def unknown(kind: str, name: str, valid: "list[str] | tuple[str, ...]") -> TetherError:
    """The error for a name that is not registered: says what was asked for and every name that would have worked."""
    return TetherError(f"unknown {kind} {name!r}; choose one of: {', '.join(sorted(valid)) or '(none registered)'}")
