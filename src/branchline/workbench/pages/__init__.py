"""The workbench's pages: a person's projects in the browser, served by this machine to itself.

``entrance`` decides who may ask at all, ``desk`` holds what is open, ``views`` make what a page shows,
``acts`` do what a button says, ``shown`` makes of foreign content what can be shown without running it.
Every page is a context and a template, and works without scripts; ``static`` adds to that.
"""
