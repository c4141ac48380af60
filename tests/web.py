"""A server on this machine, for tests of what comes from the web."""

import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Web:
    """Files by path, and how they are served.

    Attributes:
        cut: bytes after which the connection breaks, once, by path.
        ranges: whether a part of a file can be asked for.
        asked: the path and range of each request.
    """

    def __init__(self):
        self.files, self.cut, self.ranges, self.asked = {}, {}, True, []
        self.address = ""

    def put(self, name, content):
        """Serve a file; its address."""
        self.files[f"/{name}"] = content
        return f"{self.address}/{name}"


@contextmanager
def served():
    """A running server."""
    web = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers.get("Range")
            web.asked.append((self.path, asked))
            content = web.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            match = re.fullmatch(r"bytes=(\d+)-", asked or "") if web.ranges else None
            start = int(match[1]) if match else 0
            self.send_response(206 if match else 200)
            if match:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            stop = web.cut.pop(self.path, len(content))
            self.wfile.write(content[start : max(start, stop)])
            self.close_connection = True

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
