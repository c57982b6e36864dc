"""No message shows a token, whoever repeats it: one place masks them all."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from figureground.annotate.studio.home import Connection
from figureground.annotate.studio.requests import status_error
from figureground.cli.app import main
from figureground.console import emit, say
from figureground.errors import DataError, ServiceError, masked
from figureground.exports.evaluation.values import EvaluationError, plain_line
from figureground.exports.evaluation.values import masked as scored_masked
from figureground.runtime.failures import write_traceback
from figureground.schemas.store.workspace import Workspace

CANARY = "canary0123456789abcdef0123456789abcdef01"


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", CANARY)
    return CANARY


class Echo(BaseHTTPRequestHandler):
    """A server that answers every request with what it was sent."""

    def do_GET(self) -> None:
        body = json.dumps({"detail": f"refused: {self.headers['Authorization']}"}).encode()
        self.send_response(int(self.path.rpartition("?")[2] or 403) if "?" in self.path else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def echo() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_errors_and_output_hold_no_secret(token: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    texts = [
        str(ServiceError(f"refused {token}")),
        str(EvaluationError(f"refused {token}")),
        str(DataError.single(f"hf://{token}", token, expected="a", got=f"Bearer {token}")),
        Path(write_traceback(ValueError(token))).read_text(),
    ]
    say(f"sent {token}")
    emit({"url": f"http://x/?{token}"}, as_json=True, text="")
    emit({}, as_json=False, text=f"token {token}")
    printed = capsys.readouterr()
    for text in [*texts, printed.out, printed.err]:
        assert "***" in text
        assert token not in text


def test_what_a_file_keeps_is_a_secret_as_soon_as_it_is_read() -> None:
    secret, password = "f" * 30 + "0123456789", "pass-word-of-ours"
    before = masked(f"{secret} {password}")
    Connection(url="http://x", token=secret, server="s", key="k", username="u", password=password)
    assert before == f"{secret} {password}"
    assert masked(f"{secret} {password} {secret[:7]}") == f"*** *** {secret[:7]}"


@pytest.mark.parametrize("redact", [masked, scored_masked])
def test_other_spellings_and_halves_of_a_secret_are_masked(
    redact: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = 'canary of/the "store"+?é0123456789'
    for name in ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_CONNECTION_STRING", "MY_TOKEN"):
        with monkeypatch.context() as patch:
            patch.setenv(name, secret)
            for before in ("", "u:", "ab:", "abc:"):
                coded = base64.b64encode(f"{before}{secret}".encode())
                for text in (coded.decode(), coded.translate(bytes.maketrans(b"+/", b"-_")).decode()):
                    shown = redact(f"Basic {text}")
                    assert "***" in shown
                    assert len(shown) < 20
            assert redact(f"at {quote(secret, safe='')}, {json.dumps(secret)} and {secret}") == 'at ***, "***" and ***'
    monkeypatch.setenv("HF_TOKEN", CANARY)
    for length in range(260, 310):
        assert CANARY[:8] not in str(status_error("http://x", 500, "GET /", "x" * length + CANARY))
        assert CANARY[:8] not in plain_line("x" * length + CANARY)
    fault = DataError.single("a", "", expected="b", got="x" * 980 + CANARY)
    assert CANARY[:8] not in str(fault)


def test_signatures_of_addresses_are_left_out() -> None:
    signed = "https://s3.example/data?X-Amz-Signature=abc&x=1 and https://huggingface.co/api?page=2"
    assert masked(signed) == "https://s3.example/data and https://huggingface.co/api?page=2"


def test_a_server_that_repeats_the_token_does_not_bring_it_to_the_screen(
    token: str, echo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("label_studio_sdk")
    Workspace.create(tmp_path / "work").close()
    with pytest.raises(SystemExit) as ended:
        main(["studio", "up", "-w", str(tmp_path / "work"), "--url", echo])
    stderr = capsys.readouterr().err
    assert ended.value.code == 2
    assert "refused: Token ***" in stderr
    assert token not in stderr
