"""One family of errors. A message says what is wrong, the value, and what to do, in words a radiologist understands."""


class CryoNeuroError(ValueError):
    """Base of every error that this package raises on purpose; its text may be shown to the user as it is."""

    exit_code = 1


class ImageError(CryoNeuroError):
    """The image cannot be used: missing, not a CT, incomplete, tilted, ambiguous."""

    exit_code = 3


class KnowledgeError(CryoNeuroError):
    """A nerve, probe, protocol or data record is unknown or wrong."""

    exit_code = 4


class AnatomyError(CryoNeuroError):
    """The anatomy that a step needs cannot be found in this image."""

    exit_code = 5


class PlanningError(CryoNeuroError):
    """No path can be planned, or a path is not usable."""

    exit_code = 6


class ThermalError(CryoNeuroError):
    """The freezing cannot be simulated as asked."""

    exit_code = 7


class AssessmentError(CryoNeuroError):
    """The run cannot be assessed as asked."""

    exit_code = 8


class CaseError(CryoNeuroError):
    """The case folder cannot be read or written."""

    exit_code = 9


class GuidanceError(CryoNeuroError):
    """A live scan cannot be received, placed or read."""

    exit_code = 10


class CancelledError(CryoNeuroError):
    """The user stopped a long step."""

    exit_code = 130
