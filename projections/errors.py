"""What can go wrong with projections and read models; each message is a sentence to act on."""


class ProjectionsError(Exception):
    """Something about a read model is not as it must be."""


class TooManyRoutesError(ProjectionsError):
    """An event would make a document follow more routes than it may."""


class UnreadableDocumentError(ProjectionsError):
    """A stored document is not what this release writes."""


class DocumentsMissingError(ProjectionsError):
    """The live generation has not all the documents that were written."""


class NoLiveGenerationError(ProjectionsError):
    """The read model is not there: never built, deleted, or being rebuilt."""
