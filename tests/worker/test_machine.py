"""What the machine and the container agent tell: the Spot notice and the log's name."""

import http.server
import io
import json
import socket
import threading

import pytest

from worker import stop_signals
from worker.journal import Journal
from worker.logs import log_stream
from worker.stop_signals import SpotNotice, Stop


@pytest.fixture
def answers():
    """A server on this machine; its answers are a list of (code, body) by method and path."""
    given = {}
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self):
            seen.append((self.command, self.path, dict(self.headers)))
            code, body = given[self.command, self.path].pop(0)
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = _answer  # noqa: N815 - names of http.server

        def log_message(self, *_given):
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", given, seen
    server.shutdown()
    server.server_close()


TOKEN = ("PUT", "/latest/api/token")
ACTION = ("GET", "/latest/meta-data/spot/instance-action")


def test_the_token_comes_first_and_404_means_no_notice(answers):
    endpoint, given, seen = answers
    given[TOKEN] = [(200, b"secret-token")]
    given[ACTION] = [(404, b""), (200, b'{"action": "stop", "time": "2026-11-20T23:00:00Z"}')]
    notice = SpotNotice(endpoint + "/")
    assert notice.read() is None
    assert notice.read() == "Spot notice: stop at 2026-11-20T23:00:00Z"
    assert [(method, path) for method, path, _ in seen] == [TOKEN, ACTION, ACTION]
    assert seen[1][2]["X-Aws-Ec2-Metadata-Token"] == "secret-token"


def test_an_old_token_is_taken_anew(answers):
    endpoint, given, _ = answers
    given[TOKEN] = [(200, b"one"), (200, b"two")]
    given[ACTION] = [(401, b""), (200, b"not json")]
    notice = SpotNotice(endpoint)
    assert notice.read() is None
    assert notice.read() == "Spot notice: not json"


@pytest.fixture
def watch(monkeypatch):
    """Watches for notices to the end; what was said, and why to stop."""
    monkeypatch.setattr(stop_signals, "POLL_S", 0.001)

    def watch(endpoint):
        stop, stream = Stop(), io.StringIO()
        stop_signals._watch(SpotNotice(endpoint), stop, threading.Event(), Journal(stream))
        return [json.loads(line) for line in stream.getvalue().splitlines()], stop.reason

    return watch


def test_a_metadata_service_that_fails_at_first_is_asked_again(answers, watch):
    endpoint, given, _ = answers
    given[TOKEN] = [*[(503, b"")] * 3, (200, b"token")]
    given[ACTION] = [*[(500, b"")] * 9, (200, b'{"action": "stop", "time": "x"}')]
    given[ACTION][0] = (404, b"")
    assert watch(endpoint) == ([], ("spot", "Spot notice: stop at x"))


def test_one_that_never_answers_is_given_up_and_told_of_once(answers, watch):
    endpoint, given, seen = answers
    given[TOKEN] = [(503, b"")] * 9
    ((event,), reason) = watch(endpoint)
    assert (event["event"], reason) == ("no_spot_notices", None)
    assert [method for method, _, _ in seen] == ["PUT"] * 5
    ((event,), _) = watch("http://127.0.0.1:9")
    assert event["event"] == "no_spot_notices"


@pytest.mark.parametrize("code", [403, 404])
def test_one_that_has_no_token_to_give_is_given_up_at_once(answers, watch, code):
    endpoint, given, seen = answers
    given[TOKEN] = [(code, b"")]
    ((event,), _) = watch(endpoint)
    assert event["event"] == "no_spot_notices"
    assert str(code) in event["why"]
    assert len(seen) == 1


def test_an_answer_that_is_no_http_is_no_end_of_the_watch(watch):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            for _ in range(5):
                connection, _ = server.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"what?\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        ((event,), _) = watch(f"http://127.0.0.1:{server.getsockname()[1]}")
    assert event["event"] == "no_spot_notices"


@pytest.mark.parametrize("code", [403, 500])
def test_other_answers_are_errors_of_the_service(answers, code):
    endpoint, given, _ = answers
    given[TOKEN] = [(200, b"one")]
    given[ACTION] = [(code, b"")]
    with pytest.raises(OSError, match=str(code)):
        SpotNotice(endpoint).read()


def test_a_proxy_is_never_asked(answers, monkeypatch):
    endpoint, given, _ = answers
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    given[TOKEN] = [(200, b"one")]
    given[ACTION] = [(404, b"")]
    assert SpotNotice(endpoint).read() is None


@pytest.mark.parametrize(
    ("code", "body", "name"),
    [
        (200, {"LogOptions": {"awslogs-stream": "drydock/default/abc"}}, "drydock/default/abc"),
        (200, {"LogOptions": {}}, None),
        (200, [], None),
        (500, {}, None),
    ],
)
def test_the_log_stream_is_what_the_agent_says(answers, monkeypatch, code, body, name):
    endpoint, given, _ = answers
    given["GET", "/v4/abc"] = [(code, json.dumps(body).encode())]
    monkeypatch.setenv("ECS_CONTAINER_METADATA_URI_V4", f"{endpoint}/v4/abc")
    assert log_stream() == name


@pytest.mark.parametrize("endpoint", ["", "file:///etc/passwd", "http://127.0.0.1:9/v4"])
def test_without_an_agent_there_is_no_log_stream(monkeypatch, endpoint):
    monkeypatch.setenv("ECS_CONTAINER_METADATA_URI_V4", endpoint)
    assert log_stream() is None


def test_a_log_that_cannot_be_written_does_not_lose_the_work():
    stream = io.StringIO()
    journal = Journal(stream, run="a").about(index=3)
    journal.say("part", part=1)
    assert json.loads(stream.getvalue()) == {"event": "part", "run": "a", "index": 3, "part": 1}
    stream.close()
    journal.say("part", part=2)
