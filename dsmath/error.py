"""The one exception that a user may see."""


class UserError(Exception):
    """Something a user can mend. One line: the value, what was expected, the way out.

    The command line prints it without a traceback and exits with status 2.
    """
