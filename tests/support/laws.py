"""How many examples a law is tried on."""

from hypothesis import settings

QUICK = "quick"
USUAL = settings().max_examples

settings.register_profile(QUICK, max_examples=max(10, USUAL // 10))


def examples(count: int) -> int:
    """Return *count*, or what is left of it in the quick profile: an eighth or so, at least 10.

    A law with a count of its own does not follow the profile by itself.
    """
    return max(10, count * settings().max_examples // USUAL)
