"""The server does what its OpenAPI document says, whatever it is asked."""

import warnings
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import schemathesis
from anyio import to_thread
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.server.plain.streams import Asker, asker
from tests.server.plain.test_docs import ROUTES
from tests.server.scene import Scene
from tests.server.serving import staged

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SCENE = Scene(scripts={None: "fine"})
MODES = {"right": GenerationMode.POSITIVE, "wrong": GenerationMode.NEGATIVE}
