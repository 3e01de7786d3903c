"""A consumer of callbacks: proves each event, remembers its id, does the work once.

dashscribe callbacks add http://127.0.0.1:9000/asr-done    # the server needs DASHSCRIBE_FETCH_ALLOW=127.0.0.1
python examples/callback_consumer.py
"""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from dashscribe.callbacks import Event, SignatureError, verify

SERVER = "http://127.0.0.1:8000"  # whose certificates count: your dashscribe, as DASHSCRIBE_PUBLIC_URL names it
URL = "http://127.0.0.1:9000/asr-done"  # as the target was added
seen: set[str] = set()  # in earnest: a table with a unique key


def handle(event: Event) -> None:
    """What is to be done with a task that has ended; answer soon, work later."""
    if event.type != "dashscope:System:AsyncTaskFinish":
        return  # a test
    output = event.body["data"]["output_result"]["output"]
    print(event.task_id, event.status, output)


class Consumer(BaseHTTPRequestHandler):
    """Answers 204 for an event that was taken, now or before, and 401 for what cannot be proved."""

    def do_POST(self) -> None:
        """Take an event."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            event = verify(URL, dict(self.headers), body, server=SERVER)
        except SignatureError as error:
            self.log_error("refused: %s", error)
            self.send_error(401)
            return
        if event.id not in seen:
            handle(event)
            seen.add(event.id)
        self.send_response(204)
        self.end_headers()


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", 9000), Consumer).serve_forever()
