"""The one exception for what a user can correct, and what damaged files raise before it is one."""


class UserError(Exception):
    """A mistake in the data, the configuration or the set-up.

    The message names the study, file or key, says what is wrong and what to do. It is shown without a traceback.
    """


# What follows from content that is not what it should be, in code that takes it apart.
DAMAGED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, MemoryError, OSError)
