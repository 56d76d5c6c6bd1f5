"""Peer URLs, as etcd 3.4.23 took, showed and refused each of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvd.urls import BadUrlError, peer_urls

TAKEN = [
    ("http://a:1", "http://a:1"),
    ("HTTP://a:1", "http://a:1"),
    ("http://A:1", "http://A:1"),
    (" http://a:1 ", "http://a:1"),
    ("\xa0http://a:1\u2003", "http://a:1"),
    ("http://a:", "http://a:"),
    ("http://:1", "http://:1"),
    ("http://:", "http://:"),
    ("http://[::1]:1", "http://[::1]:1"),
    ("http://[::1%25en0]:1", "http://[::1%25en0]:1"),
    ("http://[fe80::1%25e%20n]:1", "http://[fe80::1%25e%20n]:1"),
    ("http://a%c3%a9:1", "http://a%C3%A9:1"),
    ("http://\xe9:1", "http://%C3%A9:1"),
    ("http://a<b:1", "http://a<b:1"),
    ("http://a:1?q", "http://a:1?q"),
    ("http://a:1?", "http://a:1?"),
    ("http://a:1??", "http://a:1??"),
    ("http://a:1?a=b&c=%zz", "http://a:1?a=b&c=%zz"),
    ("http://a:1#", "http://a:1"),
    ("http://a:1#f", "http://a:1#f"),
    ("http://a:1#f%20g", "http://a:1#f%20g"),
    ("http://a:1#f g", "http://a:1#f%20g"),
    ("http://a:1#a[b]", "http://a:1#a[b]"),
    ("http://a:1?x#y", "http://a:1?x#y"),
    ("http://u@a:1", "http://u@a:1"),
    ("http://u:p@a:1", "http://u:p@a:1"),
    ("http://u:@a:1", "http://u:@a:1"),
    ("http://:p@a:1", "http://:p@a:1"),
    ("http://@a:1", "http://@a:1"),
    ("http://u%40:p%3a@a:1", "http://u%40:p%3A@a:1"),
    ("http://u@v@a:1", "http://u%40v@a:1"),
    ("https://a:1", "https://a:1"),
    ("unix://a:1", "unix://a:1"),
    ("unixs://a:1", "unixs://a:1"),
    ("unix://tmp:", "unix://tmp:"),
    ("http://a:99999999", "http://a:99999999"),
    ("http://a:00", "http://a:00"),
    ("http://\ufffd:1", "http://%EF%BF%BD:1"),
    ("http://[a]:1", "http://[a]:1"),
    ("http://[]:1", "http://[]:1"),
    ("http://a%2525:1", "http://a%2525:1"),
    ("http://a%25:1", "http://a%25:1"),
    ("http://u!$&'()*+,;=:p-_.~@a:1", "http://u%21$&%27%28%29%2A+,;=:p-_.~@a:1"),
    ("http://a!$&'()*+,;=<>\"b:1", "http://a!$&'()*+,;=<>\"b:1"),
    ("http://a:1#\xe9", "http://a:1#%C3%A9"),
    ("http://a:1?\xe9", "http://a:1?\xe9"),
    ("http://a:1#!()*'\"", "http://a:1#!()*%27%22"),
    ("http://u%2fv@a:1", "http://u%2Fv@a:1"),
    ("http://[::1%2541]:1", "http://[::1%2541]:1"),
    ("http://[::1%25%41]:1", "http://[::1%25A]:1"),
]

REFUSED = [
    ("%zz", 'parse "%zz": invalid URL escape "%zz"'),
    ("a%", 'parse "a%": invalid URL escape "%"'),
    ("http:%zz", 'URL address does not have the form "host:port": http:%zz'),
    (
        "\x1chttp://a:1",
        'parse "\\x1chttp://a:1": net/url: invalid control character in URL',
    ),
    ("http://a:1/", "URL must not contain a path: http://a:1/"),
    ("http://a:1/x", "URL must not contain a path: http://a:1/x"),
    ("http://a", 'URL address does not have the form "host:port": http://a'),
    ("http://", 'URL address does not have the form "host:port": http://'),
    ("http:", 'URL address does not have the form "host:port": http:'),
    ("http:a:1", 'URL address does not have the form "host:port": http:a:1'),
    ("http:/a:1", 'URL address does not have the form "host:port": http:/a:1'),
    ("//a:1", "URL scheme must be http, https, unix, or unixs: //a:1"),
    ("a:1", "URL scheme must be http, https, unix, or unixs: a:1"),
    ("/a:1", "URL scheme must be http, https, unix, or unixs: /a:1"),
    ("", "URL scheme must be http, https, unix, or unixs: "),
    ("*", "URL scheme must be http, https, unix, or unixs: *"),
    (":1", 'parse ":1": missing protocol scheme'),
    (
        "1http://a:1",
        'parse "1http://a:1": first path segment in URL cannot contain colon',
    ),
    (
        "ht_tp://a:1",
        'parse "ht_tp://a:1": first path segment in URL cannot contain colon',
    ),
    ("http://a:x", 'parse "http://a:x": invalid port ":x" after host'),
    ("http://a:1:2", 'URL address does not have the form "host:port": http://a:1:2'),
    ("http://[::1", "parse \"http://[::1\": missing ']' in host"),
    ("http://[::1]", 'URL address does not have the form "host:port": http://[::1]'),
    ("http://[::1]x", 'parse "http://[::1]x": invalid port "x" after host'),
    ("http://[::1]:1x", 'parse "http://[::1]:1x": invalid port ":1x" after host'),
    ("http://[::1%en0]:1", 'parse "http://[::1%en0]:1": invalid URL escape "%en"'),
    ("http://a%20b:1", 'parse "http://a%20b:1": invalid URL escape "%20"'),
    ("http://a%41b:1", 'parse "http://a%41b:1": invalid URL escape "%41"'),
    ("http://a b:1", 'parse "http://a b:1": invalid character " " in host name'),
    ("http://a\\b:1", 'parse "http://a\\\\b:1": invalid character "\\\\" in host name'),
    ("http://a{b:1", 'parse "http://a{b:1": invalid character "{" in host name'),
    ("http://a^b:1", 'parse "http://a^b:1": invalid character "^" in host name'),
    ("http://a|b:1", 'parse "http://a|b:1": invalid character "|" in host name'),
    ("http://a`b:1", 'parse "http://a`b:1": invalid character "`" in host name'),
    ("http://a%zz:1", 'parse "http://a%zz:1": invalid URL escape "%zz"'),
    ("http://a%:1", 'parse "http://a%:1": invalid URL escape "%:1"'),
    ("http://a:1#%zz", 'parse "http://a:1#%zz": invalid URL escape "%zz"'),
    ("http://u v@a:1", 'parse "http://u v@a:1": net/url: invalid userinfo'),
    ("http://u%zz@a:1", 'parse "http://u%zz@a:1": invalid URL escape "%zz"'),
    ("http://u^@a:1", 'parse "http://u^@a:1": net/url: invalid userinfo'),
    ("unix:///tmp/x", 'URL address does not have the form "host:port": unix:///tmp/x'),
    ("ftp://a:1", "URL scheme must be http, https, unix, or unixs: ftp://a:1"),
    (
        "http://a\n:1",
        'parse "http://a\\n:1": net/url: invalid control character in URL',
    ),
    (
        "http://a\x7f:1",
        'parse "http://a\\x7f:1": net/url: invalid control character in URL',
    ),
    ("http://a:1/%zz", 'parse "http://a:1/%zz": invalid URL escape "%zz"'),
    (
        "http://[a]b]:1",
        'URL address does not have the form "host:port": http://[a]b]:1',
    ),
    ("http://a[b:1", 'URL address does not have the form "host:port": http://a[b:1'),
    ("http://a]b:1", 'URL address does not have the form "host:port": http://a]b:1'),
    ('http://u"@a:1', 'parse "http://u\\"@a:1": net/url: invalid userinfo'),
    ("http:///a:1", 'URL address does not have the form "host:port": http:///a:1'),
    ("http:////a:1", 'URL address does not have the form "host:port": http:////a:1'),
    ("///a:1", "URL scheme must be http, https, unix, or unixs: ///a:1"),
    ("http://a:1;x", 'parse "http://a:1;x": invalid port ":1;x" after host'),
    ("http:?x", 'URL address does not have the form "host:port": http:?x'),
    ("http:#x", 'URL address does not have the form "host:port": http:#x'),
    ("http://a/b:1", 'URL address does not have the form "host:port": http://a/b:1'),
    ("http://a?b:1", 'URL address does not have the form "host:port": http://a?b:1'),
    ("mailto:x@y:1", "URL scheme must be http, https, unix, or unixs: mailto:x@y:1"),
    ("http://%5B::1%5D:1", 'parse "http://%5B::1%5D:1": invalid URL escape "%5B"'),
    ("http://[::1%25%zz]:1", 'parse "http://[::1%25%zz]:1": invalid URL escape "%zz"'),
    (
        "http://[::1%25 x]:1",
        'parse "http://[::1%25 x]:1": invalid character " " in host name',
    ),
    ("http://[::1%25/x]:1", "parse \"http://[::1%25/x]:1\": missing ']' in host"),
    ("http://[%41::1]:1", 'parse "http://[%41::1]:1": invalid URL escape "%41"'),
]


@pytest.mark.parametrize(("url", "shown"), TAKEN, ids=ascii)
def test_a_url_is_shown_as_go_prints_it(url, shown):
    assert peer_urls([url]) == (shown,)
    assert peer_urls([shown]) == (shown,)


@pytest.mark.parametrize(("url", "words"), REFUSED, ids=ascii)
def test_a_bad_url_is_told_in_the_words_of_etcd(url, words):
    with pytest.raises(BadUrlError) as caught:
        peer_urls(["http://a:1", url, "bad"])
    assert str(caught.value) == words


def test_there_must_be_one():
    with pytest.raises(BadUrlError, match=r"^no valid URLs given$"):
        peer_urls([])


def test_urls_are_sorted_by_their_bytes_and_repetitions_stay():
    assert peer_urls(["http://b:1", "http://a:1", "http://b:1", "HTTP://B:1"]) == (
        "http://B:1",
        "http://a:1",
        "http://b:1",
        "http://b:1",
    )
    astral, bmp = "http://a:1?\U00010000", "http://a:1?\uffff"
    assert peer_urls([astral, bmp]) == (bmp, astral)


pieces = st.sampled_from("//|[]:@a1?#/ ^\u00e9")
escapes = st.sampled_from(["http://", "%25", "%c3", "%zz", "%"])


@given(st.lists(st.one_of(pieces, escapes)).map("".join))
def test_any_text_is_taken_or_refused_and_what_is_taken_stays_as_it_is(text):
    try:
        shown = peer_urls([f"http://{text}"])
    except BadUrlError:
        return
    assert peer_urls(shown) == shown
