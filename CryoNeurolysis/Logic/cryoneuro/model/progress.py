"""How long work reports progress and learns that it is no longer wanted."""

from collections.abc import Callable

Progress = Callable[[float, str], None]
"""Called as progress(fraction, text) with fraction in 0..1."""

Cancelled = Callable[[], bool]
"""Returns True when the work should stop."""


def no_progress(fraction: float, text: str) -> None:
    """Progress for callers who do not want any."""


def never_cancelled() -> bool:
    """Cancellation for callers who never cancel."""
    return False
