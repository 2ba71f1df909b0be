"""How many examples a law is tried on; and none of them against the clock."""

from hypothesis import settings

QUICK, TIMELESS = "quick", "timeless"
USUAL = settings().max_examples

# A busy machine may stand still in the middle of any example.
settings.register_profile(TIMELESS, deadline=None)
settings.load_profile(TIMELESS)
settings.register_profile(QUICK, max_examples=max(10, USUAL // 10))


def examples(count: int) -> int:
    """Return *count*, or what is left of it in the quick profile: an eighth or so, at least 10.

    A law with a count of its own does not follow the profile by itself.
    """
    return max(10, count * settings().max_examples // USUAL)
