"""Properties are tried as often as a second allows, and are never judged by the clock."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "drydock",
    deadline=None,
    max_examples=60,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.load_profile("drydock")
