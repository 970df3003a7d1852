"""The one exception that is meant for a person."""


class NopalError(ValueError):
    """Bad input, told in one sentence: what was wrong, what was expected, what to do.

    The command line prints the sentence and exits with status 2; library users may catch it as a `ValueError`.
    """
