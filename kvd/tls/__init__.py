"""TLS on both ports: files, contexts, handshakes, and new files without a restart."""
