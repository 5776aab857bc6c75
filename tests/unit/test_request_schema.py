"""The published schema of a request is the model's own; `make schema` writes it."""

import json
from pathlib import Path

from drydock.request import request_schema

PUBLISHED = Path(__file__).parents[2] / "docs" / "request.schema.json"


def test_the_published_schema_is_that_of_the_model():
    assert json.loads(PUBLISHED.read_text()) == request_schema()
