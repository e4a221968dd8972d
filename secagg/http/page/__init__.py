"""A page in the browser for a server's operator: one shell, one style and one way to sign in for every server's page.

A server brings what its page shows: content.html, page.css and page.js, and the events that keep it up to date.
"""
