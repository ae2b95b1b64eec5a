"""The one exception for what a user can correct."""


class UserError(Exception):
    """A mistake in the data, the configuration or the set-up.

    The message names the study, file or key, says what is wrong and what to do. It is shown without a traceback.
    """
