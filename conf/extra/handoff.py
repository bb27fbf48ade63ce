#!/usr/bin/env python3
"""A service that takes connections over from lychgate, as lychgate-handoff(7) has it: handoff.py SOCKET"""
import email.utils, os, re, socket, sys

def receive(errand):
    """What is told of a connection, what was read of it, and itself."""
    told, connection, whole = b'', None, None
    while not whole:
        part, descriptors, _, _ = socket.recv_fds(errand, 65536, 1)
        if not part:
            raise OSError('the errand ended')
        told += part
        for descriptor in descriptors:
            connection = socket.socket(fileno=descriptor)
        whole = re.fullmatch(rb'HANDOFF/1 (\d+)\n(.*?)\n\n(.*)', told, re.DOTALL)
        whole = whole if whole and len(whole[3]) == int(whole[1]) else None
    return dict(line.split(b': ', 1) for line in whole[2].split(b'\n')), whole[3], connection

def serve(errand):
    errand.sendall(b'HANDOFF/1\n')
    told, read, connection = receive(errand)
    with connection:
        head, rest = read.split(b'\r\n\r\n', 1)
        body = '%s asked for %s\n' % (told[b'Client'].decode(), head.split()[1].decode('latin-1'))
        fields = f'Date: {email.utils.formatdate(usegmt=True)}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}'
        connection.sendall(f'HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}'.encode('latin-1'))
        # No body is to come? Then what follows is another request, which is not ours to answer.
        if not re.search(rb'\r\n(content-length|transfer-encoding|connection):', head, re.IGNORECASE):
            socket.send_fds(errand, [b'BACK %d\n' % len(rest) + rest], [connection.fileno()])

if os.path.exists(sys.argv[1]): os.unlink(sys.argv[1])
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
while True:
    with listener.accept()[0] as errand:
        try:
            serve(errand)
        except OSError as error:
            print(error, file=sys.stderr)
