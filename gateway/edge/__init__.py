"""HTTP/1.1 on a socket: what arrives before there is a request, and how an answer leaves."""
