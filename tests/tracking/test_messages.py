import io
from urllib.parse import quote

import pytest

from gigatok.tracking.messages import MaskedStream, mask, one_line, without_user

PASSWORDS = ("secret", "s3cr/et", "s@cret", "p%40ss word".replace(" ", ""), "ü-ß-geheim")


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("scheme", ["http", "https", "postgresql+psycopg2", "mysql"])
def test_no_spelling_of_a_password_is_left_in_other_libraries_texts(scheme: str, password: str) -> None:
    address = f"{scheme}://me:{password}@server:5000/x"
    quoted = f"{scheme}://me:{quote(password, safe='')}@server:5000/x"
    texts = (
        f"API request to {address}/api failed",
        f"could not connect: password authentication for {password} failed",
        f"{quoted} refused",
        f"(Background on this error: url={address!r})",
    )
    for text in texts:
        for known in (address, quoted):
            shown = mask(text, known)
            assert password not in shown, text
            assert quote(password, safe="") not in shown, text
    assert "server:5000" in mask(texts[0], quoted)


def test_forms_of_secrets_are_masked_without_knowing_them() -> None:
    text = "https://u:pw@h/x?access_token=abc123&user=u Authorization: Basic dTpwdw== Bearer eyJhbGciOi password='x y'"
    shown = mask(text)
    for secret in ("pw@", "abc123", "dTpwdw==", "eyJhbGciOi", "'x"):
        assert secret not in shown
    assert "user=u" in shown


@pytest.mark.parametrize("password", ["p/w", "p/w?x#y", "1/2", "a@b/c:d"])
def test_a_password_with_a_slash_is_masked_without_knowing_it(password: str) -> None:
    for text in (f"postgresql://u:{password}@h/db", f"--storage 'postgresql+x://u:{password}@h:5432/db': no driver"):
        assert password not in mask(text)
        assert "@h" in mask(text)
        assert password[-3:] not in without_user(text)
    assert mask("http://server:5000/x refused, me@home") == "http://server:5000/x refused, me@home"


def test_passwords_of_the_environment_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter22")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:other77@host")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    assert mask("401 for hunter22 and other77: false") == "401 for *** and ***: false"


@pytest.mark.parametrize("address", ["http://[::1", "http://a b:c@d", "://", "", "http://u:p@", "\0", "sqlite:///%zz"])
def test_what_is_no_address_is_shown_all_the_same(address: str) -> None:
    assert "u:p" not in without_user(address)


def test_control_characters_and_further_lines_do_not_reach_the_terminal() -> None:
    assert one_line("a\x1b[31mb\x07\u202ec") == "a\\x1b[31mb\\x07\\u202ec"
    assert one_line(ValueError("\n  first\x1b \nsecond")) == "first\\x1b"
    assert one_line(ValueError()) == "ValueError"
    assert len(one_line("word " * 500)) < 420


def test_a_log_is_masked_as_it_is_written() -> None:
    stream = io.StringIO()
    print("trace http://me:pw1234@host\npw1234", file=MaskedStream(stream, "http://me:pw1234@host"), flush=True)
    assert stream.getvalue() == "trace http://***@host\n***\n"
