"""What a run has spent."""

from drydock.services import Services


def spent_usd(services: Services, *, at_least_s: float) -> float:
    """What the run has spent; ``at_least_s`` are the vCPU-seconds that are known."""
    return at_least_s * services.settings.vcpu_hour_usd / 3600
