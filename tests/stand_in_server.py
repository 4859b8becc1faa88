"""A web server on loopback that also answers as the Hugging Face hub does, with the faults that a test asks for."""

import contextlib
import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = '0123456789abcdef0123456789abcdef01234567'


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def refuse(self, code, error_code=None):
        self.send_response(code)
        if error_code:
            self.send_header('X-Error-Code', error_code)
            self.send_header('X-Error-Message', error_code)
        self.send_header('Content-Length', '0')
        self.end_headers()

    def answer(self, with_body):
        path = self.path.partition('?')[0]
        self.server.requests.append((self.command, path, self.headers.get('Range')))
        number = sum(method == 'GET' and seen == path for method, seen, _ in self.server.requests)
        fault = self.server.faults.get(path)
        if '/resolve/' in path and path not in self.server.files:
            repository = path.partition('/resolve/')[0]
            known = any(name.startswith(f'{repository}/resolve/') for name in self.server.files)
            return self.refuse(404, 'EntryNotFound' if known else 'RepoNotFound')
        if path not in self.server.files:
            return self.refuse(404)
        if fault == '503 once' and number == 1:
            return self.refuse(503)
        content = self.server.files[path]
        if fault == 'changes' and number > 1:
            content = content[::-1]
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        start = 0
        if self.headers.get('Range') and self.headers.get('If-Range', etag) == etag:
            start = int(self.headers['Range'].removeprefix('bytes=').partition('-')[0])
        self.send_response(206 if start else 200)
        if start:
            self.send_header('Content-Range', f'bytes {start}-{len(content) - 1}/{len(content)}')
        if fault != 'no length':
            self.send_header('Content-Length', str(len(content) - start))
        if fault != 'no version':
            self.send_header('ETag', etag)
        self.send_header('X-Repo-Commit', COMMIT)
        self.send_header('Connection', 'close')
        self.end_headers()
        self.close_connection = True
        if not with_body:
            return None
        body = content[start:]
        if (fault in ('breaks', 'changes', 'no version') and number == 1) or fault == 'always breaks':
            body = body[: len(body) // 2]
        if fault == 'spoils':
            body = bytes(len(body))
        pieces = 20 if fault == 'slow' else 1
        size = -(-len(body) // pieces)
        for i in range(pieces):
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body[i * size : (i + 1) * size])
            time.sleep(0.02 if fault == 'slow' else 0)
        return None


@contextlib.contextmanager
def stand_in_server():
    """Serve; ``files`` (path -> content), ``faults`` (path -> fault) and ``requests`` are the server's."""
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.files, server.faults, server.requests = {}, {}, []
    server.address = f'http://127.0.0.1:{server.server_port}'
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
