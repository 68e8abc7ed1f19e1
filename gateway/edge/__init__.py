"""HTTP/1.1 on a socket: bytes to requests, and answers to bytes."""
