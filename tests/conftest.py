"""Options and fixtures that all tests share."""

from __future__ import annotations

import signal

import pytest

for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(each) is signal.SIG_IGN:  # as a job in the background, or under nohup
        heard = signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL
        signal.signal(each, heard)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite expected text; read the difference"
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be rewritten from what the code gives now."""
    return bool(request.config.getoption("--update-golden"))
