"""Accounts of annotators on a server of ours: made through the invitation link, as a person would."""

from __future__ import annotations

import json
import re
import secrets
from typing import Final

from figureground.annotate.studio.client import TIMEOUT_SECONDS, StudioClient
from figureground.annotate.studio.home import StudioHome, write_secret
from figureground.errors import ServiceError

DOMAIN: Final = "figureground.local"
_TOKEN_FIELD: Final = re.compile(r'name="csrfmiddlewaretoken"\s+value="([^"]+)"')


def ensure_account(client: StudioClient, home: StudioHome, annotator: str) -> str:
    """The address that an annotator logs in with; the account is made if there is none.

    The password is drawn here and kept in ``accounts.json``, mode 0600, for the maintainer to hand over.

    Raises:
        ServiceError: if the server does not make the account.
    """
    address = f"{annotator.lower()}@{DOMAIN}"
    known = accounts(home)
    if address in known and any(user.email == address for user in client.users()):
        return address
    password = known.get(address) or secrets.token_urlsafe(12)
    # Kept before it is used: an account whose password is lost is worse than a password without an account.
    write_secret(home.root / "accounts.json", json.dumps({**known, address: password}, indent=1, sort_keys=True))
    _sign_up(client, address, password)
    return address


def accounts(home: StudioHome) -> dict[str, str]:
    """Passwords of the accounts that we made, by address."""
    try:
        return dict(json.loads((home.root / "accounts.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}


def _sign_up(client: StudioClient, address: str, password: str) -> None:
    import httpx

    # The API makes accounts whose passwords do not work, so the form is filled in.
    page = client.invitation()
    with httpx.Client(base_url=client.connection.url, timeout=TIMEOUT_SECONDS, follow_redirects=True) as browser:
        try:
            form = _TOKEN_FIELD.search(browser.get(page).text)
            fields = {"email": address, "password": password, "csrfmiddlewaretoken": form.group(1) if form else ""}
            browser.post(page, data=fields, headers={"Referer": f"{client.connection.url}{page}"})
            made = browser.get("/api/current-user/whoami")
        except httpx.HTTPError as error:
            raise ServiceError(f"{client.connection.url} stopped answering while signing up {address}") from error
    if made.status_code != 200 or made.json().get("email") != address:
        raise ServiceError(f"{client.connection.url} did not make an account for {address}")
