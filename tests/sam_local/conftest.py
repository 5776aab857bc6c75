"""What these tests share with those of the embedded AWS."""

from tests.embedded.conftest import eventually

__all__ = ["eventually"]
