"""The client port's HTTP/1.1 and the v2 API's face."""
