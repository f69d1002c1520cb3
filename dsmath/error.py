"""What a verb may end with besides its result: two exceptions, and the code with which the process exits.

Launchers act on the code: 2 is for a person, and isn't tried again; on 75 the same command is run again, and goes on.
"""

USER_ERROR = 2
TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h


class UserError(Exception):
    """What a user can mend. The text is one line: the value, what was expected, the way out."""


class Preempted(Exception):
    """What ended from outside: the same command goes on where it was. Verbs exit with 75 (EX_TEMPFAIL)."""
