"""A small client of mailbell's mail API, in the flat dialect that needs no mailbox in the path.

    from multimail_sdk import MultimailClient

    with MultimailClient(api_key="mb_api_…") as client:
        for message in client.check_inbox(mailbox="agent@mailbell.test", unread_only=True)["messages"]:
            print(client.read_email(message["message_id"])["body_text"])
            client.tag_email(message["message_id"], ["handled"])

`mailbell token show api` prints the key. Copy this file beside yours, and `pip install httpx`; there is nothing else to it.
"""

from __future__ import annotations

import os
from urllib.parse import quote

import httpx

#: Where `mailbell serve` answers unless its `api.addr` says otherwise; the variable MULTIMAIL_API_URL wins over it.
DEFAULT_URL = "http://127.0.0.1:7413"


class MultimailError(Exception):
    """The API refused: `str()` is its own sentence on what to do, `status` the HTTP status.

    `retry_after_secs` is set where it asks to wait, as with status 429.
    """

    def __init__(self, status: int, sentence: str, retry_after_secs: float | None = None):
        super().__init__(sentence)
        self.status = status
        self.retry_after_secs = retry_after_secs


class MultimailClient:
    """Reads and tags mail. Threads may share one; it keeps its connections until `close()`.

    `timeout_secs` is for each request. A service that cannot be reached raises `httpx.TransportError`.
    """

    def __init__(self, api_key: str, base_url: str | None = None, timeout_secs: float = 30.0):
        base_url = base_url or os.environ.get("MULTIMAIL_API_URL") or DEFAULT_URL
        self._http = httpx.Client(
            base_url=base_url.rstrip("/"), headers={"Authorization": f"Bearer {api_key}"}, timeout=timeout_secs
        )

    def check_inbox(
        self,
        mailbox: str | None = None,
        thread_id: str | None = None,
        unread_only: bool = False,
        limit: int | None = None,
    ) -> dict:
        """Messages, the newest first, under `messages`; `mailbox` is an address or an id, all of them if it is left out.

        Each has `message_id`, `thread_id`, `from`, `subject`, `snippet`, `status`, `tags`, and no text: see `read_email`.
        """
        wanted = {"mailbox": mailbox, "thread_id": thread_id, "limit": limit}
        query = {name: value for name, value in wanted.items() if value is not None}
        if unread_only:
            query["unread_only"] = "true"
        return self._call("GET", "/v1/inbox", params=query)

    def read_email(self, message_id: str) -> dict:
        """The message with its text, under `body_text`. It counts as read from then on."""
        return self._call("GET", f"/v1/emails/{_segment(message_id)}")

    def tag_email(self, message_id: str, tags: list[str]) -> dict:
        """Adds `tags` to those that the message has, and answers with all of them."""
        return self._call("POST", f"/v1/emails/{_segment(message_id)}/tag", json={"tags": list(tags)})

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

    def __enter__(self) -> MultimailClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, method: str, path: str, **parts) -> dict:
        answer = self._http.request(method, path, **parts)
        if answer.is_success:
            return answer.json()
        try:
            sentence = answer.json()["error"]
        except (ValueError, KeyError, TypeError):
            sentence = f"the mail API answered {answer.status_code}"
        wait = answer.headers.get("Retry-After")
        raise MultimailError(answer.status_code, sentence, float(wait) if wait else None)


def _segment(text: str) -> str:
    """`text` as one segment of a path, whatever is in it."""
    return quote(text, safe="")
