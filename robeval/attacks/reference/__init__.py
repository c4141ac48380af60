"""Attacks of other libraries, one file each, to compare ours with.

`<library>.<name>` is what the library has in place of our attack of that name; its keywords are some of ours and
mean the same. The library is imported when an attack is called, so robeval works without it.
"""
