"""HTTP as all programs speak it: signed requests (RFC 9421), problems (RFC 9457), pushed events.

One client and one server on aiohttp; an API is a table of routes from which both the handlers'
checks and the OpenAPI document are made. Knows no word of the domain.
"""
