"""Members talk to each other: AMP boxes over streams, whatever carries the streams."""
