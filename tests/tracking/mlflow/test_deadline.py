import signal
import time

import pytest

from gigatok.config import GigatokError
from gigatok.tracking.mlflow.deadline import LimitedClient, call_seconds, deadline, seconds_of


def test_a_block_that_takes_too_long_is_interrupted_and_others_alarms_stay() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: heard.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.6)
    try:
        begin = time.monotonic()
        with pytest.raises(GigatokError, match="the call took longer than 0 s"), deadline(0.1, "the call"):
            time.sleep(5)
        assert time.monotonic() - begin < 2
        with deadline(5, "another"):
            pass
        time.sleep(1)
        assert heard == [signal.SIGALRM]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_each_call_of_a_client_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    class Client:
        def answer(self, value: int) -> int:
            return value

        def hang(self) -> None:
            time.sleep(30)

    monkeypatch.setattr("gigatok.tracking.mlflow.deadline.call_seconds", lambda: 0.1)
    client = LimitedClient(Client())
    assert client.answer(3) == 3
    with pytest.raises(GigatokError, match="MLflow's hang took longer"):
        client.hang()


def test_the_limit_follows_mlflows_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    assert call_seconds() == 60
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "soon")
    assert call_seconds() == 30


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "0", "-3", "soon", ""])
def test_what_is_no_number_of_seconds_means_the_default(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A thread that waits for ``nan`` seconds ends, and a call of infinitely many holds the feeder for ever."""
    monkeypatch.setenv("SOME_SECONDS", text)
    assert seconds_of("SOME_SECONDS", 10.0) == 10.0
    usual = call_seconds()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", text)
    assert call_seconds() == max(5.0, usual) < 60


def test_seconds_of_the_environment_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SECONDS", "0.5")
    assert seconds_of("SOME_SECONDS", 10.0) == 0.5
